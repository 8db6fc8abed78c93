"""Fonts: which characters they have, which are tried first, and tables of text that is wide."""

import random
from io import BytesIO
from pathlib import Path

import pytest
from fontTools.ttLib import TTCollection, TTFont
from PIL import Image, ImageDraw, ImageFont, features

from convert.show.font import find_typeface, font_files
from convert.show.table import bar, brief, columns_of, counted, shown, table


def own_font(size: int = 20) -> ImageFont.FreeTypeFont:
    if not features.check("freetype2"):
        pytest.skip("Pillow was built without FreeType")
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def alone(monkeypatch: pytest.MonkeyPatch, path: Path, content: bytes) -> frozenset[str]:
    """Returns what is missing of a Latin and a Chinese letter where there is one font file."""
    path.write_bytes(content)
    monkeypatch.setattr("convert.show.font.font_files", lambda: [path])
    return find_typeface("a王").missing


def chinese(font: bytes, encoding: int = 1) -> bytes:
    """Returns a font that has a Chinese letter, under one of the encodings of Windows."""
    with TTFont(BytesIO(font)) as made:
        (table,) = (t for t in made["cmap"].tables if (t.platformID, t.platEncID) == (3, 1))
        table.cmap[ord("王")], table.platEncID = table.cmap[ord("a")], encoding
        made["cmap"].tables = [table]
        file = BytesIO()
        made.save(file)
    return file.getvalue()


def test_the_map_agrees_with_what_is_drawn() -> None:
    font = own_font()
    candidates = {*map(chr, [*range(0x21, 0x180), *range(0x2010, 0x2100), *range(0x4E00, 0x4E40)])}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("convert.show.font.FOLDERS", ())
        lacking = find_typeface(candidates).missing
    box = font.getmask("\U0010fffe")
    for character in candidates:
        drawn = font.getmask(character)
        differs = (drawn.size, bytes(drawn)) != (box.size, bytes(box))
        assert (character not in lacking) == differs or not any(drawn), hex(ord(character))


def test_other_fonts_add_what_pillow_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    font = chinese(own_font().font_bytes)
    path = tmp_path / "a.ttf"
    assert alone(monkeypatch, path, font) == frozenset()
    collection = TTCollection()
    collection.fonts = [TTFont(BytesIO(font)), TTFont(BytesIO(own_font().font_bytes))]
    file = BytesIO()
    collection.save(file)
    assert alone(monkeypatch, path, file.getvalue()) == frozenset()
    symbols = chinese(own_font().font_bytes, encoding=0)
    assert alone(monkeypatch, path, symbols) == {"王"}  # its codes are no characters
    rng = random.Random(3)
    for content in (b"", b"<html>", b"\x00" * 100, font[:1000]):
        assert alone(monkeypatch, path, content) == {"王"}  # damaged, and no error
    for _ in range(30):
        spoilt = bytearray(font)
        for _ in range(20):
            spoilt[rng.randrange(2000)] ^= 255
        assert alone(monkeypatch, path, bytes(spoilt)) <= {"王"}
    assert caplog.records == []


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
    assert [counted(n, "class", "classes") for n in (0, 1, 1200)] == [
        "0 classes",
        "1 class",
        "1,200 classes",
    ]
    assert [bar(share, 8) for share in (0, 0.001, 0.5, 1)] == ["", "▏", "████", "████████"]
