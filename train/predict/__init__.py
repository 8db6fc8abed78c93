"""`train predict`: what a run reads in image files, the rows of a manifest, or a split."""
