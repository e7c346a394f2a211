"""The local page that shows runs while they work and afterwards, and on which people review pairs."""
