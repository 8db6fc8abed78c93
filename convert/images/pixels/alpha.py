"""Transparency: dropped, or painted on black or white."""

from __future__ import annotations

from PIL import Image

from convert.config import Alpha, Box


def flatten(image: Image.Image, alpha: Alpha, content: Box) -> tuple[Image.Image, bool]:
    """Drops transparency, or paints the image on a background.

    Args:
        image: RGB or RGBA pixels.
        alpha: What becomes of transparency.
        content: Where they are pixels of the source; the rest is padding.

    Returns:
        The image, and whether some transparency was there and was dropped.
    """
    seen = image
    if image.mode == "RGB" and "transparency" in image.info:
        seen = image.convert("RGBA")
    if seen.mode != "RGBA":
        return image, False
    if alpha == "drop":
        channel = seen.getchannel("A")
        if _lowest(channel) == 255:
            return image.convert("RGB"), False  # the same pixels, and resizes faster
        # Resized as it is and dropped afterwards, as in the usual `resize(...)[..., :3]`.
        left, top, right, bottom = content
        seen_there = left < right and top < bottom  # else all of it is padding
        return image, seen_there and _lowest(channel.crop(content)) < 255
    paper = Image.new("RGBA", image.size, alpha)
    return Image.alpha_composite(paper, seen).convert("RGB"), False


def _lowest(channel: Image.Image) -> float:
    lowest, _ = channel.getextrema()
    assert not isinstance(lowest, tuple)  # it is one channel
    return lowest
