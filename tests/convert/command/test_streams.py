"""Standard streams that are closed or full, and no place for temporary files."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import forked
import pytest
from convert_cases import COMMAND, PATIENCE, digests, draw_sources
from train_cases import learn

TRAIN = (sys.executable, "-m", "train")
FULL = Path("/dev/full")
NO_ROOM = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
needs_full = pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full here")


def shell(folder: Path, words: tuple[str, ...], redirection: str) -> tuple[int, str, str]:
    """Runs a command with its streams redirected; returns its code and what came through."""
    done = subprocess.run(
        ["bash", "-c", f"{shlex.join(words)} {redirection}"],
        cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    return done.returncode, done.stdout, done.stderr


CONVERSION = (*COMMAND, "m.csv", "out", "--size", "12", "8", "--workers", "1", "--json")


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    draw_sources(tmp_path, 20)
    return tmp_path


@pytest.mark.parametrize(
    "redirection", ["2>&-", "<&- 2>&-", pytest.param("2>/dev/full", marks=needs_full)]
)
def test_work_goes_on_without_a_voice(sources: Path, redirection: str) -> None:
    code, out, _ = shell(sources, CONVERSION, redirection)
    assert (code, json.loads(out)["records"]) == (0, 20)
    digests(sources / "out")


def test_all_streams_are_closed(sources: Path) -> None:
    """None of the dataset's files gets the number of a stream that a library writes to."""
    shell(sources, CONVERSION, "2>/dev/null >/dev/null")
    whole = digests(sources / "out")
    (sources / "out").rename(sources / "whole")
    words = tuple(word for word in CONVERSION if word != "--json")
    assert shell(sources, words, "<&- >&- 2>&-")[0] == 0
    assert digests(sources / "out") == whole


@pytest.mark.parametrize(
    ("redirection", "code", "message"),
    [
        pytest.param(
            ">/dev/full", 75,
            "No space left on device. Free space or repair the disk", marks=needs_full,
        ),
        (">&-", 2, "Bad file descriptor. It is closed: open it, or name a file"),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "words",
    [
        CONVERSION,
        (*TRAIN, "--help"),
        pytest.param((*COMMAND, "--version"), marks=pytest.mark.long),
        pytest.param((*TRAIN, "--version"), marks=pytest.mark.long),
    ],
    ids=["convert", "train --help", "convert --version", "train --version"],
)
def test_a_result_that_cannot_be_written(
    sources: Path, words: tuple[str, ...], redirection: str, code: int, message: str
) -> None:
    program = words[2]
    found, _, err = shell(sources, words, redirection)
    assert found == code
    assert err.splitlines()[-1] == (
        f"{program}: error: stdout: cannot be written: {message}, then run the same command again."
    )


@pytest.fixture(scope="module")
def run(small_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("streams") / "run"
    learn(small_dataset, path)
    return path


def test_predict_without_streams(run: Path, sample_files: list[str], tmp_path: Path) -> None:
    done = forked.run(forked.TRAIN, "predict", run, "-", closed=[0])
    assert done.returncode == 2
    assert done.stderr.startswith("train: error: stdin: cannot be read: Bad file")
    done = forked.run(forked.TRAIN, "predict", run, sample_files[0], closed=[1])
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("train: error: stdout: cannot be written: Bad file")
    words = ("predict", run, sample_files[0], "--output", "table.csv")
    done = forked.run(forked.TRAIN, *words, cwd=tmp_path, closed=[1, 2])
    assert (done.returncode, os.listdir(tmp_path)) == (0, ["table.csv"])


@pytest.mark.parametrize("verb", ["predict", "evaluate"])
def test_verbs_that_write_nothing_need_no_temporary_folder(
    run: Path, sample_files: list[str], tmp_path: Path, verb: str
) -> None:
    """No file can be written anywhere, not even while TensorFlow loads."""
    if verb == "predict":
        words = (*TRAIN, verb, str(run), sample_files[0])
        limited = ("bash", "-c", 'ulimit -f 0; exec "$@"', "-", *words)
        code, out, err = shell(tmp_path, limited, "| cat; exit ${PIPESTATUS[0]}")
    else:
        done = forked.run(NO_ROOM + forked.TRAIN, verb, run, cwd=tmp_path)
        code, out, err = done.returncode, done.stdout, done.stderr
    assert code == 0, err
    assert out


def test_a_resume_on_a_full_disk_is_to_be_tried_again(run: Path, tmp_path: Path) -> None:
    done = forked.run(NO_ROOM + forked.TRAIN, "resume", run, "--epochs", 2)
    assert done.returncode == 75
    assert done.stderr.splitlines()[-1].endswith(
        f"File too large. Free space or repair the disk, then go on with `train resume {run}`."
    )
