"""Ours: the command `convert` with all its arguments, timed as the others are."""

from __future__ import annotations

from benchmarks.converters.clock import timed

if __name__ == "__main__":  # its workers import this file too, and must not pay for the command
    from convert import cli
    from convert.job import start_to_end as job  # noqa: F401  # the command loads `job` when it starts to work

    with timed():
        cli.main()
