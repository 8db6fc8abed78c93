"""What verbs do before and around their work."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from convert.command.byte_sizes import parse_bytes
from convert.command.signals import undone_by_signals
from convert.command.streams import say_as
from train.errors import ShardfeedError, UsageError
from train.own_function import import_function

Verbs = Any
"""What `ArgumentParser.add_subparsers` returns; its class has no public name."""

CACHE, CACHE_BYTES = "folder on an SSD to read shards through", "size of the cache, such as 200GB"
NO_CACHE, NO_CACHE_BYTES = "hdfs: ~/.cache/shardfeed, else none", "half of the free space"
"""What `--help` says of the cache, and of one that the user does not name."""


def say(line: str) -> None:
    """Prints a line of `train` for people; see `say_as`."""
    say_as("train", line)


def silence_libraries() -> None:
    """Keeps TensorFlow's start-up lines from standing among ours; its errors are exceptions to us.

    JAX, which sets this too when it is imported, lets some pass.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def import_keras() -> None:
    """Imports Keras and its backend without the lines that TensorFlow prints while it loads.

    TF_CPP_MIN_LOG_LEVEL does not silence those; errors are printed all the same.
    """
    silence_libraries()
    # Left to itself TensorFlow uses oneDNN on some CPUs of Intel's only. On one of AMD's with AVX2
    # the default network trains 1.5 times as fast with it.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    _name_temporary_folder()
    try:
        with quiet_stderr():
            import keras  # noqa: F401
    except (ImportError, ValueError) as error:
        backend = os.environ.get("KERAS_BACKEND")
        if not backend:
            missing = error.name if isinstance(error, ModuleNotFoundError) else None
            if (missing or "").partition(".")[0] == "tensorflow":
                raise UsageError(
                    "TensorFlow is not installed. Install it with `pip install tensorflow`, or set "
                    "KERAS_BACKEND=jax if JAX is."
                ) from error
            raise
        raise UsageError(
            f"KERAS_BACKEND={backend}: Keras cannot load it: {error}. Install it, or set another "
            "one: tensorflow, the default, or jax."
        ) from error


def _name_temporary_folder() -> None:
    """Names a temporary folder where none can be written.

    TensorFlow asks for its name while it loads, and writes nothing there. Whoever does write gets
    the disk's own error then.
    """
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        tempfile.tempdir = os.environ.get("TMPDIR") or "/tmp"


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Keeps what libraries write to stderr to itself, unless an error that is not ours ends it."""
    sys.stderr.flush()
    stderr = os.dup(2)
    # In memory, since a full or read-only disk is no reason to stop here.
    with open(os.memfd_create("stderr"), "w+b") as captured:
        os.dup2(captured.fileno(), 2)
        try:
            with undone_by_signals(lambda: os.dup2(stderr, 2)):
                yield
        except Exception as error:
            if not isinstance(error, ShardfeedError):
                captured.seek(0)
                with contextlib.suppress(OSError):
                    os.write(stderr, captured.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Adds the flag `--json`."""
    parser.add_argument(
        "--json", action="store_true", help="print a JSON summary as the last line on stdout"
    )


def size(text: str) -> int:
    """Returns a number of bytes that a flag names."""
    try:
        return parse_bytes(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def add_cache(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of verbs that read datasets."""
    parser.add_argument("--cache", metavar="DIR", help=f"{CACHE} (default: {NO_CACHE})")
    parser.add_argument(
        "--cache-bytes",
        metavar="SIZE",
        type=size,
        help=f"{CACHE_BYTES} (default: {NO_CACHE_BYTES})",
    )


def add_model(parser: argparse.ArgumentParser) -> None:
    """Adds the flag `--model` of verbs that load a run's network."""
    parser.add_argument(
        "--model",
        metavar="MODULE:FUNCTION",
        help="the run's own network, if it has registered layers of its own: imports the module",
    )


def import_model(namespace: argparse.Namespace) -> None:
    """Imports the module that `--model` names, so that Keras knows its layers.

    Raises:
        UsageError: It cannot be imported.
    """
    if namespace.model is not None:
        import_function("--model", namespace.model)
