"""Runs every verb on damaged folders, and looks at what comes of it."""

import contextlib
import faulthandler
import gc
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from fuzz_damage import Random
from fuzz_judge import LINKED, called, changes, judge, nothing_left, open_files, snapshot
from fuzz_places import OUTPUT_KINDS, damage_place, put
from fuzz_trees import make_trees
from fuzz_verbs import VERBS, Verb
from resume_cases import OneModel

from train.training.job import Job

_CASE_SECONDS = 120  # what takes longer hangs
_STDERR = os.dup(2)  # what it is called by then may be another file
_OF_TENSORFLOW = "elsewhere/TMPDIR/__autograph_generated_file"  # until the process ends
# That a run or a cache may have and these have not.
_ABSENT = ("bad_records.jsonl", "diverged.npz", "lock", "export", "events/x", "_SUCCESS")
_ABSENT += ("readers/1-x.json", "shards/x", "shards/x.part", "wanted")


def folder_case(seed: int, folder: Path) -> Callable[[int], str]:
    """Returns a function that damages folders, runs a verb on them, and judges it.

    Args:
        seed: Of all cases.
        folder: Where they stand. The environment's folders for temporary files and the like are
            set to be in it.
    """
    here, elsewhere = folder / "here", folder / "elsewhere"
    elsewhere.mkdir()
    for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME"):
        (elsewhere / name).mkdir()
        os.environ[name] = str(elsewhere / name)
    tempfile.tempdir = os.environ["TMPDIR"]
    here.mkdir()
    os.chdir(here)
    make_trees(here)
    stage = _Stage(here, folder / "whole")
    _share_models()
    gc.freeze()  # of what is there by now nothing goes, and to look for it takes long

    def run(number: int) -> str:
        random = np.random.default_rng([seed, number])
        names = list(VERBS)
        shares = np.array([verb.share for verb in VERBS.values()])
        name = random.choice(names, p=shares / shares.sum()).item()
        encoding = random.choice(["raw", "raw", "png", "jpeg"]).item()
        tree = random.choice(VERBS[name].trees).item()
        tree = tree if tree != "dataset" else encoding
        stage.set_up()
        damages = [
            _damage(VERBS[name], here / tree, here / LINKED, random)
            for _ in range(2 if random.random() < 0.15 else 1)
        ]
        try:
            return _judged(VERBS[name], encoding, random, folder)
        except BaseException as error:
            error.add_note(f"{name} {encoding}: {damages}")
            raise

    return run


def _judged(verb: Verb, encoding: str, random: Random, folder: Path) -> str:
    before = snapshot(folder)
    with _limited_time(), nothing_left():
        told = called(lambda: verb.run(encoding, random))
    outcome = judge(told, may_find=verb.may_find)
    may_change = ("told.json", _OF_TENSORFLOW, *(f"here/{beginning}" for beginning in verb.writes))
    changed = changes(before, snapshot(folder), may_change)
    assert not changed, changed
    still_open = open_files(folder / "here")
    assert not still_open, still_open
    return outcome


@contextlib.contextmanager
def _limited_time() -> Iterator[None]:
    """Ends the process, saying where it is, if a block hangs."""
    faulthandler.dump_traceback_later(_CASE_SECONDS, exit=True, file=_STDERR)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


class _Stage:
    """A folder that is as it was before, each time.

    Args:
        folder: What it begins with is kept in a copy.
        whole: The copy to be.
    """

    def __init__(self, folder: Path, whole: Path) -> None:
        shutil.copytree(folder, whole)
        self._folder, self._whole = folder, whole
        self._before = {name: snapshot(folder / name) for name in os.listdir(whole)}

    def set_up(self) -> None:
        """Makes all that has changed since the last time whole again, at the same place."""
        for name in {*os.listdir(self._folder), *self._before}:
            path, whole = self._folder / name, self._whole / name
            is_folder = path.is_dir() and not path.is_symlink()
            if is_folder and self._before.get(name) == snapshot(path):
                continue
            shutil.rmtree(path) if is_folder else path.unlink(missing_ok=True)
            if whole.is_dir():
                shutil.copytree(whole, path)
                self._before[name] = snapshot(path)
            elif whole.exists():
                shutil.copy2(whole, path)


def _damage(verb: Verb, tree: Path, around: Path, random: Random) -> str:
    """Damages something in a tree, the tree, or an output; returns where and how."""
    here, chance = tree.parent, random.random()
    if verb.outputs and chance < 0.1:
        place = here / random.choice(verb.outputs).item()
        kind = random.choice(OUTPUT_KINDS).item()
        put(place, kind, around, random)
        return f"{place.name}: {kind}"
    places = sorted(tree.rglob("*")) if tree.is_dir() else []
    if chance > 0.95:  # by its name; where that is a link, it may lead elsewhere
        put(tree, random.choice([*OUTPUT_KINDS, "missing"]).item(), around, random)
        return f"{tree.name}: another kind"
    if chance > 0.9 or not places:
        places = [tree / name for name in _ABSENT]
    place = places[random.integers(len(places))]
    if not place.parent.is_dir():
        return f"{place.name}: nothing"
    return f"{place.name}: {damage_place(place, around, random)}"


def _share_models() -> None:
    """Builds each network once, which takes seconds."""
    build, built = Job.model, {}

    def model(job: Job) -> object:
        key = repr((job.config, job.info, job.training.num_steps))
        if "width=0.125" not in key:
            return build(job)
        return built.setdefault(key, OneModel())(job)

    Job.model = model
