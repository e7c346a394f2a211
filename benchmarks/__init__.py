"""Scripts that print the figures that the README quotes."""
