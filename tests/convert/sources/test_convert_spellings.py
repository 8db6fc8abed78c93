"""Paths that only nearly name their file are found, counted and told; nothing is guessed."""

from __future__ import annotations

import json
import unicodedata
from functools import partial
from pathlib import Path

import pytest
from convert_cases import ALL, command, convert, png, write_manifest
from fence_cases import outside, refused
from hdfs_cases import put
from verify_cases import problems

from convert.errors import ImageError
from convert.images.oddities import Sighting, oddity_lines
from convert.images.sources.hdfs_reader import HdfsSourceReader
from convert.images.sources.reader import SourceReader
from convert.images.sources.spellings import SpellingReader, spellings
from convert.plan.dialects.roles import ManifestOptions
from convert.storage.places import filesystem_of
from train.predict.sources.image_files import ManifestInputs

NFC, NFD = (partial(unicodedata.normalize, form) for form in ("NFC", "NFD"))
MIXED = NFC("é") + NFD("é")

# The file there is, the path in the list, and what helps.
FOUND = [
    (NFC("é.png"), NFD("é.png"), {"spelled_nfc"}),
    (NFD("Ångström.png"), NFC("Ångström.png"), {"spelled_nfd"}),
    (NFC("é") * 2 + ".png", MIXED + ".png", {"spelled_nfc"}),
    (NFD("각/닭.png"), NFC("각/닭.png"), {"spelled_nfd"}),
    ("a/b/1.png", "a\\b\\1.png", {"spelled_backslash"}),
    ("a/b/1.png", ".\\a/b\\1.png", {"spelled_backslash"}),
    ("1.png", " 1.png", {"spelled_blanks"}),
    ("1.png", "1.png\t ", {"spelled_blanks"}),
    ("1.png", "\u00a01.png\r", {"spelled_blanks"}),
    ("000123.png", "000123", {"spelled_suffix"}),
    ("000123.JPG", "000123", {"spelled_suffix"}),
    ("v1.2.jfif", "v1.2", {"spelled_suffix"}),
    ("a/000123.tif", "a/000123", {"spelled_suffix"}),
    # Several of these at once
    (NFC("a/é.png"), NFD("a\\é.png"), {"spelled_backslash", "spelled_nfc"}),
    (NFD("a/é.png"), NFC(" a\\é.png"), {"spelled_blanks", "spelled_backslash", "spelled_nfd"}),
    ("a/1.gif", "a\\1 ", {"spelled_blanks", "spelled_backslash", "spelled_suffix"}),
]


def write(folder: Path, name: str, content: bytes | None = None) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(png() if content is None else content)


@pytest.mark.parametrize(("name", "path", "helped"), FOUND)
def test_what_is_found(tmp_path: Path, name: str, path: str, helped: set[str]) -> None:
    write(tmp_path, name)
    told = []
    reader = SpellingReader(SourceReader(str(tmp_path)), lambda *what: told.append(what))
    assert reader.read(path) == png()
    assert [(p, set(h), len(h)) for p, h in told] == [(path, helped, len(helped))]
    assert reader.is_there(path)


@pytest.mark.parametrize("name", ["1.png", " 1.png ", "a\\b.png", NFD("é.png"), "000123", "é.x"])
def test_a_path_that_is_there_is_not_respelled(tmp_path: Path, name: str) -> None:
    write(tmp_path, name, b"this one")
    for other in {name.strip(), name.replace("\\", "/"), NFC(name), f"{name}.png"} - {name}:
        write(tmp_path, other, b"another")
    assert SpellingReader(SourceReader(str(tmp_path)), pytest.fail).read(name) == b"this one"


def test_a_path_that_is_there_is_looked_at_once(tmp_path: Path) -> None:
    write(tmp_path, "1.png")

    class Once(SourceReader):
        looks = 0

        def is_there(self, path: str) -> bool:
            pytest.fail("looked for another spelling")

        def read(self, path: str) -> bytes:
            self.looks += 1
            return super().read(path)

    reader = Once(str(tmp_path))
    SpellingReader(reader).read("1.png")
    assert reader.looks == 1


def test_the_order_of_spellings() -> None:
    path = " a\\" + MIXED
    assert [helped for _, helped in spellings(path)][:4] == [
        ("spelled_nfc",),
        ("spelled_nfd",),
        ("spelled_backslash",),
        ("spelled_blanks",),
    ]
    assert len(dict(spellings(path))) == 11  # none twice, and not the path itself
    assert list(spellings("plain.png")) == []


@pytest.mark.parametrize("names", [("7.png", "7.jpg"), ("7.bmp", "7.BMP"), ("7.gif", "7.JPEG")])
def test_several_suffixes_are_not_guessed(tmp_path: Path, names: tuple[str, str]) -> None:
    for seed, name in enumerate(names):
        write(tmp_path, name, png(seed=seed))
    reader = SpellingReader(SourceReader(str(tmp_path)), pytest.fail)
    reason, detail = refused(reader.read, "7")
    assert reason == "missing"
    assert detail.startswith("no such file, but several with a suffix: 7.")
    assert all(name in detail for name in names)


def test_a_disk_that_does_not_tell_small_from_large_letters(tmp_path: Path) -> None:
    write(tmp_path, "7.png")
    (tmp_path / "7.PNG").hardlink_to(tmp_path / "7.png")
    assert SpellingReader(SourceReader(str(tmp_path))).read("7") == png()


@pytest.mark.parametrize(
    ("path", "reason", "detail"),
    [
        ("none.png", "missing", "no such file"),
        ("none", "missing", "no such file"),
        ("C:\\none.png", "missing", "no such file"),
        ("   ", "missing", "no such file"),
        ("..\\", "missing", "no such file"),  # with a slash it would be a folder
        ("é" * 200, "missing", "its path is too long"),
        ("nul\0l", "missing", "its path has a null byte"),
        ("lone\ud800", "missing", "its path is no valid Unicode"),
        ("lone\ud800/a.png", "missing", "its path is no valid Unicode"),
        ("a.png\\b", "missing", "no such file"),
        ("1.png/2", "missing", "a folder of its path is a file"),
        # What stands under another spelling is judged as ever.
        ("..\\out.png", *outside("../out.png")),
        (" /etc/passwd", "outside_root", None),
        ("\\etc\\passwd", "outside_root", None),
        ("link ", *outside("../out.png")),
        ("folder ", "not_a_file", "a folder, expected an image file"),
    ],
)
def test_what_is_not_found(tmp_path: Path, path: str, reason: str, detail: str | None) -> None:
    write(tmp_path, "out.png")
    write(tmp_path, "root/1.png")
    (tmp_path / "root/folder").mkdir()
    (tmp_path / "root/link").symlink_to("../out.png")
    reader = SpellingReader(SourceReader(str(tmp_path / "root")), pytest.fail)
    found = refused(reader.read, path)
    assert found == (reason, detail or found[1])


# In commands


def draw(folder: Path) -> Path:
    """Makes a list whose rows are spelled in every way; returns it."""
    rows = []
    for row, (name, path, _) in enumerate(FOUND):
        if path[0] not in " .\u00a0":  # these would begin in the middle of a path
            write(folder, f"{row}/{name}")
            rows.append([f"{row}/{path}", f"{row:x}"])
    return write_manifest(folder / "m.csv", ["path", "y0"], rows)


def test_a_conversion_counts_and_tells(tmp_path: Path) -> None:
    for row in range(4):
        write(tmp_path, f"img/{row}.png", png(seed=row))
    rows = [["img\\0.png", "0"], ["img\\1", "1"], ["img/2.png ", "2"], ["img\\none.png", "3"]]
    write_manifest(tmp_path / "m.csv", ["path", "y0"], [*rows, ["img/3.png", "3"]])
    words = ["m.csv", "out", "--size", 12, 8, "--split", "train=1", "--max-bad-fraction", 0.5]
    done = command(*words, "--json", cwd=tmp_path)
    lines = [
        "convert: 2 paths were found with / in place of \\ (such as img\\0.png)\n",
        "convert: 1 path was found without the blanks around them (such as img/2.png )\n",
        "convert: 1 path was found with the suffix of an image file added (such as img\\1)\n",
    ]
    assert "".join(lines) in done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert (summary["records"], summary["quarantined"]) == (4, 1)
    assert summary["oddities"] == {
        "spelled_backslash": 2,
        "spelled_blanks": 1,
        "spelled_suffix": 1,
    }


def test_a_path_in_two_rows_is_counted_twice(tmp_path: Path) -> None:
    write(tmp_path, "7.png")
    write_manifest(tmp_path / "m.csv", ["path", "y0"], [["7", "0"], ["7", "0"]])
    sources = convert(tmp_path / "m.csv", tmp_path / "out", split=ALL).sources
    assert sources.oddities == {"spelled_suffix": Sighting(count=2, row=0, path="7")}


def test_lines_stay_one_line_each() -> None:
    seen = {"spelled_blanks": Sighting(count=1200, row=0, path="a\n\x1b[31m.png")}
    assert oddity_lines(seen, exif=False, num_sources=9) == [
        "1,200 paths were found without the blanks around them (such as a\\n\\x1b[31m.png)"
    ]


def test_verify_and_predict_find_the_same(tmp_path: Path) -> None:
    manifest = draw(tmp_path)
    result = convert(manifest, tmp_path / "out", split=ALL)
    assert result.quarantined == 0
    assert problems(tmp_path / "out", manifest=str(manifest), deep=True) == []
    inputs = ManifestInputs(str(manifest), None, (), result.info, ManifestOptions())
    samples = [s for batch in inputs.batches(5) for piece in batch for s in piece()]
    assert len(samples) == result.rows
    assert not [sample for sample in samples if isinstance(sample.image, ImageError)]


def test_spellings_on_hdfs(hdfs) -> None:
    files = filesystem_of(hdfs)
    files.make_folder(f"{hdfs}/root/a")
    names = [NFD("é.png"), "a/1.png", "000123.JPG", "7.png", "7.gif"]
    put(files, f"{hdfs}/out.png")
    files.together(*(partial(put, files, f"{hdfs}/root/{name}", png()) for name in names))
    told = []
    reader = SpellingReader(HdfsSourceReader(f"{hdfs}/root"), lambda *what: told.append(what))
    for path in (NFC("é.png"), " a\\1.png", "000123"):
        assert reader.read(path) == png()
    assert told == [
        (NFC("é.png"), ("spelled_nfd",)),
        (" a\\1.png", ("spelled_blanks", "spelled_backslash")),
        ("000123", ("spelled_suffix",)),
    ]
    for path, text in (
        ("7", ("missing", "no such file, but several with a suffix: 7.png, 7.gif")),
        ("none", ("missing", "no such file")),
        ("lone\ud800", ("missing", "its path is no valid Unicode")),
        ("..\\out.png", outside("../out.png")),
    ):
        assert refused(reader.read, path) == text
