"""TIFF files: checked for damage that libtiff does not report."""
