"""The usual ways to read images for training, a process each, and the images they all read."""
