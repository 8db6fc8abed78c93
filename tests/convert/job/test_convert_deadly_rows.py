"""A row whose image ends any process that decodes it costs one row, and not the job."""

import json
import resource
from pathlib import Path
from typing import Any

import pytest
from convert_cases import command, digests, draw_sources, encoded, png, without_plan
from fault_cases import quarantine
from fault_injection import faulty
from PIL import Image, JpegImagePlugin

from convert.images import ImageOptions, render

NUM_ROWS = 20
DEADLY = ("i/4.png", "i/5.png")
SIZE = (13, 13)  # of an image that is deadly
WORDS = ["m.csv", "out", "--size", 12, 8, "--order", "source", "--max-bad-fraction", 0.2]
WORDS += ["--shard-bytes", 369 * 10, "--split", "train=1", "--json"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with 20 images in two shards; two of one shard are deadly."""
    draw_sources(tmp_path / "f", NUM_ROWS)
    for path in DEADLY:
        (tmp_path / "f" / path).write_bytes(png(SIZE))
    return tmp_path / "f"


def no_core_files() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run(folder: Path, fault: str, *more: object) -> dict[str, Any]:
    """Converts in processes with a fault; returns the summary."""
    environment = faulty(folder.parent / "fault", fault)
    done = command(*WORDS, *more, cwd=folder, env=environment, preexec_fn=no_core_files)
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout)


def end_of(words: str) -> tuple[str, str]:
    return "worker_died", f"decoding it ended 3 fresh processes, {words}"


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("SIGSEGV", "by SIGSEGV"),
        # As by the kernel that has no memory left.
        pytest.param("SIGKILL", "by SIGKILL", marks=pytest.mark.long),
        ("MemoryError", "for want of memory"),
    ],
)
def test_a_deadly_row_is_left_out(folder: Path, how: str, words: str) -> None:
    (folder / "i/4.png").write_bytes(png())
    summary = run(folder, f"fail_on_size({SIZE}, {how!r})", "--workers", 1)
    assert (summary["rows"], summary["records"], summary["quarantined"]) == (20, 19, 1)
    assert quarantine(folder / "out") == {"i/5.png": end_of(words)}


@pytest.mark.parametrize("where", ["its header", "its EXIF"])
def test_want_of_memory_is_no_damage(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """Where a header is read, every other error is one of the file."""
    turned = Image.Exif()
    turned[0x0112] = 6
    data = encoded(Image.new("RGB", (4, 4)), "JPEG", exif=turned)

    def fail(image: Image.Image, *more: object) -> None:
        raise MemoryError

    name = {"its header": "_open", "its EXIF": "getexif"}[where]
    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, name, fail)
    with pytest.raises(MemoryError):
        render(data, ImageOptions(crop=None, size=(4, 4), exif=True))


def test_several_deadly_rows_give_the_same_bytes_for_any_number_of_workers(folder: Path) -> None:
    found = []
    for workers in (1, 2):
        summary = run(folder, f"fail_on_size({SIZE}, 'SIGSEGV')", "--workers", workers)
        assert (summary["records"], summary["quarantined"]) == (18, 2)
        assert quarantine(folder / "out") == dict.fromkeys(DEADLY, end_of("by SIGSEGV"))
        found.append(digests(folder / "out"))
        (folder / "out").rename(folder.parent / f"out-{workers}")
    assert found[0] == found[1]


def test_a_row_that_is_deadly_once_is_converted(folder: Path, tmp_path: Path) -> None:
    once = str(tmp_path / "once")
    summary = run(folder, f"fail_on_size({SIZE}, 'SIGSEGV', {once!r})", "--workers", 1)
    assert (tmp_path / "once").exists()
    assert (summary["records"], summary["quarantined"]) == (20, 0)
    struck = digests(folder / "out")
    (folder / "out").rename(tmp_path / "struck")
    command(*WORDS, cwd=folder)
    assert digests(folder / "out") == struck


def test_deadly_rows_count_as_bad_ones(folder: Path) -> None:
    (folder / "i/4.png").write_bytes(png())
    environment = faulty(folder.parent / "fault", f"fail_on_size({SIZE}, 'SIGSEGV')")
    limit = {"preexec_fn": no_core_files, "env": environment}
    more = ["--workers", 1, "--max-bad-fraction", 0.04]
    done = command(*WORDS, *more, cwd=folder, check=False, **limit)
    assert (done.returncode, done.stdout) == (1, "")
    assert without_plan(done.stderr) == (
        "convert: error: 1 of 20 rows are bad, more than --max-bad-fraction 0.04 allows: "
        "1 worker_died (row 5, i/5.png: decoding it ended 3 fresh processes, by SIGSEGV). "
        "What helps: for worker_died, save these images again in another program, or delete their "
        "rows. Or raise --max-bad-fraction, which leaves all these rows out.\n"
    )
    (folder / "i/5.png").write_bytes(png())
    assert json.loads(command(*WORDS, *more, cwd=folder).stdout)["records"] == NUM_ROWS
