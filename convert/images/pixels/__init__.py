"""What is done with decoded pixels: colours, transparency, size, digest."""
