"""Whatever fails on a rank ends all with its code; ranks are threads, and JAX's store a dict."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest
from ranks import environment, free_port

from convert.command import signals
from train.errors import FormatError, TryAgainError, UsageError
from train.hosts import joined_team
from train.hosts.joined_team import Members
from train.hosts.patience import Patience
from train.hosts.place import Place

PATIENCE = 60.0
AGAIN = "Go on with `train resume` from the last checkpoint."


class JaxRuntimeError(RuntimeError):
    """Of JAX, which fails where another process has gone."""


class Client:
    """What JAX's key-value store does, for ranks of one process."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._news = threading.Condition()

    def key_value_set(self, key, text, allow_overwrite=False):
        with self._news:
            if key in self._texts and not allow_overwrite:
                raise RuntimeError(f"ALREADY_EXISTS: {key}")
            self._texts[key] = text
            self._news.notify_all()

    def key_value_dir_get(self, folder):
        with self._news:
            return [entry for entry in self._texts.items() if entry[0].startswith(folder)]

    def blocking_key_value_get(self, key, milliseconds):
        with self._news:
            assert self._news.wait_for(lambda: key in self._texts, PATIENCE)
            return self._texts[key]


@pytest.fixture
def end(monkeypatch):
    """Lets each rank do something inside a training; returns codes and last lines of those ended.

    Whoever does nothing waits, as in a step for the others.
    """
    distributed = pytest.importorskip("jax._src.distributed", reason="jax is not installed")
    monkeypatch.setattr(distributed, "global_state", SimpleNamespace(client=Client()))
    monkeypatch.setattr(joined_team, "_LAST_SECONDS", 0.3)
    ended, over = [], threading.Event()

    def end_one(code, line):
        ended.append((code, line))
        if len(ended) == 2:
            over.set()
        raise SystemExit

    def look_out(member, real=Members._look_out):
        with contextlib.suppress(SystemExit):
            real(member)

    monkeypatch.setattr(joined_team, "_end", end_one)
    monkeypatch.setattr(Members, "_look_out", look_out)

    def run(*acts):
        threads = []
        for rank, act in enumerate(acts):
            begun = threading.Event()
            work = threading.Thread(target=one, args=(rank, act, begun))
            threads.append(work)
            work.start()
            assert begun.wait(PATIENCE)
        for work in threads:
            work.join(PATIENCE)
        return sorted(ended, key=str)

    def one(rank, act, begun):
        place = Place(coordinator="h0:1", rank=rank, size=2, launcher="hand", joined=True)
        member = Members(place, Patience())
        with contextlib.suppress(SystemExit), member.guarded():
            begun.set()
            if act is not None:
                act(member)
            over.wait(PATIENCE)
            raise SystemExit

    return run


def failing(error):
    """Returns what a rank does that fails."""

    def act(member):
        raise error

    return act


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (FormatError("s/0: record 3 is damaged."), 1, "s/0: record 3 is damaged."),
        (TryAgainError("/cache: No space left."), 75, "/cache: No space left."),
        (UsageError("--weights x: is none."), 2, "--weights x: is none."),
        (ValueError("of a user's network\nlong"), 1, "ValueError: of a user's network"),
        (
            JaxRuntimeError("Gloo: closed\n0x1"),
            75,
            f"another process has gone: Gloo: closed. {AGAIN}",
        ),
        (
            JaxRuntimeError("RESOURCE_EXHAUSTED: 9 GB"),
            1,
            "JaxRuntimeError: RESOURCE_EXHAUSTED: 9 GB",
        ),
    ],
)
def test_a_rank_that_fails_ends_both(rank, error, code, line, end, capfd):
    acts = [None, None]
    acts[rank] = failing(error)
    told = [(code, f"rank 1: {line}")] * 2 if rank else [(code, line), (code, None)]
    assert end(*acts) == told  # rank 0 says it in any case: people look there first
    assert ("Traceback" in capfd.readouterr().err) == (code == 1 and "Error: " in line)


def test_of_two_that_fail_the_first_is_told(end):
    told = end(failing(FormatError("one.")), failing(UsageError("other.")))
    assert told in ([(1, "one."), (1, None)], [(2, "rank 1: other.")] * 2)


def test_a_process_that_ends_at_once_ends_the_others(end):
    """By a second Ctrl-C, whose handler undoes what is registered."""

    def interrupted(member):
        signals._undo[-1]()
        joined_team._end(130, "at once")

    assert end(None, interrupted) == [(130, "at once"), (143, None)]


def test_processes_of_unequally_many_devices(end, monkeypatch):
    import jax

    counts = iter([4, 1])
    monkeypatch.setattr(jax, "local_device_count", lambda: next(counts))
    ended = end(*[lambda member: member.connect()] * 2)
    assert [code for code, _ in ended] == [2, 2]
    expected = "from rank 0, have 4, 1 devices; a batch is shared by equally many of each"
    assert any(expected in (line or "") for _, line in ended)


def test_under_slurm_a_process_uses_all_gpus_that_it_sees():
    """JAX, left to find Slurm by itself, takes one for each of a node's processes."""
    code = """
import os
from jax._src.xla_bridge import CUDA_VISIBLE_DEVICES
from train.hosts.place import require_place
from train.hosts.joined_team import join
join(require_place(os.environ))
print(CUDA_VISIBLE_DEVICES.value)
"""
    slurm = {
        "SLURM_JOB_ID": 1, "SLURM_STEP_NODELIST": "n1", "SLURM_STEP_NUM_TASKS": 1,
        "SLURM_NTASKS": 1, "SLURM_PROCID": 0, "SLURM_LOCALID": 0,
        "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{free_port()}",
    }  # fmt: skip
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment(**slurm)
    )
    assert done.stdout == "all\n", done.stderr
