"""Packs what Spark's executors need: `python -m convert.pack FOLDER [--with train]`.

The archive holds the very files of this environment that `convert` uses, or `train` on JAX, and
the system libraries that its image decoders are linked to: executors make the same pixels, hence
the same bytes, and need nothing but a Python of the same version. TensorFlow and PySpark stay out.
(`venv-pack` takes whole environments only, without system libraries, and none that is installed as
editable.)
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import NoReturn

from convert.command.byte_sizes import show_bytes
from convert.command.command_line import OneLineParser
from convert.command.streams import print_result
from convert.errors import ShardfeedError, UsageError
from convert.os_errors import failure

ARCHIVE = "environment.tar.gz"


@dataclass(frozen=True, kw_only=True, slots=True)
class Packed:
    """A command that executors run.

    Attributes:
        packages: Its packages.
        roots: Distributions that it needs, besides what these need.
        optional: Patterns of names of distributions that are packed if they are installed.
        words: What follows the file that `spark-submit` starts.
    """

    packages: tuple[str, ...]
    roots: tuple[str, ...]
    optional: tuple[str, ...]
    words: str


_CONVERT = Packed(
    packages=("convert",),
    roots=("numpy", "pyarrow", "google-crc32c", "simplejpeg", "fonttools", "tqdm"),
    optional=("pillow-simd", "pillow", "pyspng", "hdfs-native"),
    words="MANIFEST DATASET --engine spark",
)
COMMANDS = {
    "convert": _CONVERT,
    "train": Packed(
        packages=("convert", "train"),
        roots=(*_CONVERT.roots, "keras", "jax", "h5py", "tensorboardX", "crc32c", "jinja2"),
        # JAX for GPUs, and NVIDIA's libraries, which it names as extras.
        optional=(*_CONVERT.optional, "jax-cuda.*", "nvidia-.*"),
        words="DATASET --run hdfs://... --engine spark --num-hosts N",
    ),
}
# Every Linux, or driver of GPUs, has these, in versions that fit its kernel and to each other.
_OF_THE_SYSTEM = re.compile(
    r"(ld-linux|linux-vdso|lib(c|m|dl|rt|pthread|util|resolv|gcc_s|stdc\+\+|cuda)\.so)"
)
_LAUNCHER_TEXT = '''\
"""What spark-submit starts: the `{command}` of the environment that it runs in."""

from {command}.cli import main

if __name__ == "__main__":
    main()
'''
# Spark's own path goes first: the cluster's PySpark wins.
_PYTHON = """\
#!/bin/sh
here=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd) || exit
export PYTHONPATH="${{PYTHONPATH:+$PYTHONPATH:}}$here/site-packages"
export LD_LIBRARY_PATH="$here/lib${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}"
export PYTHONNOUSERSITE=1
exec {python} "$@"
"""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and exits with its code."""
    parser = OneLineParser(
        prog="python -m convert.pack",
        description="Packs the environment in which Spark's executors run `convert` or `train`.",
    )
    parser.add_argument("folder", metavar="FOLDER", help="folder to write the archive into")
    parser.add_argument(
        "--with",
        dest="command",
        choices=tuple(COMMANDS),
        default="convert",
        help="command that the executors run (default: %(default)s); train runs on JAX",
    )
    parser.add_argument(
        "--python",
        metavar="PATH",
        default=os.path.realpath(getattr(sys, "_base_executable", sys.executable)),
        help="path of Python on the nodes, the same version (default: this one, %(default)s)",
    )
    namespace = parser.parse_args(arguments)
    try:
        size = pack(Path(namespace.folder), namespace.python, namespace.command)
    except ShardfeedError as error:
        print(f"convert.pack: error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    written = f"{show_bytes(size, 'MB', 0)} in {namespace.folder}/{ARCHIVE}"
    print(f"convert.pack: {written}", file=sys.stderr)
    print_result(submit_line(namespace.folder, namespace.command))
    sys.exit(0)


def pack(folder: Path, python: str, command: str = "convert") -> int:
    """Writes the archive, and beside it the file that `spark-submit` starts.

    Args:
        folder: Made if it is not there.
        python: Path of the Python of the nodes.
        command: Of `COMMANDS`.

    Returns:
        The archive's size in bytes.

    Raises:
        UsageError: A library is missing, or was installed in a way that hides its files.
        TryAgainError: The disk is full or fails.
    """
    files = dict(_files(COMMANDS[command]))
    libraries = {f"lib/{path.name}": path for path in _libraries(files.values())}
    part = folder / f"{ARCHIVE}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _launcher(command)).write_text(_LAUNCHER_TEXT.format(command=command))
        with tarfile.open(part, "w:gz", compresslevel=6) as archive:
            _add_script(archive, "bin/python", _PYTHON.format(python=python))
            for name, path in sorted({**files, **libraries}.items()):
                archive.add(path.resolve(), name)
        part.replace(folder / ARCHIVE)
    except OSError as error:
        raise failure(error, str(error.filename or folder), "pack again") from error
    return (folder / ARCHIVE).stat().st_size


def submit_line(folder: str, command: str = "convert") -> str:
    """Returns a command that converts or trains on YARN with the files of a folder."""
    return (
        f"spark-submit --master yarn --archives {folder}/{ARCHIVE}#environment "
        "--conf spark.pyspark.python=./environment/bin/python "
        f"--conf spark.pyspark.driver.python={sys.executable} "
        f"{folder}/{_launcher(command)} {COMMANDS[command].words}"
    )


def _launcher(command: str) -> str:
    """Returns the name of the file that `spark-submit` starts."""
    return f"{command}_on_spark.py"


def _files(command: Packed) -> Iterator[tuple[str, Path]]:
    """Yields the name in the archive and the place of each file."""
    folder = Path(__file__).parents[1]  # by its place: an editable installation lists no files
    for path in (file for name in command.packages for file in (folder / name).rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield f"site-packages/{path.relative_to(folder)}", path
    for name in sorted(distributions(command)):
        found = metadata.distribution(name).files
        if not found:
            raise UsageError(f"{name}: pip does not know its files. Install it again with pip.")
        for file in found:
            path = Path(str(file.locate()))
            if ".." not in file.parts and path.is_file():
                yield f"site-packages/{file}", path


def distributions(command: Packed) -> set[str]:
    """Returns the names of the distributions that a command needs, and of what these need."""
    for name in command.roots:
        if not _is_installed(name):
            what = name if name == "jax" else "shardfeed again"
            raise UsageError(f"{name} is missing: install {what} with pip.")
    installed = {canonical(one.metadata["Name"]) for one in metadata.distributions()}
    chosen = [name for name in installed if any(re.fullmatch(p, name) for p in command.optional)]
    waiting, found = [*map(canonical, command.roots), *chosen], set[str]()
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        for requirement in metadata.requires(name) or []:
            needed = re.match(r"[\w.-]+", requirement)
            if needed and "extra ==" not in requirement and _is_installed(needed[0]):
                waiting.append(canonical(needed[0]))
    return found


def canonical(name: str) -> str:
    """Returns a distribution's name in the one spelling by which names are compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _is_installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _libraries(files: Iterable[Path]) -> set[Path]:
    """Returns the system's libraries that compiled modules are linked to."""
    modules = [str(path) for path in files if re.search(r"\.so(\.|$)", path.name)]
    inside = {os.path.realpath(module) for module in modules}
    done = subprocess.run(["ldd", *modules], capture_output=True, text=True, check=False)
    found = {os.path.abspath(path) for path in re.findall(r"=> (/\S+)", done.stdout)}
    return {
        Path(path)
        for path in found
        if os.path.realpath(path) not in inside and not _OF_THE_SYSTEM.match(Path(path).name)
    }


def _add_script(archive: tarfile.TarFile, name: str, text: str) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(text.encode()), 0o755
    archive.addfile(info, io.BytesIO(text.encode()))


if __name__ == "__main__":
    main()
