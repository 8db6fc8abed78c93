"""The tags of TIFF files and EXIF blocks, and the compressions of TIFF, by number.

Sources: TIFF 6.0, sections 8 to 15; Exif 2.32, section 4.6; libtiff's tiff.h.
"""

from __future__ import annotations

from enum import IntEnum

# Of `SUBFILE_TYPE`, bit 0 says that a page is at a reduced resolution, a preview.
Tag = IntEnum("Tag", {
    "SUBFILE_TYPE": 254, "WIDTH": 256, "HEIGHT": 257, "BITS": 258, "COMPRESSION": 259,
    "PHOTOMETRIC": 262, "FILL_ORDER": 266, "STRIP_OFFSETS": 273, "ORIENTATION": 274,
    "SAMPLES": 277, "STRIP_ROWS": 278, "STRIP_COUNTS": 279, "PLANAR": 284, "TILE_WIDTH": 322,
    "TILE_HEIGHT": 323, "TILE_OFFSETS": 324, "TILE_COUNTS": 325, "JPEG_TABLES": 347,
    "EXIF": 34665, "GPS": 34853, "INTEROP": 40965,
})  # fmt: skip
Compression = IntEnum("Compression", {
    "NONE": 1, "FAX_NO_ENDS": 2, "FAX_GROUP3": 3, "FAX_GROUP4": 4, "JPEG": 7, "DEFLATE": 8,
    "FAX_WORDS": 32771, "PACKBITS": 32773, "OLD_DEFLATE": 32946,
})  # fmt: skip
