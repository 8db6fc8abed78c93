"""Exit code 75 is for what passes by itself; the rest is told with what helps."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from convert_cases import COMMAND, command, convert, draw_sources, png
from irregular import LARGE

from convert.errors import ImageError, ShardfeedError, TryAgainError, UsageError
from convert.images.sources.reader import SourceReader
from convert.os_errors import failure, kind_of
from convert.storage.places import read_text
from train.cli import main
from train.predict.output_file import open_output
from train.predict.sources.paths import image_paths
from train.runs.folder import RunFolder

AGAIN = "run the same command again"


@pytest.mark.parametrize(
    ("number", "kind", "help_"),
    [
        (errno.ENOSPC, TryAgainError, "Free space"),
        (errno.EDQUOT, TryAgainError, "Free space"),
        (errno.EIO, TryAgainError, "Free space or repair the disk"),
        (errno.EFBIG, TryAgainError, "Free space"),  # `ulimit -f`, as a full disk
        (errno.ESTALE, TryAgainError, "Wait until the file system's server answers"),
        (errno.ETIMEDOUT, TryAgainError, "Wait until the file system's server answers"),
        (errno.ENOLCK, TryAgainError, "Wait until the file system's server answers"),
        (errno.EAGAIN, TryAgainError, "Wait until other programs have ended"),
        (errno.ENFILE, TryAgainError, "Wait until other programs have ended"),  # of all programs
        (errno.EMFILE, ShardfeedError, "Raise the limit with `ulimit -n 65536`"),  # of this one
        (errno.ENOENT, ShardfeedError, "It was removed"),
        (errno.EACCES, UsageError, "Give this user the right"),
        (errno.EPERM, UsageError, "Give this user the right"),
        (errno.EROFS, UsageError, "Make it writable"),
        (errno.ENAMETOOLONG, UsageError, "Choose a shorter name"),
        (errno.ENOTDIR, UsageError, "Something of another kind stands there"),
        (errno.EISDIR, UsageError, "Something of another kind stands there"),
        (errno.ENOTEMPTY, UsageError, "Something of another kind stands there"),
        (errno.EBUSY, UsageError, "A mount point cannot be replaced"),
        (errno.EXDEV, UsageError, "A folder in an image's layer cannot be replaced"),
        (errno.EBADF, UsageError, "It is closed"),
        (errno.ENOTTY, ShardfeedError, "Repair that"),  # one that nobody has thought of
    ],
)
def test_what_passes_and_what_stays(number: int, kind: type[ShardfeedError], help_: str) -> None:
    error = failure(OSError(number, os.strerror(number), "x"), "x: cannot be written", AGAIN)
    assert type(error) is kind
    assert str(error).startswith(f"x: cannot be written: {os.strerror(number)}. {help_}")
    assert str(error).endswith(f", then {AGAIN}.")


def test_a_file_of_vast_size_stays(tmp_path: Path) -> None:
    """Unlike a limit of file sizes."""
    (tmp_path / "x.json").touch()
    os.truncate(tmp_path / "x.json", LARGE)
    with pytest.raises(OSError) as caught:
        read_text(str(tmp_path / "x.json"))
    told = failure(caught.value, "x.json: cannot be read", "run the same command again")
    assert type(told) is ShardfeedError
    assert str(told) == (
        f"x.json: cannot be read: {LARGE:,} bytes, expected at most 536,870,912. It is too "
        "large to be what its name says: restore it, or move it away, then run the same command "
        "again."
    )


def test_an_error_without_a_number_stays() -> None:
    error = failure(OSError("odd."), "x", AGAIN)
    assert type(error) is ShardfeedError
    assert str(error) == f"x: odd. Repair that, then {AGAIN}."


def test_on_hdfs_another_converter_may_have_cleared_up() -> None:
    gone = OSError(errno.ENOENT, os.strerror(errno.ENOENT), "hdfs://n/.d.staging-1/done/x")
    assert kind_of(gone) is TryAgainError


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    return draw_sources(tmp_path / "sources", 8)


def refused(sources: Path, output: str, *words: str, **options: object) -> tuple[int, str]:
    """Converts as a process; returns its code and the error, after nothing was left behind."""
    place = Path(str(options.get("cwd", ".")))
    before = sorted(os.listdir(place))
    done = command(sources, output, "--size", "12", "8", *words, check=False, **options)
    assert sorted(os.listdir(place)) == before
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("", "DATASET is an empty word, as an unset variable gives. Name a folder."),
        (
            "n" * 230,
            f"{'n' * 230}: its name has 230 bytes; the working folder beside it, whose name is "
            "longer, leaves room for 229. Choose a shorter name.",
        ),
        (
            "é" * 115,
            f"{'é' * 115}: its name has 230 bytes; the working folder beside it, whose name is "
            "longer, leaves room for 229. Choose a shorter name.",
        ),
        ("file/out", "file/out: its parent folder cannot be made: File exists."),
    ],
)
def test_places_where_no_dataset_can_be(
    sources: Path, tmp_path: Path, output: str, message: str
) -> None:
    here = tmp_path / "here"
    (here / "empty").mkdir(parents=True)
    (here / "file").touch()
    expected = f"convert: error: {message.format(here=here)}\n"
    assert refused(sources, output, cwd=here) == (2, expected)


def test_a_folder_in_the_place_of_the_lock(sources: Path, tmp_path: Path) -> None:
    (tmp_path / "here/.out.lock").mkdir(parents=True)
    assert refused(sources, "out", cwd=tmp_path / "here") == (
        1,
        f"convert: error: {tmp_path}/here/.out.lock: Is a directory. "
        "Remove it, then run the same command again.\n",
    )


def test_the_current_folder(sources: Path, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    message = (
        "is the current folder, which cannot be replaced from inside. "
        "Name a folder inside it, or give the command from another folder."
    )
    for name in (".", str(tmp_path / "here")):
        code, err = refused(sources, name, cwd=tmp_path / "here")
        assert (code, err) == (2, f"convert: error: {name}: {message}\n")


def test_a_finished_dataset_may_be_the_current_folder(sources: Path, tmp_path: Path) -> None:
    command(sources, "out", "--size", "12", "8", cwd=tmp_path)
    command(sources, ".", "--size", "12", "8", cwd=tmp_path / "out")


def test_a_mount_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "ismount", lambda path: True)
    with pytest.raises(UsageError) as caught:
        convert(tmp_path / "m.csv", tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: is a mount point, which cannot be replaced. "
        f"Name a folder inside it, like {tmp_path}/dataset."
    )


def test_the_longest_name_is_converted(sources: Path, tmp_path: Path) -> None:
    convert(sources, tmp_path / ("n" * 229))
    assert (tmp_path / ("n" * 229) / "_SUCCESS").exists()


def test_too_many_open_files_are_not_a_lack_of_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str, *_: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), path)

    monkeypatch.setattr("convert.images.sources.reader.time.sleep", lambda seconds: None)
    (tmp_path / "b.png").write_bytes(png())
    reader = SourceReader(str(tmp_path))
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(ShardfeedError) as caught:
        reader.read("b.png")
    assert type(caught.value) is ShardfeedError
    assert str(caught.value) == (
        "b.png: cannot be read: Too many open files. Raise the limit with `ulimit -n 65536`, or "
        f"give fewer --workers, then {AGAIN}."
    )


def test_a_path_that_the_locale_cannot_write(tmp_path: Path) -> None:
    """It has no null byte, and it is good Unicode."""
    (tmp_path / "孙.png").write_bytes(png())
    (tmp_path / "m.csv").write_text("path,y0\n孙.png,a\n孙.png,b\n", encoding="utf-8")
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [*COMMAND, "m.csv", "out", "--size", "12", "8", "--split", "train=1"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "its path has characters that the locale's encoding" in done.stderr
    assert "set LC_ALL=C.UTF-8" in done.stderr


def test_what_is_no_unicode_stays_so(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="its path is no valid Unicode"):
        SourceReader(str(tmp_path)).read("lone\ud800")


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, TryAgainError), (errno.EROFS, UsageError)]
)
def test_a_run_that_cannot_be_written(
    tmp_path: Path, number: int, kind: type[ShardfeedError]
) -> None:
    run = RunFolder(str(tmp_path))
    with pytest.raises(ShardfeedError, match=f"then go on with `train resume {tmp_path}`") as found:  # noqa: SIM117
        with run.writing("log.txt"):
            raise OSError(number, os.strerror(number))
    assert type(found.value) is kind


def test_an_output_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with (
        pytest.raises(UsageError, match="Something of another kind stands there"),
        open_output(f"{tmp_path}/out") as file,
    ):
        file.write("text")
    assert os.listdir(tmp_path) == ["out"]


def test_an_error_that_nobody_expected_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    monkeypatch.setattr("train.runs.open.require_run", refuse)
    with pytest.raises(SystemExit) as ended:
        main(["resume", "run"])
    assert ended.value.code == 2
    assert capfd.readouterr().err == (
        "train: error: run: Permission denied. Give this user the right, or name another place, "
        f"then {AGAIN}.\n"
    )


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_list_from_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.png"):
        Path(name).touch()
    lines = [f"a.png{end}", end, f"b.png{end}", "gone.png\r\n", "last.png"]
    assert list(image_paths(["-"], lines)) == ["a.png", "b.png", "gone.png", "last.png"]


def test_a_name_may_end_in_a_carriage_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("odd.png\r").touch()
    assert list(image_paths(["-"], ["odd.png\r\n"])) == ["odd.png\r"]


@pytest.mark.parametrize("backend", ["torch", "nonsense"])
def test_a_backend_that_is_not_there(tmp_path: Path, backend: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "train", str(tmp_path)],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"train: error: KERAS_BACKEND={backend}: Keras cannot load it: ")
    assert line.endswith("Install it, or set another one: tensorflow, the default, or jax.")
