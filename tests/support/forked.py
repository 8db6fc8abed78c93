"""Processes that need not load their modules, with TensorFlow for seconds: forks of one that has.

Each is a process like any other, with streams, a folder, an environment and an exit code of its
own; only what Python does before the command begins is not in it. As a script, this is what they
are forks of.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# A test that waits this long has found a hang; none asserts on time.
PATIENCE = 60
CONVERT = "from convert.cli import main\nmain()\n"
TRAIN = "from train.cli import main\nmain()\n"
LOADED = {  # what the packages' modules load only when they need it
    "train": ["tensorflow"],
    "convert": [
        *("numpy.ma", "numpy.random", "tqdm"),
        *("pyarrow.compute", "pyarrow.csv", "pyarrow.parquet"),
    ],
}
MESSAGE_BYTES = 1 << 17  # code, words and an environment


class Fork:
    """A running process.

    Args:
        code: Python code, which finds the words in `sys.argv`.
        words: Its command line.
        cwd: Its current folder.
        env: Its environment.
        streams: Descriptors for stdin, stdout and stderr; None for one that is closed.
        package: What it need not load: `convert` or `train`.
    """

    def __init__(self, code, words, streams, cwd=None, env=None, package="train"):
        self._ended, told = os.pipe()
        request = {
            "code": code,
            "words": list(map(str, words)),
            "cwd": str(cwd or os.getcwd()),
            "env": _environment() if env is None else env,
            "open": [stream is not None for stream in streams],
        }
        message = json.dumps(request).encode()
        given = [stream for stream in streams if stream is not None]
        socket.send_fds(_server(package), [message], [told, *given])
        os.close(told)
        self.pid = self._read()

    def _read(self) -> int:
        return int.from_bytes(os.read(self._ended, 8), "little", signed=True)

    def wait(self, patience: int = PATIENCE) -> int:
        """Waits for its end; returns its exit code, the negative number of a signal."""
        if not select.select([self._ended], [], [], patience)[0]:
            os.kill(self.pid, signal.SIGKILL)
        code = self._read()
        os.close(self._ended)
        return code


def run(
    code, *words, cwd=None, env=None, stdout=None, closed=(), patience=PATIENCE, package="train"
):
    """Runs Python code in a fork, as `python -c CODE WORDS...` would.

    Args:
        code: The code.
        words: Its command line.
        cwd: Its current folder.
        env: Its environment.
        stdout: A descriptor to print to (default: the result's `stdout`).
        closed: Numbers of streams that are closed.
        patience: Seconds after which it hangs, and is killed.
        package: What it need not load: `convert` or `train`.
    """
    (out, to_out), (err, to_err) = os.pipe(), os.pipe()
    null = os.open(os.devnull, os.O_RDONLY)
    streams = [null, to_out if stdout is None else stdout, to_err]
    with ThreadPoolExecutor(2) as pool:
        texts = [pool.submit(_read_all, pipe) for pipe in (out, err)]
        open_streams = [None if number in closed else at for number, at in enumerate(streams)]
        process = Fork(code, words, open_streams, cwd, env, package)
        for descriptor in (null, to_out, to_err):
            os.close(descriptor)
        ended = process.wait(patience)
        return subprocess.CompletedProcess(
            [code, *words], ended, *(text.result() for text in texts)
        )


def _read_all(pipe: int) -> str:
    with open(pipe, encoding="utf-8") as file:
        return file.read()


def _environment() -> dict[str, str]:
    """Returns this process's environment, less what importing JAX sets."""
    return {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}


@functools.cache
def _server(package: str) -> socket.socket:
    """Starts the process that loads a package; it ends with this one."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * MESSAGE_BYTES)
    with its:
        words = [sys.executable, __file__, str(its.fileno()), package]
        root = str(Path(__file__).parents[2])
        training = str(Path(__file__).with_name("training"))
        env = {**_environment(), "PYTHONPATH": os.pathsep.join([root, training])}
        process = subprocess.Popen(words, pass_fds=[its.fileno()], env=env)

    @atexit.register
    def end() -> None:
        ours.close()
        process.wait()

    return ours


def _serve(requests: socket.socket) -> str:
    """Forks for each request; returns in each fork, with the code that it shall run."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait
    while True:
        message, descriptors, _, _ = socket.recv_fds(requests, MESSAGE_BYTES, 4)
        if not message:
            os._exit(0)
        told, *given = descriptors
        if not os.fork():
            requests.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            child = os.fork()
            if not child:
                os.close(told)
                return _become(json.loads(message), given)
            for descriptor in given:
                os.close(descriptor)
            os.write(told, child.to_bytes(8, "little", signed=True))
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            os.write(told, code.to_bytes(8, "little", signed=True))
            os._exit(0)
        for descriptor in descriptors:
            os.close(descriptor)


def _become(request: dict, given: list[int]) -> str:
    """Gives this process its streams, words, folder and environment; returns its code."""
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    streams = iter(given)
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        stream = None  # as Python starts where one is closed
        if request["open"][number]:
            os.dup2(next(streams), number)
            stream = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
        else:
            os.close(number)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    for descriptor in given:
        os.close(descriptor)
    sys.argv = ["-c", *request["words"]]
    sys.path[0] = ""
    del globals()["__file__"]  # code has none; processes that `spawn` starts would load this one
    tempfile.tempdir = None
    return request["code"]


def _load(package: str) -> None:
    """Loads what the command would load little by little."""
    if package == "train":
        from train.cli.startup import import_keras

        import_keras()
        import quick_network

        quick_network.install()
    for name in LOADED[package]:
        importlib.import_module(name)
    path = importlib.import_module(package).__path__
    for module in pkgutil.walk_packages(path, f"{package}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


if __name__ == "__main__":
    _load(sys.argv[2])
    gc.freeze()  # a fork need not look at all of that when it ends
    exec(_serve(socket.socket(fileno=int(sys.argv[1]))), {"__name__": "__main__"})
