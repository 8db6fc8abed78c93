"""Checkpoints: what a run needs to go on exactly where it stood."""
