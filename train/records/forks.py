"""Renews locks and threads in a forked process, in which only the forking thread runs.

`multiprocessing` forks by default before Python 3.14, and so do PyTorch's workers. A lock that
another thread held at that moment is never released there, and a pool waits for threads that are
gone.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forked(Protocol):
    """Has locks or threads."""

    def after_fork(self) -> None:
        """Replaces them; called in the child before any other code of it."""


_owners: weakref.WeakSet[Forked] = weakref.WeakSet()


def renew_in_forks(owner: Forked) -> None:
    """Has an object told when it finds itself in a forked process; it is held weakly."""
    _owners.add(owner)


def _renew() -> None:
    for owner in list(_owners):
        owner.after_fork()


os.register_at_fork(after_in_child=_renew)
