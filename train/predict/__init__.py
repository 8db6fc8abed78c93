"""`train predict`: reads image files, the images of a manifest, or a split."""
