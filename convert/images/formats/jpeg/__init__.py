"""JPEG files: decoded, and checked for damage that libjpeg does not report."""
