"""Several processes train one run: as one would, stopped, resumed, and when one of them fails."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from pathlib import Path

import pytest
from ranks import JOINED, Ranks, compiled, train_alone, train_together
from resume_cases import FLAGS, assert_same, content, history, newest, words_of

from train.hosts.team import Team
from train.training.resuming import follow

NARROW = {**FLAGS, "epochs": 2}
LAST = 22  # step of two epochs


@pytest.fixture(scope="module", autouse=True)
def jax():
    pytest.importorskip("jax", reason="jax is not installed")


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> dict[str, str]:
    return compiled(tmp_path_factory.mktemp("compiled"))


@pytest.fixture
def together(tmp_path, cache):
    """Trains as several ranks."""

    def train(size, words, act=("0", "0", "nothing"), **more):
        return train_together(tmp_path / "said", size, words, act, **cache, **more)

    return train


@pytest.fixture(scope="module")
def whole(tiny_dataset, tmp_path_factory, cache):
    """A run of two processes that nothing interrupted, and how they ended."""
    folder = tmp_path_factory.mktemp("team")
    words = [tiny_dataset, "--run", folder / "run", *words_of(NARROW), "--json"]
    return folder / "run", train_together(folder / "said", 2, words, **cache)


@pytest.mark.long
def test_two_train_as_one(whole, tiny_dataset, tmp_path, cache):
    run, ended = whole
    assert ended.codes == [0, 0], ended.said
    lines = [line for line in ended.said[1].splitlines() if "train: " in line]
    assert lines == []  # rank 0 alone tells of the run
    assert (
        "2 processes started by hand, 2 devices: each makes 4 of a step's 8 images" in ended.said[0]
    )
    (line,) = ended.stdout.splitlines()  # and no word of Gloo's
    assert json.loads(line)["steps"] == LAST
    row = history(run)[-1]
    shown = train_alone(["evaluate", run, "--split", "validation", "--json"], **cache)
    found = json.loads(shown.stdout.splitlines()[-1])
    best = max(history(run), key=lambda r: r["validation_exact"])
    for name in ("loss", "exact", "character_accuracy"):  # to the last bit
        assert found[name] == float(best[f"validation_{name}"]), shown.stderr
    alone = train_alone([tiny_dataset, "--run", tmp_path / "run", *words_of(NARROW)], **cache)
    assert alone.returncode == 0, alone.stderr
    assert_close(row, history(tmp_path / "run")[-1])


def assert_close(one, other):
    """Two epochs of steps that differ by their rounding."""
    for name in ("loss", "validation_loss"):
        assert float(one[name]) == pytest.approx(float(other[name]), rel=1e-3)
    assert one["step"] == other["step"]


@pytest.mark.long
def test_out_of_time_then_killed_a_run_ends_bit_for_bit(whole, tiny_dataset, tmp_path, together):
    """By the clock of one rank alone; then one of its processes is killed."""
    run = tmp_path / "run"
    words = [tiny_dataset, "--run", run, *words_of(NARROW), "--max-minutes", 600]
    ended = together(2, words, ("1", "5", "late"))
    assert ended.codes == [0, 0], ended.said
    told = re.search(r"stopped by --max-minutes 600 in epoch 1 after step (\d+);", ended.said[0])
    assert told, ended.said
    assert newest(run).position.step == int(told[1])
    assert "train: " not in ended.said[1]
    ended = together(2, ["resume", run], ("1", "9", "SIGKILL"))
    assert ended.codes == [75, 75], ended.said
    assert f"goes on in epoch 1/2 after step {told[1]}/11" in ended.said[0]
    assert "train: error: another process has gone: " in ended.said[0]
    ended = together(2, ["resume", run])
    assert ended.codes == [0, 0], ended.said
    assert "goes on in epoch 2/2 after step " in ended.said[0]
    expected = content(whole[0])
    expected["config"]["max_minutes"] = 600
    assert_same(expected, content(run))


@pytest.mark.long
def test_another_number_of_processes_and_devices(whole, tiny_dataset, tmp_path, together, cache):
    """2, then 1, then 4 processes, then 1 of 4 devices: the same batches."""
    run = tmp_path / "run"
    ended = together(2, [tiny_dataset, "--run", run, *words_of(NARROW)], ("1", "5", "SIGTERM"))
    assert ended.codes == [143, 143], ended.said
    assert "stopped by SIGTERM in epoch 1 after step " in ended.said[0]
    alone = train_alone(["resume", run], ("0", "3", "SIGTERM"), **cache)
    assert alone.returncode == 143, alone.stderr
    assert "not as when the run was started: devices 1, was 2" in alone.stderr
    ended = together(4, ["resume", run], ("all", "3", "SIGINT"))  # as from a terminal
    assert ended.codes == [130] * 4, ended.said
    assert "4 processes started by hand, 4 devices: each makes 2 of a step's 8" in ended.said[0]
    alone = train_alone(["resume", run], devices=4, **cache)
    assert alone.returncode == 0, alone.stderr
    assert [row["step"] for row in history(run)] == ["11", "22"]
    assert_close(history(run)[-1], history(whole[0])[-1])


@pytest.mark.long
def test_what_a_complete_run_lacks_is_written(whole, tmp_path, together, cache):
    """By a team, and by a process whose devices could not share a batch."""
    run = shutil.copytree(whole[0], tmp_path / "run")
    (run / "report.html").unlink()
    ended = together(2, ["resume", run])
    assert ended.codes == [0, 0], ended.said
    assert (run / "report.html").exists()
    (run / "report.html").unlink()
    alone = train_alone(["resume", run], devices=3, **cache)
    assert alone.returncode == 0, alone.stderr
    assert (run / "report.html").exists()


def test_kernels_are_chosen_before_devices_start(monkeypatch):
    done: list[str] = []
    monkeypatch.setattr(follow, "use_deterministic_kernels", lambda: done.append("kernels"))
    team = Team()
    monkeypatch.setattr(team, "connect", lambda: done.append("devices"))
    for deterministic in (True, False):
        follow.start_devices(team, deterministic=deterministic)
    assert done == ["kernels", "devices", "devices"]


@pytest.mark.long
@pytest.mark.parametrize(
    ("rank", "what", "code", "told"),
    [
        ("0", "SIGKILL", 75, ""),
        ("0", "full", 75, "checkpoints: cannot be written: No space left on device"),
        ("0", "nan", 1, "the loss became nan at step 9 (epoch 1, step 9); its batch is in "),
        ("1", "stuck", 75, "a process is stuck"),
    ],
)
def test_a_failure_ends_all_with_one_code(rank, what, code, told, tiny_dataset, tmp_path, together):
    words = [tiny_dataset, "--run", tmp_path / "run", *words_of(NARROW)]
    seconds = 10 if what == "stuck" else 60
    ended = together(2, words, (rank, "9", what), SHARDFEED_STEP_SECONDS=seconds)
    assert ended.codes == [code, code], ended.said
    assert sum(told in text for text in ended.said) >= 1
    assert "Traceback" not in "".join(ended.said)
    if what == "nan":  # by rank 0, which writes the images of both
        import numpy as np

        assert np.load(tmp_path / "run" / "diverged.npz")["images"].shape[0] == 8
    else:
        assert newest(tmp_path / "run")


@pytest.mark.long
def test_a_frozen_rank_is_given_up(tiny_dataset, tmp_path, cache):
    words = [tiny_dataset, "--run", tmp_path / "run", *words_of(NARROW)]
    act = ("1", "9", "SIGSTOP")
    ranks = Ranks(tmp_path / "said", 2, words, act, SHARDFEED_HEARTBEAT_SECONDS="5", **cache)
    first, second = ranks.processes
    assert first.wait(300) == 75
    (child,) = Path(f"/proc/{second.pid}/task/{second.pid}/children").read_text().split()
    os.kill(int(child), signal.SIGCONT)  # it finds that the others have gone
    assert ranks.wait().codes == [75, 75]


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_never_starts(rank, tiny_dataset, tmp_path):
    words = [tiny_dataset, "--run", tmp_path / "run"]
    ended = Ranks(tmp_path / "said", 2, words, started=[rank], SHARDFEED_JOIN_SECONDS="1").wait()
    assert ended.codes == [75], ended.said
    assert f"rank {rank} did not find all 2 processes at 127.0.0.1:" in ended.said[0]
    assert not (tmp_path / "run").exists()


@pytest.mark.long
def test_processes_that_have_joined_already(tiny_dataset, tmp_path, together):
    """As workers of Ray: JAX has taken SIGTERM, and no parent of ours is there."""
    words = [tiny_dataset, "--run", tmp_path / "run", *words_of(NARROW)]
    ended = together(2, words, ("1", "5", "SIGTERM"), **{JOINED: 1})
    assert ended.codes == [143, 143], ended.said
    assert newest(tmp_path / "run").position.step > 0


@pytest.mark.long
@pytest.mark.parametrize(
    ("flags", "code", "told"),
    [
        ([["--seed", "0"], ["--seed", "1"]], 2, "seed of rank 0:  0\n  seed of rank 1:  1\n"),
        ([["--batch-size", "9"]] * 2, 2, "--batch-size 9 cannot be shared evenly by 2 devices; 8"),
        ([["--run", "."], []], 2, "train: error: .: exists already"),
        ([[], ["nowhere"]], 1, "train: error: rank 1: nowhere: "),
    ],
)
def test_what_one_refuses_ends_all(flags, code, told, tiny_dataset, tmp_path, together):
    ended = together(2, [["--run", tmp_path / "run", tiny_dataset, *own] for own in flags])
    assert ended.codes == [code, code], ended.said
    assert told in ended.said[0]  # whoever met it first
    assert not (tmp_path / "run").exists()


@pytest.mark.long
@pytest.mark.parametrize("on_bad", ["skip", "stop"])
def test_bad_records_of_any_rank(on_bad, tiny_dataset, tmp_path, together, cache):
    dataset = shutil.copytree(tiny_dataset, tmp_path / "strips")
    for shard in sorted(dataset.glob("*train*")):
        data = bytearray(shard.read_bytes())
        data[len(data) // 2] ^= 1
        shard.write_bytes(data)
    words = [*words_of(NARROW), "--on-bad-record", on_bad, "--target", "character_accuracy=0.0001"]
    ended = together(2, [dataset, "--run", tmp_path / "run", *words])
    if on_bad == "stop":
        assert ended.codes == [1, 1], ended.said
        assert ended.said[0].count("train: error: ") == 1
        return
    assert ended.codes == [0, 0], ended.said
    alone = train_alone([dataset, "--run", tmp_path / "alone", *words], **cache)
    assert alone.returncode == 0, alone.stderr
    assert len(history(tmp_path / "run")) == len(history(tmp_path / "alone")) == 1  # the target
    listed = [(tmp_path / name / "bad_records.jsonl").read_text() for name in ("run", "alone")]
    assert listed[0] == listed[1] != ""
