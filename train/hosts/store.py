"""Small texts that the processes of a team tell each other, in the store that rank 0 keeps.

It works while devices compute, and before they are connected.
"""

from __future__ import annotations

import time
from typing import Any

_WAIT_MS = 5_000  # for a value, before it is asked for again
_LOOK_SECONDS = 0.1  # from one look for the others to the next


class Store:
    """JAX's key-value store, which exists once this process has joined.

    Args:
        rank: Which process this is.
        size: Processes of the team.
    """

    def __init__(self, rank: int, size: int) -> None:
        from jax._src import distributed  # no public name leads to it

        self._client: Any = distributed.global_state.client
        self._rank, self._size = rank, size

    def tell(self, key: str, text: str) -> None:
        """Tells something, or something else than before."""
        self._client.key_value_set(key, text, allow_overwrite=True)

    def tell_first(self, key: str, text: str) -> bool:
        """Tells something unless somebody has; returns whether nobody had."""
        try:
            self._client.key_value_set(key, text)
        except RuntimeError as error:
            if "ALREADY_EXISTS" not in str(error):
                raise
            return False
        return True

    def forget(self, key: str) -> None:
        """Takes back what was told."""
        self._client.key_value_delete(key)

    def told(self, folder: str) -> dict[str, str]:
        """Returns what was told under keys that begin with `folder`, which ends in a slash."""
        return dict(self._client.key_value_dir_get(folder))

    def wait(self, key: str) -> str:
        """Waits until something is told."""
        while True:
            try:
                return str(self._client.blocking_key_value_get(key, _WAIT_MS))
            except RuntimeError as error:
                if "DEADLINE_EXCEEDED" not in str(error):
                    raise

    def exchange(self, place: str, text: str) -> list[str]:
        """Returns what each rank tells here, by rank."""
        self.tell(f"{place}/{self._rank}", text)
        return [self.wait(f"{place}/{rank}") for rank in range(self._size)]

    def arrive(self, place: str) -> None:
        """Tells that this rank has come to a place."""
        self.tell(f"{place}/{self._rank}", "")

    def meet(self, place: str, seconds: float | None = None) -> None:
        """Waits until all ranks have come to a place, or for some time."""
        self.arrive(place)
        started = time.monotonic()
        while len(self.told(f"{place}/")) < self._size:
            if seconds is not None and time.monotonic() - started > seconds:
                return
            time.sleep(_LOOK_SECONDS)
