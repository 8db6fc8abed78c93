"""The result of `convert show`, in lines for people and as JSON for programs."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from convert.command.byte_sizes import show_bytes
from convert.dataset.info import QUARANTINE, DatasetInfo
from convert.images.options import ImageOptions
from convert.show.brightness import Brightness
from convert.show.census import SplitCensus
from convert.show.classes import ClassCounts
from convert.show.table import bar, brief, counted, indented, shown, table

_VOCABULARIES = 8  # a table each: more scroll away
_OUTPUTS = 20
_LENGTHS = 20  # rows of the histogram of label lengths
_NONE = (0, 0, 0)  # sizes of the images of an empty split
_ALL_GREY = "  all of these images are grey: --channels 1 would keep them in a third of the pixels"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ShowResult:
    """A dataset in numbers, and where its contact sheets are.

    Attributes:
        dataset: Its folder.
        info: Its description.
        splits: Split -> its numbers, of the splits looked at.
        brightness: Split -> how bright a random sample is; without splits that are empty.
        quarantined: Reason -> rows left out, the commonest first.
        class_name: The class that was looked for. None: none was.
        sheets: Split -> path of its contact sheet.
        drawn: Split -> manifest rows of the records on its sheet, in their order.
        paths: Row -> path of its image, of those that are named; empty if they are not known.
        notes: Lines about the sheets.
    """

    dataset: str
    info: DatasetInfo
    splits: dict[str, SplitCensus]
    brightness: dict[str, Brightness]
    quarantined: dict[str, int]
    class_name: str | None = None
    sheets: dict[str, str] = field(default_factory=dict)
    drawn: dict[str, list[int]] = field(default_factory=dict)
    paths: dict[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def classes(self) -> list[ClassCounts]:
        """The counts of each vocabulary."""
        return [
            ClassCounts(
                name=name,
                outputs=tuple(o for o, used in self.info.outputs.items() if used == name),
                classes=classes,
                by_split={split: census.counts[name] for split, census in self.splits.items()},
            )
            for name, classes in self.info.vocabularies.items()
        ]

    def lines(self) -> list[str]:
        """Returns the summary."""
        vocabularies = self.classes
        more = len(vocabularies) - _VOCABULARIES
        parts = [
            self._about(),
            self._splits(),
            self._lengths(),
            *(vocabulary.lines() for vocabulary in vocabularies[:_VOCABULARIES]),
            [f"... and {counted(more, 'vocabulary', 'vocabularies')} more: see --json"]
            * (more > 0),
            self._images(),
            self._class(),
            self._left_out(),
            self.notes,
        ]
        lines: list[str] = []
        for part in filter(None, parts):
            lines += ["", *part] if lines else part
        return lines

    def to_json(self) -> dict[str, Any]:
        """Returns the summary that `--json` prints."""
        return {
            "dataset": self.dataset,
            "dataset_id": self.info.dataset_id,
            "records": sum(census.records for census in self.splits.values()),
            "bytes": sum(census.bytes for census in self.splits.values()),
            "image": self.info.image.to_json(),
            "splits": {split: self._split_json(split) for split in self.splits},
            "vocabularies": {counts.name: counts.to_json() for counts in self.classes},
            "class": self.class_name,
            "quarantined": self.quarantined,
            "sheets": self.sheets,
            "drawn": {
                split: [{"row": row, "path": self.paths.get(row)} for row in rows]
                for split, rows in self.drawn.items()
            },
        }

    def _split_json(self, split: str) -> dict[str, Any]:
        census, brightness = self.splits[split], self.brightness.get(split)
        lengths = {str(n): int(census.lengths[n]) for n in np.flatnonzero(census.lengths)}
        content: dict[str, Any] = {
            "records": census.records,
            "shards": census.shards,
            "bytes": census.bytes,
            "label_lengths": lengths,
            "image_bytes": None,
            "brightness": None if brightness is None else brightness.to_json(),
        }
        if census.image_bytes is not None:
            names = ("min", "median", "max")
            content["image_bytes"] = dict(zip(names, census.image_bytes, strict=True))
        if self.class_name is not None:
            content["class_records"] = len(census.sought)
            content["class_by_output"] = census.sought_by_output
        return content

    def _about(self) -> list[str]:
        """Describes the dataset: images, sources, outputs."""
        info = self.info
        records = sum(census.records for census in self.splits.values())
        size = sum(census.bytes for census in self.splits.values())
        outputs = ", ".join(map(brief, list(info.outputs)[:_OUTPUTS]))
        more = ", ..." if len(info.outputs) > _OUTPUTS else ""
        part = "" if len(self.splits) == len(info.splits) else f", split {', '.join(self.splits)}"
        return [
            f"{self.dataset}{part}: {counted(records, 'record')}, {show_bytes(size, decimals=1)}, "
            f"dataset {info.dataset_id[:8]}",
            f"  images   {image_kind(info.image)}",
            f"  sources  {_image_origin(info.image)}",
            f"  outputs  {len(info.outputs):,}: {outputs}{more}",
        ]

    def _splits(self) -> list[str]:
        """Returns how many records and bytes there are, and how large encoded images are."""
        total = sum(census.records for census in self.splits.values())
        rows = [
            [
                split,
                f"{census.records:,}",
                f"{census.records / max(total, 1):.1%}",
                f"{census.shards:,}",
                show_bytes(census.bytes, decimals=1),
                *(
                    f"{size:,}"
                    for size in census.image_bytes or (() if self.info.is_raw else _NONE)
                ),
            ]
            for split, census in self.splits.items()
        ]
        sizes = () if self.info.is_raw else ("bytes an image: min", "median", "max")
        header = ("split", "records", "share", "shards", "size", *sizes)
        return table(header, rows, "<" + ">" * (len(header) - 1))

    def _lengths(self) -> list[str]:
        """Returns how long labels are, the blanks that pad them left out."""
        if not any(counts.has_blank for counts in self.classes):
            return [f"label length: {len(self.info.outputs):,} in every record"]
        by_length = np.stack([census.lengths for census in self.splits.values()], axis=1)
        total = by_length.sum(axis=1)
        there = np.flatnonzero(total)
        if not len(there):
            return []
        mean = float(total @ np.arange(len(total))) / int(total.sum())
        step = -(-len(range(there[0], there[-1] + 1)) // _LENGTHS)
        rows = []
        for low in range(int(there[0]), int(there[-1]) + 1, step):
            some = by_length[low : low + step].sum(axis=0)
            count = int(some.sum())
            rows.append(
                [
                    str(low) if step == 1 else f"{low} to {low + step - 1}",
                    *(f"{number:,}" for number in some),
                    f"{count / total.sum():.1%}",
                    bar(count / total.sum()),
                ]
            )
        header = ("length", *self.splits, "share", "")
        return [
            f"label length without blanks: {there[0]} to {there[-1]} of {len(total) - 1}, "
            f"mean {mean:.2f}",
            *indented(table(header, rows, ">" * (len(header) - 1) + "<")),
        ]

    def _images(self) -> list[str]:
        """Returns how bright images are, and what is odd about them."""
        if not self.brightness:
            return []
        channels = ("red", "green", "blue") if self.info.image_shape[2] == 3 else ()
        rows = [
            [
                split,
                f"{found.images:,}",
                *(f"{number:.1f}" for number in (found.mean, found.deviation)),
                *(f"{mean:.1f}" for mean in found.channel_means if channels),
            ]
            for split, found in self.brightness.items()
        ]
        header = ("split", "images", "mean", "deviation", *channels)
        body = table(header, rows, "<" + ">" * (len(header) - 1))
        return [
            "brightness of random images, from 0 to 255:",
            *indented(body),
            *(
                _empty(split, found, self.paths)
                for split, found in self.brightness.items()
                if found.empty_rows
            ),
            *([_ALL_GREY] if channels and self._is_grey() else []),
        ]

    def _is_grey(self) -> bool:
        return all(found.num_grey == found.images for found in self.brightness.values())

    def _class(self) -> list[str]:
        """Returns where the class occurs that was looked for."""
        if self.class_name is None:
            return []
        by_output = [census.sought_by_output for census in self.splits.values()]
        outputs = [name for name in by_output[0] if any(counts[name] for counts in by_output)]
        rows = [
            [brief(name), *(f"{counts[name]:,}" for counts in by_output)]
            for name in outputs[:_OUTPUTS]
        ]
        if len(outputs) > _OUTPUTS:
            rows.append(["...", *("" for _ in by_output)])
        records = [f"{len(census.sought):,}" for census in self.splits.values()]
        body = table(
            ("output", *self.splits), [*rows, ["records", *records]], "<" + ">" * len(self.splits)
        )
        return [f"records with the class {brief(self.class_name)}:", *indented(body)]

    def _left_out(self) -> list[str]:
        """Returns why rows were left out."""
        total = sum(self.quarantined.values())
        if not total:
            return ["rows left out: none"]
        rows = [[reason, f"{count:,}"] for reason, count in self.quarantined.items()]
        return [
            f"rows left out: {total:,}, listed in {os.path.join(self.dataset, QUARANTINE)}",
            *indented(table(("reason", "rows"), rows, "<>")),
        ]


def _empty(split: str, found: Brightness, paths: dict[int, str]) -> str:
    """Returns a warning of images that show nothing."""
    row = found.empty_rows[0]
    path = f" ({shown(paths[row])})" if row in paths else ""
    count, are = len(found.empty_rows), "is" if len(found.empty_rows) == 1 else "are"
    return (
        f"  warning: {count:,} of these images in {split} {are} one colour all over, for example "
        f"row {row}{path}: look at the crop"
    )


def image_kind(image: ImageOptions) -> str:
    """Describes the images of a dataset: `128x32 RGB, raw pixels`.

    Args:
        image: `DatasetInfo.image`.
    """
    colours = "RGB" if image.channels == 3 else "grey"
    kind = {"raw": "raw pixels", "png": "PNG", "jpeg": f"JPEG of quality {image.quality}"}
    return f"{image.size[0]}x{image.size[1]} {colours}, {kind[image.encoding]}"


def _image_origin(image: ImageOptions) -> str:
    """Describes how images were made of sources."""
    crop, alpha = image.crop, image.alpha
    parts = [
        "cropped to " + " ".join(map(str, crop)) if crop else "",
        "each row cropped to its own box" if image.row_boxes else "",
        "all of each image" if not crop and not image.row_boxes else "",
        "black beyond the edges" if image.pad_crop else "",
        f"resized with {image.resample}",
        "shape kept and padded" if image.fit == "pad" else "",
        "transparency dropped" if alpha == "drop" else f"transparency painted on {alpha}",
        "turned as EXIF says" if image.exif else "",
        "decoded fast" if image.fast_decode else "",
        "damaged images kept" if image.lenient else "",
    ]
    return ", ".join(filter(None, parts))
