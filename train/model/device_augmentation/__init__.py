"""Augmentation on the accelerator that trains: the same bytes as on the host."""
