"""A disk that is full stops a conversion with one line; when there is room again, it goes on."""

import json
import re
import resource
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from convert_cases import COMMAND, PATIENCE, command, digests, draw_sources, without_plan
from mount_cases import NAMESPACE, can_mount

NUM_ROWS = 24
RECORD_BYTES = 76_900  # of 160x160 pixels
WORDS = ["disk/out", "--size", "160", "160", "--shard-bytes", "1", "--workers", "2", "--json"]

# The disk is there only for this script and the processes that it starts.
SCRIPT = """
mount -t tmpfs -o size=4m tmpfs disk || exit
head -c {ballast} /dev/zero > disk/ballast
{command} > first.out 2> first.err
echo $? > first.code
ls -A disk > left
rm disk/ballast
{command} > second.out 2> second.err
echo $? > second.code
ls -A disk > end
cp -r disk/out out
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the command, and what stands beside its output afterwards."""

    code: int
    out: str
    err: str
    left: list[str]


def on_a_small_disk(folder: Path, words: list[str], ballast: int) -> list[Run]:
    """Runs the command on a disk that is nearly full, and again when it is not."""
    script = SCRIPT.format(ballast=ballast, command=" ".join(words))
    subprocess.run([*NAMESPACE, "sh", "-c", script], cwd=folder, check=True, timeout=2 * PATIENCE)
    return [
        Run(
            int((folder / f"{name}.code").read_text()),
            (folder / f"{name}.out").read_text(),
            (folder / f"{name}.err").read_text(),
            sorted((folder / left).read_text().split()),
        )
        for name, left in (("first", "left"), ("second", "end"))
    ]


def with_small_files(folder: Path, words: list[str]) -> list[Run]:
    """Does the same where nobody may mount: no file can become as long as a shard."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (RECORD_BYTES // 2, RECORD_BYTES // 2))

    return [one_run(folder, words, limit), one_run(folder, words, None)]


def one_run(folder: Path, words: list[str], before: Callable[[], None] | None) -> Run:
    done = subprocess.run(
        words,
        cwd=folder,
        capture_output=True,
        text=True,
        preexec_fn=before,
        check=False,
        timeout=PATIENCE,
    )
    left = sorted(path.name for path in (folder / "disk").iterdir())
    return Run(done.returncode, done.stdout, done.stderr, left)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sources, and a conversion of them that nothing stopped."""
    folder = tmp_path_factory.mktemp("whole")
    draw_sources(folder, NUM_ROWS)
    command("m.csv", *WORDS, cwd=folder)
    return folder


@pytest.mark.parametrize(
    "room",
    [
        pytest.param(0, marks=pytest.mark.long),  # not even for the first folder
        1,  # for a page: the folders take none
        5,  # for some shards
        pytest.param(20, marks=pytest.mark.long),
        NUM_ROWS,  # for all shards, but not for what the main process notes of them
    ],
)
def test_a_full_disk(whole: Path, tmp_path: Path, room: int) -> None:
    (tmp_path / "disk").mkdir()
    words = [*COMMAND, str(whole / "m.csv"), *WORDS]
    if can_mount():
        pages = -(-RECORD_BYTES // 4096) * room
        first, second = on_a_small_disk(tmp_path, words, (4 << 20) - 4096 * pages)
        problem, result = "No space left on device", tmp_path / "out"
    else:
        first, second = with_small_files(tmp_path, words)
        problem, result = "File too large", tmp_path / "disk/out"
    assert (first.code, first.out) == (75, "")
    assert re.fullmatch(
        rf"convert: error: [^\n]+: {problem}\. "
        r"Free space or repair the disk, then run the same command again: it goes on\.\n",
        without_plan(first.err),
    )
    assert "out" not in first.left
    assert second.code == 0, second.err
    assert second.left == ["out"]
    assert digests(result) == digests(whole / "disk/out")
    summary = json.loads(second.out)
    assert summary["records"] == NUM_ROWS
    assert summary["resumed_rows"] < NUM_ROWS
