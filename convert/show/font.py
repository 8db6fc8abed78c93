"""Finding fonts that have the glyphs of a text, and drawing with several of them at once."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

from fontTools.ttLib import TTFont
from PIL import ImageDraw, ImageFont, features

FOLDERS = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "~/.local/share/fonts",
    "~/.fonts",
    "/System/Library/Fonts",
    "/Library/Fonts",
    "~/Library/Fonts",
)
"""Where Linux and macOS keep fonts."""

_SUFFIXES = (".ttf", ".ttc", ".otf")
# Fonts made for Chinese, Japanese and Korean come first: upright ones of even strokes, which are
# legible at the size of a caption, before brush and song styles.
_PREFERRED = (
    "wqy-microhei",
    "notosanscjk",
    "notosanssc",
    "sourcehansans",
    "pingfang",
    "hiragino sans gb",
    "msyh",
    "wqy-zenhei",
    "droidsansfallback",
    "lxgw",
    "notoserifcjk",
    "sourcehan",
    "dejavusans.",
    "notosans-regular",
)
_TRIAL_SIZE = 16  # any: a font of pictures has only sizes of its own and is passed over
_ASCII = frozenset(map(chr, range(0x20, 0x7F)))
_BITMAP_ASCENT = 10  # of Pillow's own bitmap font, from its top to the baseline, in pixels

# What is odd in a stranger's font is no news: it is passed over, or draws what it can.
logging.getLogger("fontTools").setLevel(logging.CRITICAL)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


class Typeface:
    """Several fonts used as one: each character is drawn with the first font that has it.

    A character that none has is drawn as a question mark.

    Attributes:
        missing: Those of the characters asked for that no font has.
    """

    def __init__(self, sources: list[_Source], missing: Iterable[str]) -> None:
        self._sources = sources  # empty: Pillow was built without FreeType
        self._sized: dict[tuple[int, int], Font] = {}
        self._chosen: dict[str, int] = {}  # asked again for each text that is measured
        self.missing = frozenset(missing)

    def width(self, text: str, size: int) -> float:
        """Returns how long a line of text gets, in pixels.

        Args:
            text: The text.
            size: Of the font, in pixels.
        """
        return sum(font.getlength(part) for font, part in self._runs(text, size))

    def draw(
        self,
        canvas: ImageDraw.ImageDraw,
        place: tuple[float, float],
        text: str,
        size: int,
        ink: str,
    ) -> None:
        """Draws a line of text.

        Args:
            canvas: What to draw on.
            place: Where the text's baseline starts.
            text: The text.
            size: Of the font, in pixels. The bitmap font has one size only.
            ink: Colour.
        """
        x, baseline = place
        for font, part in self._runs(text, size):
            if isinstance(font, ImageFont.FreeTypeFont):
                canvas.text((x, baseline), part, ink, font, anchor="ls")
            else:
                canvas.text((x, baseline - _BITMAP_ASCENT), part, ink, font)
            x += font.getlength(part)

    def _runs(self, text: str, size: int) -> Iterator[tuple[Font, str]]:
        """Yields the parts of a text that are drawn with one font each."""
        text = "".join("?" if character in self.missing else character for character in text)
        if not self._sources:
            yield ImageFont.load_default_imagefont(), _plain(text)
            return
        for index, characters in groupby(text, self._choose):
            if (index, size) not in self._sized:
                self._sized[index, size] = self._sources[index].font(size)
            yield self._sized[index, size], "".join(characters)

    def _choose(self, character: str) -> int:
        """Returns the first font that has a character; the first of all if none has."""
        if character not in self._chosen:
            having = (n for n, source in enumerate(self._sources) if character in source.characters)
            self._chosen[character] = next(having, 0)
        return self._chosen[character]


class _Source:
    """A font file, and the characters it has. Of a collection its first font counts.

    Pillow draws a box for a character that a font lacks and does not say so.

    Args:
        content: Its path, or its bytes.

    Raises:
        Exception: It is no font, is damaged or cannot be drawn with; whatever fontTools stumbles
            over.
    """

    def __init__(self, content: Path | bytes) -> None:
        self._content = content
        # By an open file: of one that is no font, fontTools would leave it open.
        with self._open() as file, TTFont(file, fontNumber=0, lazy=True) as font:
            no_glyph = font.getGlyphOrder()[0]
            glyphs = font.getBestCmap() or {}
        self.characters = {chr(code) for code, glyph in glyphs.items() if glyph != no_glyph}
        self.font(_TRIAL_SIZE)

    def font(self, size: int) -> ImageFont.FreeTypeFont:
        content = self._content
        return ImageFont.truetype(BytesIO(content) if isinstance(content, bytes) else content, size)

    def _open(self) -> BinaryIO:
        content = self._content
        return BytesIO(content) if isinstance(content, bytes) else content.open("rb")


def find_typeface(characters: Iterable[str]) -> Typeface:
    """Finds fonts for a set of characters: Pillow's own, and what else it takes.

    Files are opened only as long as a character is missing.

    Args:
        characters: All that shall be drawn. ASCII always can be.
    """
    wanted = set(characters)
    if not features.check("freetype2"):
        return Typeface([], wanted - _ASCII)
    own = ImageFont.load_default(_TRIAL_SIZE)
    assert isinstance(own, ImageFont.FreeTypeFont)  # there is FreeType
    sources = [_Source(own.font_bytes)]
    missing = wanted - sources[0].characters
    for path in font_files() if missing else ():
        try:
            source = _Source(path)
        except Exception:
            continue  # not ours to judge: the next one may do
        if missing & source.characters:
            sources.append(source)
            missing -= source.characters
        if not missing:
            break
    return Typeface(sources, missing)


def font_files() -> list[Path]:
    """Returns the machine's font files, the most suitable first."""
    found = []
    for folder in map(os.path.expanduser, FOLDERS):
        for parent, _, names in os.walk(folder):
            found += [Path(parent, name) for name in names if name.lower().endswith(_SUFFIXES)]
    return sorted(found, key=_rank)


def _rank(path: Path) -> tuple[int, bool, int, str]:
    """Orders font files: those for many scripts first, regular weights before others."""
    name = path.name.lower()
    known = [place for place, start in enumerate(_PREFERRED) if name.startswith(start)]
    place = known[0] if known else len(_PREFERRED)
    return place, "regular" not in name, len(name), str(path)


def _plain(text: str) -> str:
    """Returns a text in ASCII, all that the bitmap font has for certain."""
    return text.encode("ascii", "replace").decode()
