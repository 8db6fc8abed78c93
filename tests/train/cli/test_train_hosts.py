"""`--hosts auto`: what is refused before anything is loaded, and the warning without it."""

from __future__ import annotations

import pytest
from train_cases import SMALL, run_main

from train.hosts.place import Place

HAND = {
    "JAX_NUM_PROCESSES": "2",
    "JAX_PROCESS_ID": "0",
    "JAX_COORDINATOR_ADDRESS": "127.0.0.1:9",
}


@pytest.fixture
def launched(monkeypatch):
    """Sets the variables of a launcher, and Keras' backend."""

    def launch(backend: str | None = "jax", **variables: str) -> None:
        monkeypatch.delenv("KERAS_BACKEND", raising=False)
        for name, value in {**HAND, **variables}.items():
            monkeypatch.setenv(name, value)
        if backend:
            monkeypatch.setenv("KERAS_BACKEND", backend)

    return launch


@pytest.mark.parametrize("words", [("strips",), ("resume", "runs/1")])
def test_without_a_launcher(words, capfd) -> None:
    assert run_main(*words, "--hosts", "auto") == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("train: error: --hosts auto: nothing says which of several processes")
    assert err.count("\n") == 1


@pytest.mark.parametrize(("backend", "got"), [(None, "nothing"), ("tensorflow", "tensorflow")])
def test_on_another_backend(backend, got, launched, capfd) -> None:
    launched(backend)
    assert run_main("strips", "--hosts", "auto") == 2
    expected = f"--hosts auto trains on JAX: set KERAS_BACKEND=jax, got {got}."
    assert capfd.readouterr().err == f"train: error: {expected}\n"


def test_a_dry_run_is_of_one_host(launched, capfd) -> None:
    launched()
    assert run_main("strips", "--hosts", "auto", "--dry-run") == 2
    expected = "--dry-run takes its steps on one host: leave out --hosts and --engine."
    assert capfd.readouterr().err == f"train: error: {expected}\n"


@pytest.mark.parametrize(
    ("words", "resume"),
    [
        (("strips",), "train resume RUN --hosts auto"),
        (("strips", "--run", "my runs/1"), "train resume 'my runs/1' --hosts auto"),
        (("resume", "runs/1"), "train resume runs/1 --hosts auto"),
    ],
)
def test_a_parent_starts_the_same_command(words, resume, launched, monkeypatch) -> None:
    """`test_train_supervisor` has the rest."""
    launched(JAX_PROCESS_ID="1")
    seen = []
    monkeypatch.setattr("train.cli.hosts.supervise", lambda *given: seen.append(given) or 75)
    monkeypatch.setattr("train.cli.hosts.this_command", lambda: ["me"])
    assert run_main(*words, "--hosts", "auto") == 75
    place = Place(coordinator="127.0.0.1:9", rank=1, size=2, launcher="hand")
    assert seen == [(["me"], place, resume)]


@pytest.mark.parametrize(("rank", "warned"), [("0", True), ("1", False)])
def test_a_launcher_that_is_not_used_is_warned_of_once(
    rank, warned, launched, tmp_path, capfd
) -> None:
    launched(None, JAX_PROCESS_ID=rank)
    assert run_main(tmp_path / "nowhere", *SMALL) == 1
    warning = (
        "train: warning: 2 processes started by hand: each trains a run of its own; "
        "with --hosts auto all train one\n"
    )
    assert (warning in capfd.readouterr().err) is warned
