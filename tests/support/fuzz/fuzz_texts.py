"""Reads damaged manifests and `dataset.json` files, and looks at what comes of it."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from fuzz_damage import CHANGES, Random
from independent_rows import count_rows
from pyarrow import parquet

from convert.config import ConvertConfig
from convert.dataset.info import DatasetInfo, Shard, shard_file
from convert.dataset.read import read_dataset
from convert.dataset.record import RecordLayout
from convert.errors import FormatError, UsageError
from convert.images.options import ImageOptions
from convert.job.label_notes import understood
from convert.plan.dialects import read_manifest
from convert.plan.shard_specs import make_plan
from convert.write.open_inputs import manifest_options

HEADER = ["path", "y0", "y1", "text", "split", "left", "top", "right", "bottom", "group"]
BOXES = [["0", "-1", str(5 + n), "9", f"g{n % 4}"] for n in range(14)]  # and the group
SPLITS = ("train", "val", "test")
ROWS = [
    [f"i/{n}.png", "ab长c"[n % 4], "xyz"[n % 3], "abcd长"[: 3 + n % 2], SPLITS[n % 3], *BOXES[n]]
    for n in range(14)
]
TOKENS = [b'"', b",", b"\t", b"\n", b"\r", b"\r\n", b"\n\n", b"\0", b"\xff", b"\xed\xa0\x80"]
TOKENS += ["é".encode(), b"\xe2\x80\xa8", b"\x0b", b"\x1b[2J", b'"\n"', b"\\", b"\\ud800", b" "]
TOKENS += [b"path", b"y0", b"y2", b"split", b"train", b"left", b"text", b"NaN", b"1e999", b"-"]
TOKENS += [b"{", b"}", b"[", b"]", b":", b"null", b"true", b"9" * 5000, b'"\\ud800"', b"[" * 2000]
TOKENS += [b"-1", b"0", b"1.0", b'""', b"[]", b"{}", b'"x"', b"99999999999999999999", b"-Infinity"]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"text_column": "text"},
    {"text_column": "text", "pad_label": True},
    {"text_column": "text", "text_length": 3, "order": "source"},
    {"label_columns": ("y0", "text")},
    {"split_column": "split"},
    {"split": (("train", 0.5), ("test", 0.5))},
    {"group_column": "group"},
    {"crop": (0, 0, 4, 4)},
    {"labels_are_indices": True, "vocabulary": ("classes",)},
    {"format": "list"},
    {"format": "table", "path_column": "path"},
    {"pad_label": True, "verbatim_labels": True},
    {"manifest_encoding": "gb18030"},
]


LINES = {
    "q.txt": "{}\t{}\r\n",
    "r.list": "{} {}\n",
    "s.csv": "{},{}\n",
    "t.txt": '{}, "{}"\n',
}


def manifest_seeds(folder: Path) -> dict[str, bytes]:
    """Returns whole manifests of all dialects, by file name.

    Args:
        folder: Where Parquet files can be written.
    """

    def delimited(between: str, quote: str, end: str) -> bytes:
        lines = [between.join(quote + text + quote for text in row) for row in [HEADER, *ROWS]]
        return (end.join(lines) + end).encode()

    objects = [dict(zip(HEADER, row, strict=True)) for row in ROWS]
    typed = [
        {"path": row[0], "y0": n, "y1": None if n % 2 else [n], "text": {"a": 1.5}, "split": True}
        for n, row in enumerate(ROWS)
    ]
    columns = {name: [row[n] for row in ROWS] for n, name in enumerate(HEADER)}
    texts = pa.table(columns)
    other = {"y0": pa.array(range(14), pa.int8()), "text": pa.array([b"ab"] * 14)}
    other |= {"right": pa.array(range(14), pa.date32()), "split": pa.array(["val"] * 14)}
    other["split"] = other["split"].dictionary_encode()
    pairs = [(row[0], row[3]) for row in ROWS]
    lines = {form: "".join(form.format(*pair) for pair in pairs) for form in LINES.values()}
    entries = [{"img_path": path, "instances": [{"text": text}]} for path, text in pairs]
    return {
        **{name: lines[form].encode() for name, form in LINES.items()},
        "j.json": json.dumps(dict(pairs), ensure_ascii=False, indent=1).encode(),
        "k.json": json.dumps({"metainfo": {}, "data_list": entries}).encode(),
        "l.json": json.dumps(objects).encode(),
        "m.json": json.dumps([{"path": p, "text": list(t)} for p, t in pairs]).encode(),
        "n.txt": lines["{}\t{}\r\n"].encode("utf-16"),
        "o.csv": delimited(";", "", "\r\n"),
        "p.txt": delimited("\t", "", "\n"),
        "a.csv": delimited(",", '"', "\n"),
        "b.csv": b"\xef\xbb\xbf" + delimited(",", "", "\r\n"),
        "c.tsv": delimited("\t", "", "\n"),
        "d.tsv": delimited("\t", '"', "\n"),
        "e.jsonl": "\n".join(json.dumps(row, ensure_ascii=False) for row in objects).encode(),
        "f.ndjson": "\n".join(map(json.dumps, typed)).encode(),
        "g.parquet": as_parquet(folder, texts, compression="snappy", row_group_size=5),
        "h.parquet": as_parquet(folder, texts, compression="none", use_dictionary=False),
        "i.parquet": as_parquet(folder, pa.table({**columns, **other}), compression="none"),
    }


def as_parquet(folder: Path, table: pa.Table, **how: Any) -> bytes:
    parquet.write_table(table, folder / "whole", **how)
    return (folder / "whole").read_bytes()


def damage_text(data: bytes, random: Random, places: Sequence[int] | None = None) -> bytes:
    """Returns a text with one to three changes, most of them of what has a meaning in it.

    Args:
        data: The text.
        random: Chooses.
        places: Where something that has a meaning begins. None: anywhere.
    """
    for _ in range(random.integers(1, 4)):
        if not data:
            break
        if random.random() < 0.3:
            data = CHANGES[random.integers(len(CHANGES))](data, random)
            continue
        near = len(data) if random.random() < 0.5 else min(len(data), 80)
        place = int(random.choice(places) if places else random.integers(near + 1))
        old = re.match(rb'"[^"]*"|[-0-9.]+|\w+|.', data[place:], re.DOTALL)
        skipped = len(old[0]) if old and random.random() < 0.6 else 0
        data = data[:place] + TOKENS[random.integers(len(TOKENS))] + data[place + skipped :]
    return data


def manifest_case(seed: int, folder: Path) -> Callable[[int], str]:
    """Returns a function that makes, reads, plans and judges the damaged manifest of a number."""
    whole = manifest_seeds(folder)
    names = list(whole)

    def run(number: int) -> str:
        random = np.random.default_rng([seed, number])
        name = names[number % len(names)]
        is_whole = random.random() < 0.1
        data = whole[name] if is_whole else damage_text(whole[name], random)
        (folder / name).write_bytes(data)
        chosen = OPTIONS[random.integers(len(OPTIONS))] if random.random() < 0.5 else {}
        given = chosen.get("vocabulary") or random.random() < 0.2
        more = {**chosen} if "crop" in chosen else {**chosen, "size": (4, 4)}
        if "split_column" not in chosen and random.random() < 0.7:
            more.setdefault("split", (("train", 1.0),))
        config = ConvertConfig(manifest=str(folder / name), dataset="out", **more)
        try:
            opened = read_manifest(config.manifest, options=manifest_options(config))
            plan = make_plan(opened, config, {"*": tuple("abcxyz长")} if given else {})
            understood(plan)
        except UsageError as error:
            assert str(error).isprintable(), str(error)
            return "refused"
        left_out = {entry.row for entry in plan.quarantined}
        planned = np.concatenate([*plan.splits.values(), sorted(left_out)])
        assert sorted(planned.tolist()) == list(range(plan.manifest.num_rows))
        encoding = config.manifest_encoding or _encoding_of(data)
        assert count_rows(data, opened.notes[0], encoding) == plan.manifest.num_rows
        return "planned"

    return run


def _encoding_of(data: bytes) -> str:
    """Returns the encoding that a file's mark tells."""
    if data.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return "utf-32"
    return "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"


def dataset_seeds() -> list[bytes]:
    """Returns whole `dataset.json` files, of raw and of encoded images."""
    return [info_of(encoding).to_json().encode() for encoding in ("raw", "png", "jpeg")]


def info_of(encoding: str) -> DatasetInfo:
    stride = RecordLayout(num_labels=2, image_bytes=288).stride
    index = {} if encoding == "raw" else {"index_bytes": 20, "index_sha256": "e" * 64}
    shards = [
        Shard(
            file=shard_file("images", "train", number, 2),
            records=3,
            bytes=3 * stride,
            sha256="d" * 64,
            **index,
        )
        for number in range(2)
    ]
    return DatasetInfo(
        name="images",
        image=ImageOptions(crop=None, size=(12, 8), encoding=encoding),
        outputs={"y0": "y0", "y1": "y0"},
        vocabularies={"y0": ("a", "长", "")},
        splits={"train": tuple(shards)},
        plan_id="a" * 64,
        manifest_sha256="b" * 64,
        options={"seed": 0},
    )


def dataset_case(seed: int, folder: Path) -> Callable[[int], str]:
    """Returns a function that makes, reads and judges the damaged `dataset.json` of a number."""
    whole = dataset_seeds()

    def run(number: int) -> str:
        random = np.random.default_rng([seed, number])
        data = whole[number % len(whole)]
        places = [found.start() for found in re.finditer(rb'"[^"]*"|[0-9]+|\w+|[\[\]{}:,]', data)]
        (folder / "dataset.json").write_bytes(damage_text(data, random, places))
        try:
            info = read_dataset(str(folder))
        except FormatError as error:
            assert str(error).isprintable(), str(error)
            return "refused"
        names = [shard.file for shards in info.splits.values() for shard in shards]
        assert all("/" not in name for name in info.files()) and len(set(names)) == len(names)
        assert set(info.classes) == set(info.outputs)
        return "read"

    return run
