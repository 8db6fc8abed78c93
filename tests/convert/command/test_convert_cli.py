"""The command: its words, its errors of one line, its codes and its summary."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from convert_cases import (
    COMMAND,
    command,
    digests,
    draw_sources,
    without_plan,
    write_manifest,
)

from convert.cli import main
from convert.config import ConvertConfig
from convert.version import __version__

SIZE = ["--size", "12", "8"]
HELP = "See `convert run --help`."
Fails = Callable[..., tuple[int, str]]


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """`main` takes SIGTERM over for the life of its process; this one goes on."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with 40 images and their manifest."""
    monkeypatch.chdir(tmp_path)
    draw_sources(tmp_path, 40)
    return tmp_path


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Fails:
    """Runs `main`; returns the code and the only line that it printed."""

    def run(*words: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as stop:
            main([str(word) for word in words])
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.endswith("\n") and printed.err.count("\n") == 1, printed.err
        return stop.value.code, printed.err.rstrip("\n")

    return run


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "the following arguments are required: VERB. See `convert --help`."),
        ("m.csv", f"the following arguments are required: DATASET. {HELP}"),
        ("m.csv out --frobnicate", "unrecognized arguments: --frobnicate. See `convert --help`."),
        ("m.csv out --size 8", f"argument --size: expected 2 arguments. {HELP}"),
        ("m.csv out --size 8 x", f"argument --size: invalid int value: 'x'. {HELP}"),
        (
            "m.csv out --alpha red",
            "argument --alpha: invalid choice: 'red' (choose from 'drop', 'black', 'white'). "
            + HELP,
        ),
        (
            "m.csv out --split train",
            f"argument --split: expected NAME=SHARE,..., got 'train'. {HELP}",
        ),
        ("m.csv out", "--size W H is needed when there is no --crop: all records have one size."),
        (
            "m.csv out --size 0 8",
            "--size must be at least 1x1 and at most 2**24 pixels, got 0 8.",
        ),
        (
            "m.csv out --size 4097 4096",
            "--size must be at least 1x1 and at most 2**24 pixels, got 4097 4096.",
        ),
        (
            "m.csv out --crop 5 0 5 8",
            "--crop must be L T R B with 0 <= L < R and 0 <= T < B, got 5 0 5 8.",
        ),
        (
            "m.csv out --crop -1 0 5 8",
            "--crop must be L T R B with 0 <= L < R and 0 <= T < B, got -1 0 5 8.",
        ),
        (
            "m.csv out --size 8 8 --split train=0.5,validation=0.4",
            "--split shares must be above 0 and add up to 1, got 0.5 0.4.",
        ),
        (
            "m.csv out --size 8 8 --split train=1.5,validation=-0.5",
            "--split shares must be above 0 and add up to 1, got 1.5 -0.5.",
        ),
        (
            "m.csv out --size 8 8 --split train=0.5,dev=0.5",
            "--split takes each of train, validation, test at most once, got train, dev.",
        ),
        (
            "m.csv out --size 8 8 --split train=1 --split-column s",
            "--split and --split-column exclude each other: give one of them.",
        ),
        ("m.csv out --size 8 8 --seed -1", "--seed must be in [0, 2**63), got -1."),
        (
            "m.csv out --size 8 8 --name Images",
            "--name must be a lower-case letter, then letters, digits or _, got 'Images'.",
        ),
        ("m.csv out --size 8 8 --workers 0", "--workers must be at least 1, got 0."),
        ("m.csv out --size 8 8 --shard-bytes 0", "--shard-bytes must be at least 1, got 0."),
        ("m.csv out --size 8 8 --max-pixels 0", "--max-pixels must be at least 1, got 0."),
        (
            "m.csv out --size 8 8 --max-bad-fraction nan",
            "--max-bad-fraction must be in [0, 1], got nan.",
        ),
        (
            "m.csv out --size 8 8 --label-columns y0 --text-column t",
            "--label-columns and --text-column exclude each other: give one of them.",
        ),
        (
            "m.csv out --size 8 8 --label-columns y0,y1,y0",
            "--label-columns names a column twice: y0,y1,y0.",
        ),
        (
            "m.csv out --size 8 8 --pad-label",
            "--pad-label needs --text-column: label columns have no length.",
        ),
        (
            "m.csv out --size 8 8 --labels-are-indices",
            "--labels-are-indices needs --vocabulary FILE: indices mean nothing without classes.",
        ),
        ("no.csv out --size 8 8", "no.csv: no such manifest. Check the path."),
        (
            "m.csv out --size 8 8 --label-columns y0,z",
            "m.csv: no column 'z' (from --label-columns); the columns are path, y0, y1.",
        ),
        (
            "m.csv out --size 8 8 --root nowhere",
            "--root nowhere: no such folder. The manifest's paths start there.",
        ),
        (
            "m.csv out --size 8 8 --vocabulary y7=m.csv",
            "--vocabulary y7=FILE: no such output; they are y0, y1.",
        ),
        (
            "m.csv out --size 8 8 --vocabulary m.csv --vocabulary m.csv",
            "--vocabulary is given twice for all outputs.",
        ),
        (
            "m.csv i --size 8 8",
            "i: exists and is no valid dataset, so it is left alone. "
            "Choose another output, or remove it yourself.",
        ),
        (
            "m.csv m.csv --size 8 8 --overwrite",
            "m.csv: exists and is no valid dataset, so it is left alone. "
            "Choose another output, or remove it yourself.",
        ),
    ],
)
def test_usage_errors(folder: Path, fails: Fails, words: str, message: str) -> None:
    before = sorted(folder.iterdir())
    assert fails(*words.split()) == (2, f"convert: error: {message}")
    assert sorted(folder.iterdir()) == before  # nothing was made, nothing is left


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (
            ["picture", "y0"],
            "no column of paths: name it with --path-column, or call it path; the columns are "
            "picture, y0. A file without a header needs one, such as path,text.",
        ),
        (
            ["path", "reading"],
            "no column is known to hold labels: name a column of whole texts with --text-column, "
            "or one column for each character with --label-columns; the columns are path, reading.",
        ),
    ],
)
def test_manifests_without_what_is_needed(
    folder: Path, fails: Fails, header: list[str], message: str
) -> None:
    write_manifest(folder / "w.csv", header, [["a.png", "x"]])
    assert fails("w.csv", "out", *SIZE) == (2, f"convert: error: w.csv: {message}")


def test_empty_split(folder: Path, fails: Fails) -> None:
    words = ["m.csv", "out", *SIZE, "--split", "train=0.999999,test=0.000001"]
    assert fails(*words) == (
        2,
        "convert: error: the split 'test' is empty: none of 40 good rows fell into it. "
        "Give it a larger share with --split, or add rows.",
    )


def test_a_crop_beyond_every_image(folder: Path) -> None:
    done = command("m.csv", "out", "--crop", 0, 0, 13, 8, "--order", "source", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert without_plan(done.stderr) == (
        "convert: error: 40 of 40 rows are bad, more than --max-bad-fraction 0.01 allows: "
        "40 box_outside (row 0, i/0.png: the box 0 0 13 8 reaches past the image, 12x8). "
        "What helps: for box_outside, --pad-crop fills with black where the box reaches past the "
        "image, or give a --crop that is inside every image.\n"
    )
    assert not (folder / "out").exists()


def test_run_is_implied_and_json_is_the_last_line(folder: Path) -> None:
    implied = command("m.csv", "implied", *SIZE, "--workers", 1, "--json")
    spoken = command("run", "m.csv", "spoken", *SIZE, "--workers", 1)
    assert spoken.stdout == ""
    assert digests(folder / "implied") == digests(folder / "spoken")
    summary = json.loads(implied.stdout.splitlines()[-1])
    assert summary.pop("seconds") > 0
    assert summary == {
        "dataset": "implied",
        "dataset_id": digests(folder / "implied")["dataset.json"],
        "already_complete": False,
        "rows": 40,
        "records": 40,
        "quarantined": 0,
        "dropped_alpha": 0,
        "exif_oriented": 0,
        "oddities": {},
        "leaked": 0,
        "conflicting": 0,
        "resumed_rows": 0,
        "input_bytes": sum(path.stat().st_size for path in (folder / "i").iterdir()),
        "bottleneck": summary["bottleneck"],
    }
    assert summary["bottleneck"] in ("reading", "decoding", "writing")
    again = command("m.csv", "implied", *SIZE, "--json")
    unknown = ("dropped_alpha", "exif_oriented", "oddities", "leaked", "conflicting", "bottleneck")
    summary |= {"already_complete": True, "input_bytes": 0, **dict.fromkeys(unknown)}
    assert {**json.loads(again.stdout), "seconds": 0} == {**summary, "seconds": 0}
    assert again.stderr == "convert: implied is already complete: train 37, validation 3\n"


def test_help_names_every_option_as_a_flag() -> None:
    text = command("run", "--help").stdout
    words = set(re.findall(r"--[a-z-]+", text))
    named = {"--" + field.name.replace("_", "-") for field in fields(ConvertConfig)}
    others = {"--help", "--json", "--plan-only", "--split-key"}  # the last: --group-column
    assert named - {"--manifest", "--dataset"} == words - others
    assert " MANIFEST DATASET\n" in text


def test_help_and_version() -> None:
    assert command("--help").stdout.startswith("usage: convert [-h] [--version] VERB ...\n")
    assert command("--version").stdout.splitlines()[0] == f"shardfeed {__version__}"


def test_the_command_is_installed() -> None:
    script = Path(sys.executable).with_name("convert")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == command("--version").stdout
    assert COMMAND[1:] == ("-m", "convert")
