"""The formats of image files: one module or folder each, all behind `image_format`."""
