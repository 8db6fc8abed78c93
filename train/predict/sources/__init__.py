"""What is read: image files, the rows of a manifest, the records of a split."""
