"""A conversion that is stopped at any moment, by anything, ends with the same bytes after all."""

import contextlib
import functools
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from convert_cases import PATIENCE, command, convert, draw_sources, plan_of, png
from fault_cases import Scene, end, make_scene, processes, start, wait_for, workers
from fault_injection import faulty

from convert.dataset.read import read_dataset
from convert.errors import TryAgainError
from convert.images import ImageOptions
from convert.storage.local import locked
from convert.write.write_shard import ShardJob, write_shard

KINDS = ("overwrite raw", "plain raw", "plain png", "retry png")
MEMORY = Path("/dev/shm")  # where there is none, a disk will do


@pytest.fixture(scope="module")
def scratch() -> Iterator[Path]:
    """A folder whose files need not wait for a disk."""
    fast = str(MEMORY) if os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=fast) as folder:
        yield Path(folder)


# Before every single change on the disk


@pytest.mark.parametrize(
    ("fault", "kind", "exchanges"),
    [
        # Overwriting takes all their steps, and more.
        pytest.param("kill", "plain png", True, marks=pytest.mark.long),
        pytest.param("kill", "plain png", False, marks=pytest.mark.long),
        pytest.param("kill", "overwrite raw", True, marks=pytest.mark.long),
        ("kill", "overwrite raw", False),  # then the old dataset stands aside for a moment
        pytest.param("kill", "retry png", True, marks=pytest.mark.long),
        pytest.param("kill twice", "overwrite raw", False, marks=pytest.mark.long),
        pytest.param("kill twice", "retry png", True, marks=pytest.mark.long),
        ("stop", "plain raw", True),
        pytest.param("stop", "overwrite raw", True, marks=pytest.mark.long),
        pytest.param("full", "plain png", False, marks=pytest.mark.long),
        pytest.param("full", "retry png", True, marks=pytest.mark.long),
    ],
)
def test_before_every_change_on_the_disk(
    scratch: Path, fault: str, kind: str, exchanges: bool
) -> None:
    """SIGKILL, SIGTERM or a full disk, with and without renameat2: all of it can be resumed."""
    base = scratch / f"{fault} {kind} {exchanges}"
    script = Path(__file__).parents[2].joinpath("support", "converting", "every_step.py")
    done = subprocess.run(
        [sys.executable, script, base, kind, fault, "exchanges" if exchanges else "renames only"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    num_steps, *problems = done.stdout.splitlines()
    assert problems == []
    assert int(num_steps) > 50  # they are seen


# Real processes, at random moments

NUM_MOMENTS = 16
NUM_QUICK_MOMENTS = 2  # once the command, once a worker
ENDS = ("the command", "a worker and the command", "the command, three times")


Scenes = Callable[[str], tuple[Scene, float]]


@pytest.fixture(scope="module")
def scenes(scratch: Path) -> Scenes:
    """Conversions of a kind, and the seconds that they take once they have begun."""

    @functools.cache
    def scene_of(kind: str) -> tuple[Scene, float]:
        base = scratch / f"moments {kind}"

        def run(folder: Path, words: list[str]) -> None:
            command(*words, cwd=folder)

        scene = make_scene(base, kind, run, rows_per_shard=1)
        folder = scene.set_up(base / "whole")
        process = begin(scene, folder)
        started = time.monotonic()
        assert end(process)[0] == 0
        seconds = time.monotonic() - started
        assert scene.is_done(folder)
        return scene, seconds

    return scene_of


def begin(scene: Scene, folder: Path) -> subprocess.Popen[str]:
    """Starts a conversion and waits until it has done something."""
    process = start(folder, [*scene.words, "--workers", "2"])
    wait_for(lambda: (folder / ".out.lock").exists() or process.poll() is not None)
    return process


def strike(process: subprocess.Popen[str], victims: str, chance: random.Random) -> bool:
    """Kills a worker, the command, or one after the other; tells whether there was one."""
    struck = False
    if victims.startswith("a worker"):
        alive = wait_for(lambda: workers(process) or process.poll() is not None)
        if isinstance(alive, list):
            with contextlib.suppress(ProcessLookupError):  # its work was done
                os.kill(chance.choice(alive), signal.SIGKILL)
                struck = True
    if victims != "a worker" and process.poll() is None:
        process.kill()
        struck = True
    return struck


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(moment, marks=[pytest.mark.long] if moment >= NUM_QUICK_MOMENTS else [])
        for moment in range(NUM_MOMENTS)
    ],
)
def test_killed_at_a_random_moment(scenes: Scenes, moment: int) -> None:
    chance = random.Random(moment)
    victims = "a worker" if moment % 2 else chance.choice(ENDS)
    kind = KINDS[moment // 2 % len(KINDS)]
    scene, seconds = scenes(kind)
    folder, struck = scene.base / f"moment-{moment}", False
    delay = seconds * chance.random()
    while not struck:
        process = begin(scene, scene.set_up(folder))
        time.sleep(delay)
        struck = strike(process, victims, chance)
        delay /= 2  # today it is faster than it was
        code, _, err = end(process)
    assert code in (0, -signal.SIGKILL), err
    for _ in range(2 if victims == "the command, three times" else 0):
        process = begin(scene, folder)
        time.sleep(seconds * chance.random())
        process.kill()
        end(process)
    wait_for(lambda: not processes(folder))  # no worker outlives the command
    assert scene.is_whole(folder)
    if code:
        command(*scene.words, "--workers", 1, cwd=folder)
    assert scene.is_done(folder)


@pytest.mark.parametrize(
    "share",
    [pytest.param(0.8, marks=pytest.mark.long), 0.9, pytest.param(1, marks=pytest.mark.long)],
)
def test_the_command_is_killed_in_its_commit(scratch: Path, scenes: Scenes, share: float) -> None:
    """As above before every change, but with processes that are those of a user."""
    scene, _ = scenes("overwrite raw")
    base = scratch / f"commit {share}"
    base.mkdir()
    told, folder = base / "steps", scene.set_up(base / "work")
    environment = faulty(base / "count", f"count_steps({str(folder)!r}, {str(told)!r})")
    command(*scene.words, cwd=folder, env=environment)
    step = round(int(told.read_text()) * share)
    environment = faulty(base / "die", f"die_at_step({str(folder)!r}, {step})")
    done = command(*scene.words, cwd=scene.set_up(folder), env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    assert scene.is_whole(folder)
    command(*scene.words, cwd=folder)
    assert scene.is_done(folder)


# What only several runs can do to each other


def test_a_shard_of_other_sources_is_not_taken_for_ours(tmp_path: Path) -> None:
    """A writer that outlived its command had published it after we looked."""
    draw_sources(tmp_path, 10)
    plan = plan_of(tmp_path / "m.csv", split=(("train", 1.0),))
    for folder in ("attempts", "done", "dataset"):
        (tmp_path / "staging" / folder).mkdir(parents=True)
    image = ImageOptions(crop=None, size=(12, 8))
    staging = str(tmp_path / "staging")
    job = ShardJob(root=str(tmp_path), staging=staging, num_labels=2, image=image)
    write_shard(job, plan.shard("train", 0))
    (tmp_path / "i/3.png").write_bytes(png(seed=99))
    with pytest.raises(TryAgainError) as caught:
        write_shard(job, plan.shard("train", 0))
    assert str(caught.value) == (
        "images-train.tfrecord-00000-of-00001: another process wrote it, out of other files. "
        "Run the same command again."
    )
    assert os.listdir(tmp_path / "staging/attempts") == []


def test_a_lock_file_that_a_user_removes_is_made_anew(tmp_path: Path) -> None:
    """And the one that another made meanwhile stays with that one."""
    path = str(tmp_path / "lock")
    with locked(path, pytest.fail):
        os.unlink(path)
    with locked(path, pytest.fail):
        os.unlink(path)
        Path(path).touch()
    assert os.listdir(tmp_path) == ["lock"]


def test_a_dataset_may_come_back_to_where_files_were_kept(tmp_path: Path) -> None:
    """Its folder has been replaced before, and still keeps a file of others."""
    draw_sources(tmp_path, 40)
    first = convert(tmp_path / "m.csv", tmp_path / "out").info
    (tmp_path / "out/notes.txt").write_text("mine")
    kept = f".out.old-{first.dataset_id[:16]}"
    for seed in (5, 0, 5):
        convert(tmp_path / "m.csv", tmp_path / "out", seed=seed, overwrite=True)
        assert sorted(os.listdir(tmp_path)) == [kept, "i", "m.csv", "out"]
    assert os.listdir(tmp_path / kept) == ["notes.txt"]
    assert read_dataset(str(tmp_path / "out")).options["seed"] == 5
    assert convert(tmp_path / "m.csv", tmp_path / "out", seed=5).already_complete
