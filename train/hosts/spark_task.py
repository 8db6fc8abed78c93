"""What an executor of Spark runs: one process of a training, as a task of a barrier stage."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from convert.storage.places import filesystem_of, use_settings
from train.errors import TryAgainError
from train.hosts.lines import LineAddress, LineSender
from train.hosts.place import ADDRESS, LAUNCHER, RANK, SIZE, SPARK
from train.hosts.supervisor import end_with_parent

_OURS = "train: "  # begins what a trainer says itself, off a terminal after the time
_AGAIN = (os.EX_TEMPFAIL, 130, 143)  # or stopped, as where Spark cancels a stage to do it again


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """The end of one process.

    Attributes:
        rank: Its number.
        code: Its exit code.
        stdout: What it printed there.
    """

    rank: int
    code: int
    stdout: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainerTask:
    """Trains as one process of several, and again where Spark runs the stage again.

    Attributes:
        words: Words of `train` that begin.
        resume: Its words that go on, once the run is there.
        run: The run.
        hadoop: The driver's settings of HDFS; they go before those of this machine.
        lines: Where lines go.
    """

    words: tuple[str, ...]
    resume: tuple[str, ...]
    run: str
    hadoop: tuple[tuple[str, str], ...]
    lines: LineAddress

    def __call__(self, items: Iterable[Any]) -> Iterator[Trained]:
        """Trains; yields how it ended.

        Raises:
            TryAgainError: It failed, and when Spark runs the stage again it may succeed.
        """
        from pyspark import BarrierTaskContext

        context = BarrierTaskContext.get()
        rank, infos = context.partitionId(), context.getTaskInfos()
        ours = [_free_port(), rank == 0 and is_begun(self.run, self.hadoop)]
        port, begun = json.loads(context.allGather(json.dumps(ours))[0])
        environment = _environment(
            f"{_host(infos[0].address)}:{port}", rank, len(infos), context.resources()
        )
        with LineSender(self.lines) as sender, _configured(environment, self.hadoop):
            ended = _train(self.resume if begun else self.words, environment, rank, sender)
        if ended.code in _AGAIN:
            raise TryAgainError(f"rank {rank} ended with exit code {ended.code}")
        yield ended


def is_begun(run: str, hadoop: tuple[tuple[str, str], ...]) -> bool:
    """Returns whether there is a run; settings of HDFS as in `TrainerTask`."""
    use_settings(hadoop)
    return filesystem_of(run).exists(f"{run}/config.json")


def _train(
    words: tuple[str, ...], environment: dict[str, str], rank: int, sender: LineSender
) -> Trained:
    """Runs `train` in a process of its own, and brings its lines to the driver.

    It has a session of its own, since Spark ends the processes of an executor by a signal to
    their group: it learns of that by this process's end, and writes a checkpoint.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "train", *words, "--hosts", "auto"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
        preexec_fn=end_with_parent(),
    )
    out, err = process.stdout, process.stderr
    assert out is not None and err is not None
    printed: list[str] = []
    reader = threading.Thread(target=lambda: printed.extend(out))
    reader.start()
    for line in err:
        wanted = rank == 0 or line.startswith(_OURS)
        if not (wanted and sender.send(line.rstrip("\n"))):
            print(line, end="", file=sys.stderr, flush=True)  # into the executor's log
    reader.join()
    return Trained(rank=rank, code=process.wait(), stdout="".join(printed))


def _environment(
    coordinator: str, rank: int, size: int, resources: dict[str, Any]
) -> dict[str, str]:
    """Returns the environment of a trainer."""
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),  # with what --py-files brings
        ADDRESS: coordinator,
        RANK: str(rank),
        SIZE: str(size),
        LAUNCHER: SPARK,
    }
    if gpus := resources.get("gpu"):
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpus.addresses)
    return environment


@contextlib.contextmanager
def _configured(environment: dict[str, str], hadoop: tuple[tuple[str, str], ...]) -> Iterator[None]:
    """Writes settings of HDFS to where a trainer with this environment finds them."""
    if not hadoop:
        yield
        return
    from convert.storage.hdfs.settings import FILES, read_settings

    entries = "".join(
        f"<property><name>{escape(name)}</name><value>{escape(value)}</value></property>\n"
        for name, value in {**read_settings(), **dict(hadoop)}.items()
    )
    with tempfile.TemporaryDirectory(prefix="shardfeed-") as folder:
        path = os.path.join(folder, FILES[0])
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"<configuration>\n{entries}</configuration>\n")
        environment["HADOOP_CONF_DIR"] = folder
        yield


def _host(address: str) -> str:
    """Returns the host of an address that may have a port."""
    return address.rpartition(":")[0] if address.count(":") == 1 else address


def _free_port() -> int:
    """Returns a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])
