"""LitData's `optimize`."""

from __future__ import annotations

import importlib
import os
from typing import Any

os.environ["LITDATA_DISABLE_VERSION_CHECK"] = "1"  # else it asks the network before it starts

import numpy as np

from benchmarks.converters.clock import timed
from benchmarks.converters.strips import Row, pixels, task

litdata: Any = importlib.import_module("litdata")

CHUNK_BYTES = "64MB"  # as in the examples of LitData's documentation


def convert(row: Row) -> dict[str, bytes]:
    """Returns the item that LitData stores for a row; bytes cost it a little less than arrays."""
    image, labels = row
    return {"image": pixels(image).tobytes(), "label": np.array(labels, np.int32).tobytes()}


def main() -> None:
    todo = task()
    litdata.optimize(
        fn=convert,
        inputs=todo.rows,
        output_dir=str(todo.output),
        chunk_bytes=CHUNK_BYTES,
        num_workers=todo.workers,
        keep_data_ordered=True,  # a slice of the rows for each worker: no queue between
        start_method="fork",  # by default every worker takes seconds to load the library again
        verbose=False,
    )


if __name__ == "__main__":
    with timed():
        main()
