"""What names a staging folder: all that decides which bytes a conversion writes."""

from __future__ import annotations

import hashlib
import json
import os

from convert.images.formats.jpeg.decoder import JPEG_DECODER_VERSION
from convert.images.formats.png.fast_decoder import DECODER_VERSION
from convert.storage.places import is_remote
from convert.version import __version__


def staging_key(plan_id: str, root: str) -> str:
    """Returns the digest that names a staging folder.

    Args:
        plan_id: The plan's digest.
        root: Folder of the sources. Not part of the plan, which is the same on every machine.
    """
    where = root if is_remote(root) else os.path.realpath(root)
    content = json.dumps([plan_id, where, library_versions()])
    return hashlib.sha256(content.encode()).hexdigest()


def library_versions() -> list[str | None]:
    """Returns the versions of all that makes the pixels: where they are equal, the bytes are."""
    from PIL import features

    versions = [__version__, features.version("pil"), features.version("jpg")]
    versions += [features.version("zlib"), features.version("webp"), features.version("libtiff")]
    return [*versions, DECODER_VERSION, JPEG_DECODER_VERSION]
