"""Spark itself: how it is found, started, and what its errors mean in one line."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from convert.errors import ShardfeedError, TryAgainError, UsageError

if TYPE_CHECKING:
    from pyspark import SparkConf, SparkContext

_SUBMITTED = "PYSPARK_GATEWAY_PORT"  # set by spark-submit for the driver that it starts
_LOOPBACK = "127.0.0.1"
# What a client of HDFS looks at. Other settings of Hadoop may be secrets.
_HADOOP = ("fs.defaultFS", "fs.viewfs.", "dfs.", "hadoop.rpc.", "hadoop.security.authentication")
_PACK = "Pack the environment and submit with it: python -m convert.pack"


def is_submitted() -> bool:
    """Returns whether `spark-submit` has started this process."""
    return _SUBMITTED in os.environ


def require_spark(master: str | None) -> None:
    """Looks whether there is what Spark needs.

    Raises:
        UsageError: PySpark or Java is missing, or nobody says where the cluster is.
    """
    if find_spec("pyspark") is None:
        raise UsageError("--engine spark needs pyspark: pip install 'shardfeed[spark]'.")
    if is_submitted() or _active_context() is not None:
        return
    if master is None:
        raise UsageError(
            "--engine spark needs a cluster: start it with spark-submit (python -m convert.pack "
            "prints how), or give --master, for example --master 'local[2]'."
        )
    home = os.environ.get("JAVA_HOME")
    if shutil.which("java", path=os.path.join(home, "bin") if home else None) is None:
        where = f"in JAVA_HOME {home}" if home else "on PATH"
        raise UsageError(
            f"--engine spark needs Java, and there is none {where}: install Java 17, for example "
            "apt-get install openjdk-17-jre-headless, or set JAVA_HOME."
        )


def _active_context() -> SparkContext | None:
    from pyspark import SparkContext

    active: SparkContext | None = SparkContext._active_spark_context
    return active


def start_context(
    master: str | None, prepare: Callable[[SparkConf], None] | None = None
) -> tuple[SparkContext, bool]:
    """Returns the context of this process, and whether it was started by this call.

    Args:
        master: Address of the cluster. None: that of `spark-submit`.
        prepare: Completes the settings, which are then those of the cluster's files already.

    Raises:
        UsageError: Spark does not start.
    """
    active = _active_context()
    if active is not None:
        return active, False
    from pyspark import SparkConf, SparkContext

    if not is_submitted():
        # Workers are this Python, where the cluster's settings name no other.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        if (master or "").startswith("local"):
            os.environ.setdefault("SPARK_LOCAL_IP", _LOOPBACK)
    handler = signal.getsignal(signal.SIGINT)
    try:
        if prepare is not None:
            SparkContext._ensure_initialized()  # before it, no settings of files are known
        conf = SparkConf().setIfMissing("spark.app.name", "convert")
        if prepare is not None:
            prepare(conf)
        if master is not None:
            conf.setMaster(master)
            if master.startswith("local"):
                conf.setIfMissing("spark.ui.enabled", "false")
        conf.set("spark.ui.showConsoleProgress", "false")  # it would write into our lines
        return SparkContext(conf=conf), True
    except Exception as error:
        raise UsageError(
            f"Spark does not start: {_first_line(str(error))}. "
            "What it has printed above may say why; Spark 4 needs Java 17."
        ) from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)  # PySpark takes Ctrl-C; we cancel ourselves


def max_failures(context: SparkContext) -> int:
    """Returns how many times Spark tries a task."""
    master = context.master or ""
    if found := re.fullmatch(r"local\[[^,]+,\s*(\d+)\]", master):
        return int(found[1])
    if master == "local" or master.startswith("local["):
        return 1
    return int(context.getConf().get("spark.task.maxFailures", "4") or 4)


def hadoop_settings(context: SparkContext) -> tuple[tuple[str, str], ...]:
    """Returns the driver's settings of HDFS, without Hadoop's defaults: (name, value).

    PySpark has no public way to them. Where its private one has gone, there are none.
    """
    from py4j.protocol import Py4JError  # type: ignore[import-untyped]

    try:
        hadoop: Any = context._jsc.hadoopConfiguration()
        writer: Any = context._jvm.java.io.StringWriter()  # type: ignore[union-attr]
        hadoop.writeXml(writer)
        names = _chosen(ElementTree.fromstring(writer.toString()))
        return tuple((name, hadoop.get(name)) for name in names)  # which fills in variables
    except (AttributeError, TypeError, Py4JError, ElementTree.ParseError):
        return ()


def _chosen(root: ElementTree.Element) -> list[str]:
    """Returns the names of settings that somebody has made, out of a configuration's XML."""
    found = []
    for entry in root.iter("property"):
        name = entry.findtext("name") or ""
        defaults = all((s.text or "").endswith("-default.xml") for s in entry.iter("source"))
        if name.startswith(_HADOOP) and not defaults:
            found.append(name)
    return found


def explained(error: Exception, command: str = "convert") -> ShardfeedError:
    """Translates an error of a Spark job into one of ours.

    Args:
        error: Of PySpark, Py4J or the connection to the driver's Java process.
        command: What the executors run, of `pack.COMMANDS`.
    """
    why = cause(str(error))
    pack = _PACK if command == "convert" else f"{_PACK} --with {command}"
    if why.startswith(("ModuleNotFoundError", "ImportError")):
        return UsageError(f"an executor lacks what it needs: {why}. {pack}.")
    if "Python in worker has different version" in why:
        return UsageError(f"the executors have another Python: {why}. {pack}.")
    return TryAgainError(
        f"Spark gave up: {why}. Its logs may say why. "
        "Run the same command again: it goes on where it was."
    )


def cause(text: str) -> str:
    """Returns the line that matters of a Java error that may hold a Python traceback."""
    _, found, rest = text.partition("most recent failure: ")
    text = rest if found else text
    _, found, trace = text.partition("Traceback (most recent call last):\n")
    if not found:
        return _first_line(text)
    python = trace.partition("\n\tat ")[0]
    lines = [line for line in python.splitlines() if line.strip() and not line.startswith(" ")]
    return (lines or [_first_line(text)])[-1].strip().rstrip(".")


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or ["it does not say why"])[0].rstrip(".")
