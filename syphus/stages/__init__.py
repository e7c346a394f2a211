"""The stages: each says where its queries come from, how they are rendered, and what it accepts."""
