"""Formats of image files: which are known, and which this installation decodes."""
