"""Ours in a first pass: as `tensors`, but every record's CRC is compared, in each pass anew."""

from __future__ import annotations

from benchmarks.readers.images import Task
from benchmarks.readers.serve import Candidates, serve
from benchmarks.readers.shards import make
from benchmarks.readers.tensors import Loader


def candidates(task: Task) -> Candidates:
    return {"CRCs compared": lambda: Loader(task, verify_records="always")}


if __name__ == "__main__":
    serve(make, candidates)
