"""The documents say what the code does."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys

import pytest
from command_parsers import parser_of
from conftest import ROOT
from documents import EVERYTHING, PAGES, anchors, command_lines, examples, headings, links, table

from convert.dataset.info import DatasetInfo, Shard
from convert.dataset.parser import parse_dataset
from convert.dataset.record import VARINT_BYTES, RecordLayout
from convert.errors import REASONS
from convert.images.options import ImageOptions
from train import SourceOptions, load_dataset

FORMAT = (ROOT / "data" / "README.md").read_text(encoding="utf-8")


def test_features_stand_in_the_order_of_the_table():
    layout = RecordLayout(num_labels=4, image_bytes=12)
    record = b"".join(layout.encode(bytes(20), bytes(5), bytes(12)))
    places = [record.index(name.encode()) for name in table(FORMAT, "feature")]
    assert list(table(FORMAT, "feature")) == ["label", "row", "image"]
    assert places == sorted(places)


def test_padded_varints_are_as_long_as_the_table_says():
    lengths = re.findall(r"padded varint of (\d) bytes", FORMAT)
    assert lengths == [str(VARINT_BYTES)] * 2


def test_the_example_layout_is_computed():
    layout = RecordLayout(num_labels=4, image_bytes=128 * 32 * 3)
    example = json.loads(re.search(r"^    (\{.*\})$", FORMAT, re.MULTILINE).group(1))
    assert example == {key: getattr(layout, key) for key in table(FORMAT, "key in `layout`")}


def test_every_key_of_dataset_json_is_listed_in_order():
    shard = Shard(file="a-train.tfrecord-00000-of-00001", records=0, bytes=0, sha256="0" * 64)
    info = DatasetInfo(
        name="a",
        image=ImageOptions(crop=None, size=(1, 1), channels=1),
        outputs={"y0": "y0"},
        vocabularies={"y0": ("a",)},
        splits={"train": (shard,)},
        plan_id="0" * 64,
        manifest_sha256="0" * 64,
        options={},
    )  # fmt: skip
    assert list(json.loads(info.to_json())) == list(table(FORMAT, "key"))
    assert parse_dataset(info.to_json(), "here") == info


def test_every_reason_is_listed():
    assert tuple(table(FORMAT, "reason")) == REASONS


def help_of(*command: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", *command, "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "100"},
    ).stdout


@pytest.mark.parametrize("verb", ["run", "verify", "show"])
def test_every_flag_of_convert_is_described(verb):
    flags = set(re.findall(r"--[a-z-]+", help_of("convert", verb))) - {"--help"}
    missing = sorted(flag for flag in flags if f"`{flag}" not in PAGES["docs/convert.md"])
    assert missing == []


@pytest.mark.parametrize(
    "verb", ["fit", "resume", "evaluate", "audit", "compare", "predict", "export", "bench"]
)
def test_the_pages_say_what_help_says(verb):
    """`.ci/write_help.py` writes it."""
    lines = [f"$ train {verb} --help", *help_of("train", verb).rstrip().splitlines()]
    assert "".join(f"    {line}".rstrip() + "\n" for line in lines) in EVERYTHING


def test_python_examples_are_found():
    assert len(examples("python")) == 5


@pytest.mark.parametrize("example", examples("python"))
def test_python_examples_run(example, small_dataset, monkeypatch, tmp_path):
    """Each is executed as it stands, on a dataset of the name that it uses."""
    (tmp_path / "strips").symlink_to(small_dataset)
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    exec(compile(example, "an example", "exec"), namespace)
    for _ in namespace.get("batches", ()):
        pass
    if "model" in namespace:
        assert namespace["model"].optimizer.iterations > 0


def test_every_option_of_loading_is_described():
    rows = re.findall(r"^\| (`.*?) \|", PAGES["docs/loading.md"], re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"[a-z_]+", row)}
    options = set(SourceOptions.__annotations__)
    assert options - named == set()
    assert all(f"`{option}`" in load_dataset.__doc__ for option in options - {"labels"})
    assert all(f"        {option}: " in SourceOptions.__doc__ for option in options)


def test_the_readme_is_short():
    assert len(PAGES["README.md"].splitlines()) <= 250


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(name):
    folder = (ROOT / name).parent
    for link in links(PAGES[name]):
        path, _, anchor = link.partition("#")
        target = (folder / path).resolve() if path else ROOT / name
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), link


@pytest.mark.parametrize("name", [name for name in PAGES if name != "README.md"])
def test_every_page_lists_its_headings_and_is_named_in_the_readme(name):
    listed = re.findall(r"^ *- \[(.*)\]\(#", PAGES[name], re.MULTILINE)
    assert listed == headings(PAGES[name])
    assert f"]({name})" in PAGES["README.md"]


@pytest.mark.parametrize("name", PAGES)
def test_every_command_line_is_accepted(name):
    """Parses the command lines of a page: no option is misspelt or gone."""
    for line in command_lines(PAGES[name]):
        command, *words = shlex.split(line, comments=True)
        parser, words = parser_of(command, words)
        parser.parse_args(words)
