"""Makes the environments of what the benchmarks compare with or draw with: `make peers`.

And that of TensorBoard, which a test opens a run with. Each gets a folder of its own in .peers,
since they bring `pillow`, which takes the place of Pillow-SIMD. One that cannot be installed
leaves a note with the reason, and the rest go on. `peers.py NAME...` makes only those named.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / ".peers"
NOTE_LENGTH = 200  # characters of a reason: it is one line of a report


@dataclass(frozen=True, kw_only=True, slots=True)
class Peer:
    """Another project.

    Attributes:
        name: Name of its folder, and of the package to import.
        distribution: Name under which it is installed.
        needs: What else to install.
        libraries: C libraries that it is compiled against, as pkg-config names them.
        system_packages: Debian packages that hold these.
    """

    name: str
    distribution: str
    needs: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    system_packages: str = ""

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return FOLDER / self.name / "bin" / "python"

    @property
    def ready(self) -> Path:
        """A file that is there once everything is installed."""
        return FOLDER / self.name / ".ready"

    @property
    def note(self) -> Path:
        """A file that tells why it could not be installed."""
        return FOLDER / f"{self.name}.txt"

    def missing(self) -> str:
        """Returns why it is not installed; empty if it is."""
        if self.ready.exists():
            return ""
        return self.note.read_text().strip() if self.note.exists() else "run `make peers`"


LITDATA = Peer(name="litdata", distribution="litdata")
STREAMING = Peer(name="streaming", distribution="mosaicml-streaming")
FFCV = Peer(
    name="ffcv",
    distribution="ffcv",
    # It imports torch and Pillow without naming them, and was written before NumPy 2.
    needs=("torch", "pillow", "numpy<2"),
    libraries=("opencv4", "libturbojpeg"),
    system_packages="g++ pkg-config libopencv-dev libturbojpeg0-dev",
)
# PyTorch from PyPI brings 5 GB of CUDA. Where pip knows a wheel without (`--find-links`), it takes
# that one, if the version is the same.
WEBDATASET = Peer(name="webdataset", distribution="webdataset", needs=("torch==2.13.0", "numpy"))
GRAIN = Peer(name="grain", distribution="grain", needs=("array-record",))
# Not the newest: 0.7 warps the characters less than the versions before, on which others have
# published results, and draws its random numbers where no seed reaches them.
CAPTCHA = Peer(name="captcha", distribution="captcha==0.6.0", needs=("pillow==13.0.0",))

PEERS = (LITDATA, STREAMING, FFCV)
"""Those that convert: `convert.py`."""

READERS = (*PEERS, WEBDATASET, GRAIN)
"""Those that read: `read.py`."""

TENSORBOARD = Peer(name="tensorboard", distribution="tensorboard")
"""That which looks at runs: `tests/train/board/test_train_board_in_tensorboard.py`."""


def install(peer: Peer) -> str:
    """Makes a peer's environment.

    Returns:
        Why that was not possible; empty if it was.
    """
    if not has_libraries(peer.libraries):
        return f"needs the system packages {peer.system_packages}"
    environment, python = str(FOLDER / peer.name), str(peer.python)
    for command in (
        [sys.executable, "-m", "venv", "--clear", environment],
        [python, "-m", "pip", "install", "--quiet", peer.distribution, *peer.needs],
        [python, "-c", f"import {peer.name}"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return last_error(done.stderr)
    peer.ready.touch()
    return ""


def has_libraries(names: tuple[str, ...]) -> bool:
    """Returns whether pkg-config knows all libraries."""
    if not names:
        return True
    tool = shutil.which("pkg-config")
    return tool is not None and subprocess.run([tool, "--exists", *names]).returncode == 0


def last_error(text: str) -> str:
    """Returns the last line that looks like an error, else the last one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["no message"])[-1][:NOTE_LENGTH]


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    named = sys.argv[1:]
    for peer in (*READERS, CAPTCHA, TENSORBOARD):
        if named and peer.name not in named:
            continue
        if peer.missing():
            print(f"{peer.name}: installing into {peer.python.parent.parent}", flush=True)
            peer.note.write_text(install(peer))
        reason = peer.missing()
        print(f"{peer.name}: not installed: {reason}" if reason else f"{peer.name}: installed")


if __name__ == "__main__":
    main()
