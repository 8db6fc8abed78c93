"""The tags of TIFF files and EXIF blocks, and the compressions of TIFF, by number.

Sources: TIFF 6.0, sections 8 to 15; Exif 2.32, section 4.6; libtiff's tiff.h.
"""

from __future__ import annotations


class Tag:
    """Tags. Of `SUBFILE_TYPE`, bit 0 says that a page is at a reduced resolution, a preview."""

    SUBFILE_TYPE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 254, 256, 257, 258, 259, 262
    FILL_ORDER, ORIENTATION, SAMPLES, PLANAR, JPEG_TABLES = 266, 274, 277, 284, 347
    STRIP_OFFSETS, STRIP_ROWS, STRIP_COUNTS = 273, 278, 279
    TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS = 322, 323, 324, 325
    EXIF, GPS, INTEROP = 34665, 34853, 40965


class Compression:
    """Values of `Tag.COMPRESSION` of which more than the name matters."""

    NONE, JPEG, DEFLATE, PACKBITS, OLD_DEFLATE = 1, 7, 8, 32773, 32946
    FAX_NO_ENDS, FAX_GROUP3, FAX_GROUP4, FAX_WORDS = 2, 3, 4, 32771
