"""`train compare`: one table of several runs, and a page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from report_cases import require_sound
from train_cases import run_main

from train.compare.page import page
from train.compare.runs import read_runs

OWN = {"dataset": "/d/strips", "dataset_id": "f2d56a7e" * 8, "epochs": 2, "model": "cnn"}
HEAD = "epoch,step,loss,exact,images_per_second,seconds"
VALIDATION = ",validation_loss,validation_character_accuracy,validation_exact"
ROWS = ("1,10,3.5,0.1,100.0,40.0,2.5,0.5,0.25", "2,20,1.5,0.6,120.0,50.0,0.5,0.9,0.75")


def run_at(path: Path, rows=ROWS, head=HEAD + VALIDATION, **options) -> str:
    """Makes what a comparison reads of a run's folder."""
    path.mkdir(parents=True)
    (path / "config.json").write_text(json.dumps({**OWN, **options}), encoding="utf-8")
    (path / "history.csv").write_text("\n".join((head, *rows)) + "\n", encoding="utf-8")
    return str(path)


@pytest.fixture
def runs(tmp_path, monkeypatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    worse = ("1,10,3.5,0.1,100.0,40.0,2.5,0.5,0.5", "2,20,1.5,0.6,120.0,50.0,0.5,0.9,0.25")
    run_at(Path("runs/1"))
    run_at(Path("runs/2"), worse, learning_rate=3e-4, weights="/r/<s>1", shares=[3.0, 1.0])
    return ["runs/1", "runs/2"]


def test_the_table(runs, capfd):
    assert run_main("compare", *runs, "--json") == 0
    *table, summary = capfd.readouterr().out.splitlines()
    assert table == [
        "run     exact  characters    loss  best epoch  epochs  steps     time  images/s",
        "runs/1  75.0%       90.0%  0.5000           2       2     20  1.5 min       120",
        "runs/2  50.0%       50.0%  2.5000           1       2     20  1.5 min       120",
        "",
        "options that differ  runs/1   runs/2",
        "learning-rate             –   0.0003",
        "weights                   –  /r/<s>1",
        "shares                    –      3,1",
    ]
    found = json.loads(summary)
    assert found["differing"] == ["learning_rate", "weights", "shares"]
    assert [run["exact"] for run in found["runs"]] == [0.75, 0.5]
    assert found["runs"][1]["options"]["learning_rate"] == 3e-4
    assert found["page"] is None


def test_equal_runs_and_those_without_validation(tmp_path, capfd):
    """Also where one was made by a version that named an option otherwise."""
    short = [row[: -len(",2.5,0.5,0.25")] for row in ROWS[:1]]
    named = {"a": True, "b": "default"}
    paths = [run_at(tmp_path / n, short, HEAD, augment=value) for n, value in named.items()]
    assert run_main("compare", *paths) == 0
    out = capfd.readouterr().out.splitlines()
    assert out[1].split() == ["a", "–", "–", "–", "1", "1", "10", "40", "s", "100"]
    assert out[-1] == "no option differs"
    assert "Exact match on validation" not in page(read_runs(paths))


def test_values_that_are_no_numbers(tmp_path, capfd):
    """A history may come from a stranger."""
    wild = ("2,10,nan,inf,nan,inf,-3,nan,0.5", "1,20,-1,0.6,inf,nan,nan,0.9,inf")
    runs = [run_at(tmp_path / "a", wild), run_at(tmp_path / "b")]
    assert run_main("compare", *runs, "--json", "--output", tmp_path / "c.html") == 0
    assert "NaN" not in capfd.readouterr().out.splitlines()[-1]
    assert "nan" not in (tmp_path / "c.html").read_text(encoding="utf-8").split("</style>")[1]


def test_other_datasets_are_warned_of(tmp_path, capfd):
    paths = [run_at(tmp_path / "a"), run_at(tmp_path / "b", dataset_id="0" * 64)]
    assert run_main("compare", *paths) == 0
    assert "train: warning: these runs were validated on different datasets" in (
        capfd.readouterr().err
    )
    assert "validated on different datasets" in page(read_runs(paths))


def test_names_that_are_the_same_become_paths(tmp_path):
    paths = [run_at(tmp_path / "a/run"), run_at(tmp_path / "b/run")]
    assert [run.name for run in read_runs(paths)] == paths
    assert [run.name for run in read_runs([paths[0], run_at(tmp_path / "c")])] == ["run", "c"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["runs/1"], 2, "name 2 to 8 runs to compare, got 1."),
        (["runs/1", "runs/1"], 2, "a run is named twice; name each once."),
        (["runs/1", "no"], 1, "no: no config.json in it, so it is no run. `train` makes runs."),
        (["runs/1", "new"], 1, "new: has no finished epoch yet, so nothing to compare."),
        (
            ["runs/1", "runs/2", "--output", "x.txt"], 2,
            "x.txt: exists, and is no comparison of runs. Name another --output, or replace it "
            "with --overwrite.",
        ),
        (
            ["runs/1", "runs/2", "--output", "runs/1/history.csv", "--overwrite"], 2,
            "runs/1/history.csv: lies in a run. Name another --output.",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_compared(words, code, message, runs, capfd):
    run_at(Path("new"), ())
    Path("x.txt").write_text("mine")
    assert run_main("compare", *words) == code
    printed = capfd.readouterr()
    assert (printed.out, printed.err.split("error: ")[-1]) == ("", message + "\n")
    assert Path("x.txt").read_text() == "mine"


def test_the_page_replaces_a_page_and_escapes(runs):
    for _ in range(2):
        assert run_main("compare", *runs, "--output", "c.html") == 0
    text = Path("c.html").read_text(encoding="utf-8")
    assert "/r/&lt;s&gt;1" in text and "<s>1" not in text
    assert text.count("<svg") == 5


@pytest.mark.long
def test_the_page_in_a_browser(runs, browser, tmp_path):
    path = tmp_path / "c.html"
    path.write_text(page(read_runs(runs)) + "<details></details>", encoding="utf-8")
    browser.open(path)
    require_sound(browser)


def test_what_was_learned_by_heart_is_told(tmp_path, capfd):
    """Also where nothing else differs."""
    paths = [run_at(tmp_path / name, overfit=8) for name in ("a", "b")]
    assert run_main("compare", *paths) == 0
    assert "--overfit trains on, so its results say nothing" in capfd.readouterr().err
