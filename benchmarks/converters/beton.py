"""FFCV's `DatasetWriter` with raw images."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from benchmarks.converters.clock import timed
from benchmarks.converters.strips import OUTPUTS, Pixels, Row, pixels, task

ffcv: Any = importlib.import_module("ffcv")
fields: Any = importlib.import_module("ffcv.fields")


@dataclass(frozen=True, slots=True)
class Strips:
    """Rows as FFCV indexes them."""

    rows: list[Row]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Pixels | int, ...]:
        image, labels = self.rows[index]
        return (pixels(image), *labels)


def main() -> None:
    todo = task()
    todo.output.mkdir()
    columns = {"image": fields.RGBImageField(write_mode="raw")}
    columns |= {name: fields.IntField() for name in OUTPUTS}
    path = str(todo.output / "images.beton")
    ffcv.DatasetWriter(path, columns, num_workers=todo.workers).from_indexed_dataset(
        Strips(todo.rows)
    )


if __name__ == "__main__":
    with timed():
        main()
