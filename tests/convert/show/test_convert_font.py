"""Fonts: which characters they have, which are tried first, and tables of text that is wide."""

import contextlib
import struct
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont, features

from convert.show.font import find_typeface, font_files
from convert.show.glyphs import CharacterMap
from convert.show.table import bar, brief, columns_of, counted, in_bytes, shown, table


def sfnt(subtables: list[tuple[int, int, bytes]], start: int = 0) -> bytes:
    """Returns a font file of nothing but a cmap.

    Args:
        subtables: Platform, encoding, content.
        start: Where in the file it will stand.
    """
    place = 4 + 8 * len(subtables)
    entries = b""
    for platform, encoding, content in subtables:
        entries += struct.pack(">HHI", platform, encoding, place)
        place += len(content)
    cmap = struct.pack(">HH", 0, len(subtables)) + entries + b"".join(s[2] for s in subtables)
    header = struct.pack(">IHHHH", 0x00010000, 1, 0, 0, 0)
    return header + struct.pack(">4sIII", b"cmap", 0, start + 28, len(cmap)) + cmap


def format_4() -> bytes:
    """A-C by a delta, a-d by looking up 5, 0, 7 and 1 - 1, and the end that each table has."""
    ends, starts = (0x43, 0x64, 0xFFFF), (0x41, 0x61, 0xFFFF)
    deltas, offsets = (-0x40 & 0xFFFF, 0xFFFF, 1), (0, 4, 0)  # 0xFFFF is -1
    words = (6, 0, 0, 0, *ends, 0, *starts, *deltas, *offsets, 5, 0, 7, 1)
    return struct.pack(f">HHH{len(words)}H", 4, 6 + 2 * len(words), 0, *words)


def format_12(*groups: tuple[int, int, int]) -> bytes:
    content = b"".join(struct.pack(">III", *group) for group in groups)
    return struct.pack(">HHIII", 12, 0, 16 + len(content), 0, len(groups)) + content


def characters(font: bytes, candidates: str) -> str:
    found = CharacterMap(BytesIO(font))
    return "".join(character for character in candidates if character in found)


def test_runs_of_16_bits() -> None:
    # b looks up no glyph, and d one that its delta turns into none.
    assert characters(sfnt([(3, 1, format_4())]), "@ABCD`abcde\uffff\U00010041") == "ABCac"


def test_runs_of_32_bits() -> None:
    font = sfnt([(3, 10, format_12((0x20, 0x22, 0), (0x4E00, 0x4E01, 7), (0x20000, 0x20000, 9)))])
    assert characters(font, ' !"#一丁丂\U00020000\U00020001') == '!"一丁\U00020000'


def test_subtables_add_up() -> None:
    font = sfnt([(0, 3, format_4()), (3, 10, format_12((0x61, 0x62, 3)))])
    assert characters(font, "Aab") == "Aab"


@pytest.mark.parametrize(
    "subtable",
    [
        (3, 0, format_4()),  # symbols: its codes are no characters
        (1, 0, format_4()),  # of the old Macintosh
        (3, 1, struct.pack(">HHHHHH", 6, 12, 0, 0x41, 1, 5)),  # of a format for small fonts
    ],
)
def test_maps_that_say_nothing_of_unicode(subtable: tuple[int, int, bytes]) -> None:
    assert characters(sfnt([subtable]), "ABC") == ""


def test_the_first_font_of_a_collection() -> None:
    start = 20
    collection = struct.pack(">4sIIII", b"ttcf", 0x00010000, 2, start, 9999)
    font = collection + sfnt([(3, 1, format_4())], start)
    assert characters(font, "ABCD") == "ABC"


def test_damage_is_a_value_error_or_harmless() -> None:
    whole = sfnt([(3, 1, format_4()), (3, 10, format_12((0x41, 0x42, 3)))])
    for length in range(len(whole)):
        with contextlib.suppress(ValueError):
            assert set(characters(whole[:length], "ABCacxyz")) <= set("ABCac")
    for place in range(len(whole)):
        with contextlib.suppress(ValueError):
            characters(whole[:place] + b"\xff" + whole[place + 1 :], "ABCacxyz\uffff")
    for text in (b"", b"<html>", b"\x00" * 100):
        with pytest.raises(ValueError, match=r"the font file is damaged|the file is no font"):
            CharacterMap(BytesIO(text))


def own_font(size: int = 20) -> ImageFont.FreeTypeFont:
    if not features.check("freetype2"):
        pytest.skip("Pillow was built without FreeType")
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def test_the_map_agrees_with_what_is_drawn() -> None:
    font = own_font()
    found = CharacterMap(BytesIO(font.font_bytes))
    missing = font.getmask("\U0010fffe")
    for character in map(
        chr, [*range(0x21, 0x180), *range(0x2010, 0x2100), *range(0x4E00, 0x4E40)]
    ):
        drawn = font.getmask(character)
        differs = (drawn.size, bytes(drawn)) != (missing.size, bytes(missing))
        assert (character in found) == differs or not any(drawn), hex(ord(character))


def test_folders_are_searched_and_what_is_no_font_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    font = own_font()
    (tmp_path / "truetype/wqy").mkdir(parents=True)
    (tmp_path / "folder.ttf").mkdir()
    names = ["zebra.ttf", "truetype/wqy/wqy-microhei.ttc", "NotoSansCJK-Bold.ttc", "read.me"]
    names += ["NotoSansCJK-Regular.ttc", "SourceHanSansSC-Regular.OTF", "DejaVuSans.ttf", "a.pfb"]
    for name in names:
        (tmp_path / name).write_bytes(b"no font")
    (tmp_path / "zebra.ttf").write_bytes(font.font_bytes)
    (tmp_path / "gone.ttf").symlink_to(tmp_path / "nowhere")
    monkeypatch.setattr("convert.show.font.FOLDERS", (str(tmp_path), str(tmp_path / "none")))
    assert [path.name for path in font_files()] == [
        "wqy-microhei.ttc",
        "NotoSansCJK-Regular.ttc",
        "NotoSansCJK-Bold.ttc",
        "SourceHanSansSC-Regular.OTF",
        "DejaVuSans.ttf",
        "gone.ttf",
        "zebra.ttf",
    ]
    assert find_typeface("ab王李").missing == {"王", "李"}


def test_no_file_is_opened_for_what_pillow_has_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    own_font()
    monkeypatch.setattr("convert.show.font.font_files", lambda: pytest.fail("searched"))
    assert find_typeface("row 0123456789, #?").missing == frozenset()


@pytest.mark.parametrize("has_freetype", [True, False])
def test_text_is_as_wide_as_its_ink(monkeypatch: pytest.MonkeyPatch, has_freetype: bool) -> None:
    if has_freetype:
        own_font()
    else:
        monkeypatch.setattr(features, "check", lambda name: False)
    monkeypatch.setattr("convert.show.font.FOLDERS", ())
    typeface = find_typeface("HHHH王")
    assert typeface.missing == {"王"}
    canvas = Image.new("L", (400, 60), "white")
    typeface.draw(ImageDraw.Draw(canvas), (100, 40), "HHHH王", 20, "black")
    left, top, right, bottom = canvas.point(lambda level: 255 - level).getbbox() or (0, 0, 0, 0)
    assert abs(left - 100) <= 3
    assert abs(right - 100 - typeface.width("HHHH王", 20)) <= 3
    assert 20 <= top < bottom <= 41  # on the baseline


def test_tables_with_wide_characters() -> None:
    rows = [["王", "1"], ["é", "12"], ["e\u0301", "3"], ["ａb", "4"]]
    lines = table(("class", "n"), rows, "<>")
    assert lines == [
        "class   n",
        "王      1",
        "é      12",
        "e\u0301       3",
        "ａb     4",
    ]
    assert {columns_of(line) for line in lines} == {9}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("", "(blank)"),
        ("a b", "a b"),
        (" a", "' a'"),
        ("a\nb", "'a\\nb'"),
        ("\u3000", "'\\u3000'"),
        ("x" * 41, "x" * 37 + "..."),
    ],
)
def test_names(name: str, text: str) -> None:
    assert brief(name) == text
    assert shown(name) == (name if len(name) > 40 else text)


def test_numbers() -> None:
    sizes = [in_bytes(n) for n in (0, 999, 1000, 12_345, 999_999_999, 1_234 * 10**9, 5 * 10**15)]
    assert sizes == [
        "0 bytes",
        "999 bytes",
        "1.0 kB",
        "12.3 kB",
        "1,000.0 MB",
        "1.2 TB",
        "5,000.0 TB",
    ]
    assert [counted(n, "class", "classes") for n in (0, 1, 1200)] == [
        "0 classes",
        "1 class",
        "1,200 classes",
    ]
    assert [bar(share, 8) for share in (0, 0.001, 0.5, 1)] == ["", "▏", "████", "████████"]
