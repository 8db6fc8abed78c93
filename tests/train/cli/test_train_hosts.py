"""`--hosts auto`: what is refused before anything is loaded, and the warning without it."""

from __future__ import annotations

import pytest
from command_parsers import parser_of
from train_cases import SMALL, run_main

from train.cli.options import given_options, words_of
from train.hosts.place import Place
from train.hosts.spark_task import Trained

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


def test_a_process_of_spark_goes_on_by_spark(launched, monkeypatch) -> None:
    launched(SHARDFEED_LAUNCHER="Spark")
    seen = []
    monkeypatch.setattr("train.cli.hosts.supervise", lambda *given: seen.append(given[2]) or 0)
    assert run_main("resume", "runs/1", "--hosts", "auto") == 0
    assert seen == ["train resume runs/1 --engine spark --num-hosts 2"]


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


# Spark


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("strips", "--engine", "spark"),
            "--engine spark needs --num-hosts N, at least 1, got nothing.",
        ),
        (
            ("strips", "--engine", "spark", "--num-hosts", "0"),
            "--engine spark needs --num-hosts N, at least 1, got 0.",
        ),
        (
            ("resume", "x", "--num-hosts", "2"),
            "--num-hosts needs --engine spark, got --engine local.",
        ),
        (
            ("strips", "--master", "yarn"),
            "--master needs --engine spark, got --engine local.",
        ),
        (
            ("strips", "--engine", "spark", "--num-hosts", "2", "--hosts", "auto"),
            "--engine spark starts the hosts itself: leave out --hosts.",
        ),
        (
            ("strips", "--engine", "spark", "--num-hosts", "2", "--dry-run"),
            "--dry-run takes its steps on one host: leave out --hosts and --engine.",
        ),
        (
            ("strips", "--engine", "spark", "--num-hosts", "2"),
            "--engine spark needs --run, an address that all hosts reach.",
        ),
    ],
)
def test_flags_of_spark_that_make_no_sense(words, message, monkeypatch, capfd) -> None:
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    assert run_main(*words) == 2
    assert capfd.readouterr().err == f"train: error: {message}\n"


def test_spark_trains_on_jax(monkeypatch, capfd) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    assert run_main("strips", "--run", "x", "--engine", "spark", "--num-hosts", "2") == 2
    expected = "--engine spark trains on JAX, got KERAS_BACKEND=tensorflow: unset it."
    assert capfd.readouterr().err == f"train: error: {expected}\n"


@pytest.mark.parametrize(
    ("words", "begins", "goes_on"),
    [
        (
            ("strips", "far", "--run", "run", "--epochs", "3", "--json", "--model", "a:b"),
            "fit /here/strips /here/far --run /here/run --epochs=3 --model=a:b --json",
            "resume /here/run --model=a:b --json",
        ),
        (
            ("strips", "--run", "hdfs://n:1/run", "--no-augment", "--weights", "old"),
            "fit /here/strips --run hdfs://n:1/run --weights=/here/old --augment=none",
            "resume hdfs://n:1/run",
        ),
        (
            ("resume", "run", "--dataset", "strips", "--epochs", "3"),
            "resume /here/run --dataset /here/strips --epochs=3",
            "resume /here/run --dataset /here/strips --epochs=3",
        ),
    ],
)
def test_what_each_host_is_to_do(words, begins, goes_on, monkeypatch, capfd) -> None:
    """Its folder is another one, so paths are whole."""
    seen = []

    def spark(*given):
        seen.append([" ".join(given[0]), " ".join(given[1]), *given[4:]])
        return Trained(rank=0, code=75, stdout='{"run": "\x1b[31m"}\n')

    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setattr("train.cli.spark.train_on_spark", spark)
    monkeypatch.setattr(
        "train.cli.spark.absolute", lambda path: path if ":" in path else f"/here/{path}"
    )
    assert run_main(*words, "--engine", "spark", "--num-hosts", "2", "--master", "yarn") == 75
    assert seen == [[begins, goes_on, 2, "yarn"]]
    assert capfd.readouterr().out == '{"run": "\\x1b[31m"}\n'


def test_all_options_can_be_given_to_another_host() -> None:
    options = {
        "epochs": 3,
        "learning_rate": 1e-7,
        "cache_bytes": 123456789,
        "augment": "none",
        "deterministic": True,
        "target": "exact=0.5",
        "shares": (3.0, 0.1),
        "model": "-a:b",
    }
    parser, words = parser_of("train", ["a", "b", *words_of(options)])
    given = given_options(parser.parse_args(words))
    assert given == {"dataset": "a", "more_datasets": ("b",), **options}
