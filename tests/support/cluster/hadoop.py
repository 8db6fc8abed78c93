"""A real HDFS on loopback: one NameNode and one DataNode, which tests may kill.

    with Hadoop(folder) as hadoop:
        convert(f"{hadoop.url}/manifest.csv", ...)
        hadoop.kill_datanode()
        hadoop.start_datanode()

By hand, until Ctrl-C: `.venv/bin/python tests/support/cluster/hadoop.py [NEW_FOLDER]`.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

from hadoop_conf import free_ports, write_configuration
from hadoop_jars import prepare
from hadoop_java import FLAGS, find_java

_CLASSES = {
    "namenode": "org.apache.hadoop.hdfs.server.namenode.NameNode",
    "datanode": "org.apache.hadoop.hdfs.server.datanode.DataNode",
}
_START_SECONDS = 120  # 4 where two cores are idle
# What the DataNode says when it, or the NameNode, has started and its blocks are known.
_REPORTED = b"Successfully sent block report"
# In a process of its own, for a client that was made before a fork hangs in the child, and tests
# fork. A write proves all: the NameNode has left safe mode and the DataNode takes blocks.
_PROBE = """
import sys, time
from hdfs_native import Client, WriteOptions
client = Client(sys.argv[1])
while True:
    try:
        with client.create("/.probe", WriteOptions(overwrite=True)) as file:
            file.write(b"usable")
        with client.read("/.probe") as file:
            assert file.read() == b"usable"
        break
    except Exception as error:
        print(error, file=sys.stderr)
        time.sleep(0.1)
"""


class Hadoop:
    """HDFS with replication 1, whose daemons keep their addresses when they are started again.

    The daemons die with the thread that started them, however it ends.

    Args:
        folder: For data, settings and logs: `namenode.log` and `datanode.log` hold what they say.

    Attributes:
        url: `hdfs://127.0.0.1:PORT`.
        conf_dir: Usable as HADOOP_CONF_DIR; with it `hdfs://testns` is the same file system.

    Raises:
        HadoopMissingError: Java 17 is missing, or pip or apt-get have nothing to offer.
    """

    def __init__(self, folder: Path) -> None:
        self._java = find_java()
        self._jars = prepare()
        self._folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._logged = 0  # bytes of the DataNode's log that are older than the last start
        self._usable = False
        ports = free_ports(4)
        self.url = f"hdfs://127.0.0.1:{ports[0]}"
        self.conf_dir = folder / "conf"
        self._settings = folder / "settings"
        write_configuration(self._settings, self.conf_dir, folder / "data", ports)
        if self._launch("namenode", "-format", "-nonInteractive").wait(_START_SECONDS):
            raise self._ended("namenode")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Brings up what is killed or paused, and returns when files can be written and read."""
        self.start_namenode(wait=False)
        self.start_datanode(wait=False)
        self.resume_datanode()
        self.wait()

    def stop(self) -> None:
        """Kills both daemons; what was written stays in the folder."""
        self._kill("datanode")
        self._kill("namenode")

    def start_namenode(self, *, wait: bool = True) -> None:
        """Starts the NameNode if it does not run.

        Args:
            wait: Whether to return only when files can be written; needs a DataNode.
        """
        self._start("namenode")
        if wait:
            self.wait()

    def kill_namenode(self) -> None:
        """SIGKILL: nothing is flushed, nobody is told."""
        self._kill("namenode")

    def start_datanode(self, *, wait: bool = True) -> None:
        """Starts the DataNode if it does not run; see `start_namenode`."""
        self._start("datanode")
        if wait:
            self.wait()

    def kill_datanode(self) -> None:
        """SIGKILL: connections break at once."""
        self._kill("datanode")

    def pause_datanode(self) -> None:
        """SIGSTOP: connections stay open and nothing comes."""
        self._usable = False
        self._processes["datanode"].send_signal(signal.SIGSTOP)

    def resume_datanode(self) -> None:
        """SIGCONT."""
        self._processes["datanode"].send_signal(signal.SIGCONT)

    def wait(self) -> None:
        """Returns when files can be written and read.

        Raises:
            RuntimeError: A daemon ended, or two minutes were not enough.
        """
        if self._usable:
            return
        end = time.monotonic() + _START_SECONDS
        # Before that a client would be patient: minutes with a NameNode that is not there, half a
        # minute with a block that an unreported DataNode was to take.
        while not self._reported():
            self._check(end)
            time.sleep(0.05)
        self._probe(end)
        self._usable = True

    def _probe(self, end: float) -> None:
        command = [sys.executable, "-c", _PROBE, self.url]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as probe:
            try:
                while probe.poll() is None:
                    self._check(end)
                    time.sleep(0.05)
            finally:
                probe.kill()

    def _start(self, name: str) -> None:
        process = self._processes.get(name)
        if process is None or process.poll() is not None:
            log = self._folder / "datanode.log"
            self._logged = log.stat().st_size if log.exists() else 0
            self._usable = False
            self._processes[name] = self._launch(name)

    def _kill(self, name: str) -> None:
        self._usable = False
        process = self._processes.pop(name, None)
        if process:
            process.kill()
            process.wait()

    def _reported(self) -> bool:
        with (self._folder / "datanode.log").open("rb") as log:
            log.seek(self._logged)
            return _REPORTED in log.read()

    def _launch(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        # setpriv makes the kernel kill the daemon when its parent is gone, then becomes Java.
        command = ["setpriv", "--pdeathsig", "KILL", self._java, *FLAGS]
        command += ["-cp", f"{self._settings}:{self._jars}", _CLASSES[name], *arguments]
        with (self._folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def _check(self, end: float) -> None:
        for name, process in self._processes.items():
            if process.poll() is not None:
                raise self._ended(name)
        if time.monotonic() > end:
            raise RuntimeError(f"HDFS is not usable: {self._folder}/*.log may say why.")

    def _ended(self, name: str) -> RuntimeError:
        log = (self._folder / f"{name}.log").read_text(errors="replace").splitlines()
        error = next((line for line in reversed(log) if re.search("Exception|ERROR", line)), "")
        return RuntimeError(f"The {name} ended: {error} ({self._folder / name}.log)")


def main() -> None:
    """Runs HDFS in the foreground."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory(prefix="hadoop-") as temporary:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else temporary)
        with Hadoop(folder) as hadoop:
            print(f"{hadoop.url}\nHADOOP_CONF_DIR={hadoop.conf_dir}", flush=True)
            try:
                signal.pause()
            except KeyboardInterrupt:
                return


if __name__ == "__main__":
    main()
