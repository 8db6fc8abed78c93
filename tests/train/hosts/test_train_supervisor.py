"""A parent starts a process of a team, passes signals on, and turns its end into an exit code."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PATIENCE = 60.0

# The parent as a process; the child's code is its word, END_SECONDS the second.
PARENT = """
import signal, sys
from train.hosts import supervisor
from train.hosts.place import Place
supervisor.END_SECONDS = float(sys.argv[2])
place = Place(coordinator="h0:1", rank=1, size=2, launcher="hand")
words = [sys.executable, "-c", sys.argv[1]]
sys.exit(supervisor.supervise(words, place, "train resume runs/1 --hosts auto"))
"""
SIGNALLED = """
import os, signal, sys, time
def on(number, frame):
    print(signal.Signals(number).name, flush=True)
    os._exit(128 + number)
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, on)
print(os.getpid(), flush=True)
for _ in range(1200):
    time.sleep(0.05)
"""
MEMBER = """
import os, sys, time
from train.hosts import supervisor
supervisor.os._exit = lambda code: {then}
supervisor.end_as_member(lambda: {code})
"""


def start(code: str, end_seconds: float = 30, **options) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PARENT, code, str(end_seconds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        **options,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


def again(name: str, why: str) -> str:
    return (
        f"train: error: rank 1: ended by {name}: {why}. Go on from the last checkpoint: "
        "`train resume runs/1 --hosts auto`.\n"
    )


@pytest.mark.parametrize(
    ("code", "expected", "told"),
    [
        ("print('done')", 0, ""),
        ("raise SystemExit(2)", 2, ""),
        ("raise SystemExit(143)", 143, ""),
        ("import os; os.abort()", 75, again("SIGABRT", "another process of the team is gone")),
        ("raise SystemExit(134)", 75, again("SIGABRT", "another process of the team is gone")),
        (
            "import os; os.kill(os.getpid(), 9)",
            75,
            again("SIGKILL", "killed, often for lack of memory"),
        ),
        ("import os; os.kill(os.getpid(), 15)", 143, ""),
        ("import os; os.kill(os.getpid(), 11)", 139, ""),
    ],
)
def test_how_it_ends(code, expected, told) -> None:
    process = start(code)
    assert ended(process) == (expected, "done\n" if "print" in code else "", told)


@pytest.mark.parametrize(
    ("code", "expected"), [("0", 0), ("2", 2), ("75", 75), ("sys.exit(2)", 2), ("1 / 0", 1)]
)
def test_what_was_told_counts_whatever_happens_then(code, expected) -> None:
    """As where the first process leaves, and JAX aborts the others."""
    ends, out, err = ended(start(MEMBER.format(code=code, then="os.abort()")))
    assert (ends, out) == (expected, "")
    assert ("ZeroDivisionError" in err) == (code == "1 / 0")
    assert err.count("SIGABRT") == 0


def test_a_child_that_does_not_end_is_killed() -> None:
    never = "[print(os.getpid(), flush=True), time.sleep(600)]"
    code, out, err = ended(start(MEMBER.format(code=75, then=never), 0.1))
    assert (code, err) == (75, "")
    assert not Path(f"/proc/{out.strip()}").exists()


def test_stdout_is_for_results() -> None:
    """Gloo prints there from C++."""
    code = MEMBER.format(
        code="print('result') or os.write(1, b'noise\\n') and 0", then="done(code)"
    )
    code = code.replace("supervisor.os._exit =", "done = os._exit\nsupervisor.os._exit =")
    assert ended(start(code)) == (0, "result\n", "")


def test_a_signal_ends_it_while_it_waits_for_others() -> None:
    """There it is in C++, which calls no handler of Python."""
    with socket.create_server(("127.0.0.1", 0)) as first:
        first.settimeout(PATIENCE)
        place = {
            "JAX_NUM_PROCESSES": "2",
            "JAX_PROCESS_ID": "1",
            "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{first.getsockname()[1]}",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "train", "strips", "--hosts", "auto"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "KERAS_BACKEND": "jax", **place},
        )
        with first.accept()[0]:
            process.terminate()
            code, out, err = ended(process)
    assert (code, out) == (143, "")
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("sent", "received", "code"),
    [("SIGTERM", "SIGTERM", 143), ("SIGINT", "SIGINT", 130), ("SIGHUP", "SIGTERM", 143)],
)
def test_signals_are_passed_on(sent, received, code) -> None:
    process = start(SIGNALLED)
    assert process.stdout.readline()
    process.send_signal(signal.Signals[sent])
    assert ended(process) == (code, f"{received}\n", "")


def test_a_terminals_ctrl_c_comes_once() -> None:
    """It goes to the whole group, of which the child is none."""
    process = start(SIGNALLED, start_new_session=True)
    child = int(process.stdout.readline())
    assert os.getpgid(child) != os.getpgid(process.pid)
    os.killpg(process.pid, signal.SIGINT)
    assert ended(process) == (130, "SIGINT\n", "")


def test_the_child_does_not_outlive_its_parent() -> None:
    process = start(SIGNALLED)
    assert process.stdout.readline()
    process.kill()
    # So that it can write a checkpoint; that the pipe ends says that the child has.
    assert process.stdout.read() == "SIGTERM\n"
    ended(process)
