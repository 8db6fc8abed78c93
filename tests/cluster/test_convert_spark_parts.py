"""What Spark's errors mean, which of Hadoop's settings are sent along, and what is packed."""

import ast
import re
import sys
import tarfile
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

import train
from convert import pack
from convert.engines.spark_context import _chosen, explained, max_failures
from convert.engines.spark_task import ShardTask
from convert.errors import TryAgainError, UsageError

TRACEBACK = """\
An error occurred while calling z:org.apache.spark.api.python.PythonRDD.collectAndServe.
: org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 0.0 failed 1 \
times, most recent failure: Lost task 0.0 in stage 0.0 (TID 0) (127.0.0.1 executor driver): \
org.apache.spark.api.python.PythonException: Traceback (most recent call last):
  File "pyspark/worker.py", line 1225, in main
    func, profiler, deserializer, serializer = read_command(pickleSer, infile)
{}

\tat org.apache.spark.api.python.BasePythonRunner$ReaderIterator.handlePythonException(Ru.scala:1)
\tat java.base/java.lang.Thread.run(Thread.java:840)

Driver stacktrace:
\tat org.apache.spark.scheduler.DAGScheduler.abortStage(DAGScheduler.scala:2898)
"""
LOST = """\
An error occurred while calling z:org.apache.spark.api.python.PythonRDD.collectAndServe.
: org.apache.spark.SparkException: Job aborted due to stage failure: Task 3 in stage 7.0 failed 4 \
times, most recent failure: Lost task 3.3 in stage 7.0 (TID 9) (node7 executor 5): \
ExecutorLostFailure (executor 5 exited caused by one of the running tasks) Reason: Container \
killed by YARN for exceeding memory limits.
Driver stacktrace:
\tat org.apache.spark.scheduler.DAGScheduler.abortStage(DAGScheduler.scala:2898)
"""


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        (
            TRACEBACK.format("ModuleNotFoundError: No module named 'convert'"),
            UsageError,
            "an executor lacks what it needs: ModuleNotFoundError: No module named 'convert'. "
            "Pack the environment and submit with it: python -m convert.pack.",
        ),
        (
            TRACEBACK.format("ImportError: libjpeg.so.62: cannot open shared object file."),
            UsageError,
            "an executor lacks what it needs: ImportError: libjpeg.so.62: cannot open shared "
            "object file. Pack the environment and submit with it: python -m convert.pack.",
        ),
        (
            TRACEBACK.format("RuntimeError: Python in worker has different version: 3.8 than 3.11"),
            UsageError,
            "the executors have another Python: RuntimeError: Python in worker has different "
            "version: 3.8 than 3.11. "
            "Pack the environment and submit with it: python -m convert.pack.",
        ),
        (
            TRACEBACK.format("ZeroDivisionError: division by zero"),
            TryAgainError,
            "Spark gave up: ZeroDivisionError: division by zero. Its logs may say why. "
            "Run the same command again: it goes on where it was.",
        ),
        (
            LOST,
            TryAgainError,
            "Spark gave up: Lost task 3.3 in stage 7.0 (TID 9) (node7 executor 5): "
            "ExecutorLostFailure (executor 5 exited caused by one of the running tasks) Reason: "
            "Container killed by YARN for exceeding memory limits. Its logs may say why. "
            "Run the same command again: it goes on where it was.",
        ),
        (
            "[Errno 111] Connection refused",  # the driver's Java is gone
            TryAgainError,
            "Spark gave up: [Errno 111] Connection refused. Its logs may say why. "
            "Run the same command again: it goes on where it was.",
        ),
    ],
)
def test_errors_of_spark_are_one_line(text: str, kind: type[Exception], message: str) -> None:
    error = explained(RuntimeError(text))
    assert type(error) is kind
    assert str(error) == message


@pytest.mark.parametrize(
    ("master", "setting", "attempts"),
    [
        ("local", "9", 1),  # which ignores the setting
        ("local[*]", "9", 1),
        ("local[2,3]", "9", 3),
        ("local-cluster[2,1,1024]", "9", 9),
        ("yarn", None, 4),
    ],
)
def test_attempts_that_spark_makes(master: str, setting: str | None, attempts: int) -> None:
    settings = {} if setting is None else {"spark.task.maxFailures": setting}
    context = SimpleNamespace(master=master, getConf=lambda: settings)
    assert max_failures(context) == attempts


def test_an_executor_with_other_libraries_writes_nothing() -> None:
    task = ShardTask(job=None, versions=["another"])
    with pytest.raises(UsageError, match="the driver with another: the bytes would differ"):
        task(b"never unpacked")


def test_only_what_a_client_of_hdfs_needs_is_sent_along() -> None:
    chosen = ("fs.defaultFS", "dfs.nameservices", "hadoop.rpc.protection")
    others = ("fs.s3a.secret.key", "hadoop.security.group.mapping.ldap.bind.password", "io.x")
    text = "".join(
        f"<property><name>{name}</name><source>{source}</source></property>"
        for name, source in [
            *((name, "core-site.xml") for name in (*chosen, *others)),
            ("dfs.replication", "hdfs-default.xml"),
        ]
    )
    root = ElementTree.fromstring(f"<configuration>{text}</configuration>")
    assert _chosen(root) == list(chosen)


# Packing


@pytest.mark.parametrize("command", ["convert", "train"])
def test_what_is_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """With one small distribution instead of all: compressing them takes long."""
    few = {
        "roots": ("google-crc32c",),
        "optional": ("pillow-simd", "pillow", "no-such-distribution"),
    }
    monkeypatch.setitem(pack.COMMANDS, command, replace(pack.COMMANDS[command], **few))
    words = [str(tmp_path / "new"), "--python", "/opt/python3.11", "--with", command]
    with pytest.raises(SystemExit) as caught:
        pack.main(words)
    assert caught.value.code == 0
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(
        [f"{command}_on_spark.py", "environment.tar.gz"]
    )
    assert f"from {command}.cli" in (tmp_path / f"new/{command}_on_spark.py").read_text()
    with tarfile.open(tmp_path / "new/environment.tar.gz") as archive:
        names = set(archive.getnames())
        launcher = archive.extractfile("bin/python")
        assert launcher is not None
        assert launcher.read().decode().endswith('exec /opt/python3.11 "$@"\n')
    assert "site-packages/convert/engines/spark.py" in names
    assert ("site-packages/train/report/report.html.jinja" in names) == (command == "train")
    assert "site-packages/google_crc32c/__init__.py" in names
    assert {"bin", "lib", "site-packages"} == {name.partition("/")[0] for name in names}
    libraries = {name for name in names if name.startswith("lib/")}
    assert any(re.match(r"lib/libjpeg\.so", name) for name in libraries)
    assert not any(re.match(r"lib/(libc|libm|ld-linux)[.-]", name) for name in libraries)
    assert not any("tensorflow" in name or "pyspark" in name for name in names)


def imported(package: Path) -> set[str]:
    """Returns the first names of the modules that a package imports anywhere in its sources."""
    found = set()
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(node.module or "")
    return {name.partition(".")[0] for name in found}


@pytest.mark.parametrize("command", ["convert", "train"])
def test_all_that_a_command_imports_is_packed(command: str) -> None:
    """Executors have nothing else. PySpark is the cluster's own, and py4j is in it."""
    packages, of_others = {"convert", "train"}, {"pyspark", "py4j"}
    foreign = imported(Path(pack.__file__).parent)
    if command == "train":
        foreign |= imported(Path(train.__file__).parent)
        of_others |= {"tensorflow", "tf2onnx", "onnx", "onnxruntime", "ai_edge_litert"}
    foreign -= sys.stdlib_module_names | packages
    assert {"PIL", "numpy", "pyarrow"} <= foreign
    owners = metadata.packages_distributions()
    packed = pack.distributions(pack.COMMANDS[command])
    missing = {
        name
        for name in foreign - of_others
        if name in owners  # else it is an extra that is not installed here
        and not any(pack.canonical(owner) in packed for owner in owners[name])
    }
    assert missing == set()


def test_every_dependency_but_tensorflow_is_packed() -> None:
    required = {
        pack.canonical(re.match(r"[\w.-]+", requirement)[0])
        for requirement in metadata.requires("shardfeed")
        if "extra ==" not in requirement
    }
    command = pack.COMMANDS["train"]
    named = {pack.canonical(name) for name in (*command.roots, *command.optional)}
    assert required - {"tensorflow"} <= named


@pytest.mark.parametrize(
    ("roots", "message"),
    [
        (("no-such-distribution",), "no-such-distribution is missing: install shardfeed again"),
        (("jax",), "jax is missing: install jax"),
    ],
)
def test_what_cannot_be_packed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    roots: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.setitem(pack.COMMANDS, "convert", replace(pack.COMMANDS["convert"], roots=roots))
    monkeypatch.setattr(pack, "_is_installed", lambda name: False)
    with pytest.raises(SystemExit) as caught:
        pack.main([str(tmp_path / "new")])
    assert caught.value.code == 2
    assert capsys.readouterr().err == f"convert.pack: error: {message} with pip.\n"


def test_a_folder_that_cannot_be_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as caught:
        pack.main([str(tmp_path / "file")])
    assert caught.value.code == 2  # it never passes by itself
    err = capsys.readouterr().err
    assert err.startswith(f"convert.pack: error: {tmp_path}/file: File exists.")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("convert", "packed/convert_on_spark.py MANIFEST DATASET --engine spark"),
        (
            "train",
            "packed/train_on_spark.py DATASET --run hdfs://... --engine spark --num-hosts N",
        ),
    ],
)
def test_the_line_to_submit_names_this_python(command: str, words: str) -> None:
    line = pack.submit_line("packed", command)
    assert f"--conf spark.pyspark.driver.python={sys.executable} {words}" in line
