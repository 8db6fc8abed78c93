"""Packs what Spark's executors need: `python -m convert.pack FOLDER`.

The archive holds the very files of this environment that `convert` uses, and the system libraries
that its image decoders are linked to: executors make the same pixels, hence the same bytes, and
need nothing but a Python of the same version. TensorFlow and PySpark stay out. (`venv-pack` takes
whole environments only, without system libraries, and none that is installed as editable.)
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import NoReturn

from convert.command.byte_sizes import show_bytes
from convert.command.command_line import OneLineParser
from convert.command.streams import print_result
from convert.errors import ShardfeedError, UsageError
from convert.os_errors import failure

ARCHIVE = "environment.tar.gz"
LAUNCHER = "convert_on_spark.py"

_ROOTS = ("numpy", "pyarrow", "google-crc32c", "simplejpeg", "fonttools", "tqdm")
_OPTIONAL = ("pillow-simd", "pillow", "pyspng", "hdfs-native")  # packed if they are installed
# Every Linux has these, in versions that fit its kernel and to each other.
_OF_THE_SYSTEM = re.compile(
    r"(ld-linux|linux-vdso|lib(c|m|dl|rt|pthread|util|resolv|gcc_s|stdc\+\+)\.so)"
)
_LAUNCHER_TEXT = '''\
"""What spark-submit starts: the `convert` of the environment that it runs in."""

from convert.cli import main

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
        description="Packs the environment in which Spark's executors run `convert`.",
    )
    parser.add_argument("folder", metavar="FOLDER", help="folder to write the archive into")
    parser.add_argument(
        "--python",
        metavar="PATH",
        default=os.path.realpath(getattr(sys, "_base_executable", sys.executable)),
        help="path of Python on the nodes, the same version (default: this one, %(default)s)",
    )
    namespace = parser.parse_args(arguments)
    try:
        size = pack(Path(namespace.folder), namespace.python)
    except ShardfeedError as error:
        print(f"convert.pack: error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    written = f"{show_bytes(size, 'MB', 0)} in {namespace.folder}/{ARCHIVE}"
    print(f"convert.pack: {written}", file=sys.stderr)
    print_result(submit_line(namespace.folder))
    sys.exit(0)


def pack(folder: Path, python: str) -> int:
    """Writes the archive, and beside it the file that `spark-submit` starts.

    Args:
        folder: Made if it is not there.
        python: Path of the Python of the nodes.

    Returns:
        The archive's size in bytes.

    Raises:
        UsageError: A library is missing, or was installed in a way that hides its files.
        TryAgainError: The disk is full or fails.
    """
    files = dict(_files())
    libraries = {f"lib/{path.name}": path for path in _libraries(files.values())}
    part = folder / f"{ARCHIVE}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / LAUNCHER).write_text(_LAUNCHER_TEXT)
        with tarfile.open(part, "w:gz", compresslevel=6) as archive:
            _add_script(archive, "bin/python", _PYTHON.format(python=python))
            for name, path in sorted({**files, **libraries}.items()):
                archive.add(path.resolve(), name)
        part.replace(folder / ARCHIVE)
    except OSError as error:
        raise failure(error, str(error.filename or folder), "pack again") from error
    return (folder / ARCHIVE).stat().st_size


def submit_line(folder: str) -> str:
    """Returns a command that converts on YARN with the files of a folder."""
    return (
        f"spark-submit --master yarn --archives {folder}/{ARCHIVE}#environment "
        "--conf spark.pyspark.python=./environment/bin/python "
        f"--conf spark.pyspark.driver.python={sys.executable} "
        f"{folder}/{LAUNCHER} MANIFEST DATASET --engine spark"
    )


def _files() -> Iterator[tuple[str, Path]]:
    """Yields the name in the archive and the place of each file."""
    package = Path(__file__).parent  # found by its place: an editable installation lists no files
    for path in package.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield f"site-packages/{path.relative_to(package.parent)}", path
    for name in sorted(_distributions()):
        found = metadata.distribution(name).files
        if not found:
            raise UsageError(f"{name}: pip does not know its files. Install it again with pip.")
        for file in found:
            path = Path(str(file.locate()))
            if ".." not in file.parts and path.is_file():
                yield f"site-packages/{file}", path


def _distributions() -> set[str]:
    """Returns the names of the distributions that `convert` needs, and of what these need."""
    for name in _ROOTS:
        if not _is_installed(name):
            raise UsageError(f"{name} is missing: install shardfeed again with pip.")
    waiting, found = [*_ROOTS, *filter(_is_installed, _OPTIONAL)], set()
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
