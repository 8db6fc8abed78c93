"""`train bench`."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, get_args

from convert.command.streams import print_result
from convert.errors import printable
from train.bench.config import BenchConfig
from train.cli.startup import Verbs, add_cache, add_json, import_keras
from train.config import AugmentOn, Head, Precision

if TYPE_CHECKING:
    from train.bench.measurements import BenchResult


def add_parser(verbs: Verbs) -> None:
    """Adds the verb to the command."""
    parser = verbs.add_parser(
        "bench",
        help="time reader and model, alone and together",
        description="Times the reader alone, the model alone, and both together, and names the "
        "bottleneck. Writes nothing. The dataset is dropped from the page cache first.",
    )
    default = {field.name: field.default for field in fields(BenchConfig)}
    add = parser.add_argument
    add("dataset", metavar="DATASET", help="folder that `convert` made")
    for name, metavar, kind, text in (
        ("batch_size", "N", int, "images of a step"),
        ("seed", "N", int, "seed of weights, order, dropout and augmentation"),
        ("seconds", "SECONDS", float, "time for each of seven measurements"),
    ):
        flag = "--" + name.replace("_", "-")
        add(flag, type=kind, metavar=metavar, help=f"{text} (default: {default[name]})")
    add(
        "--window", type=int, metavar="N", help="records shuffled as one (default: what 4 GiB hold)"
    )
    add("--model", metavar="NAME", help=f"network, as in `fit` (default: {default['model']})")
    add("--width", type=float, metavar="FACTOR", help="multiplies its numbers of channels")
    add("--precision", choices=get_args(Precision), help="number format that layers compute in")
    add("--head", choices=get_args(Head), help="classifier for all outputs, or one each")
    add("--augment", metavar="NAME", help=f"as in `fit` (default: {default['augment']})")
    add(
        "--no-augment", dest="augment", action="store_const", const="none",
        help="the same as --augment none",
    )  # fmt: skip
    add("--augment-on", choices=get_args(AugmentOn), help="what changes the images, as in `fit`")
    add_cache(parser)
    add_json(parser)
    parser.set_defaults(verb=_bench)


def _bench(namespace: argparse.Namespace) -> int:
    given = {field.name: getattr(namespace, field.name) for field in fields(BenchConfig)}
    config = BenchConfig(**{name: value for name, value in given.items() if value is not None})
    from convert.dataset.read import open_dataset
    from train.bench.batches import open_training

    open_training(config, open_dataset(config.dataset))  # quickly, before Keras is loaded
    import_keras()
    from train.bench.measurements import bench_dataset

    result = bench_dataset(config, lambda line: print_result(printable(line)))
    print_result(f"\n{printable(result.rates.sentence)}")
    if namespace.json:
        print_result(json.dumps(_as_json(config, result)))
    return 0


def _as_json(config: BenchConfig, result: BenchResult) -> dict[str, Any]:
    cold, rates = result.cold, result.rates
    speeds = {name: speed.to_json() for name, speed in result.speeds.items()}
    return {
        **asdict(config),
        "window": result.window,
        "dataset_id": result.info.dataset_id,
        "records": result.info.num_records("train"),
        "record_bytes": result.record_bytes,
        "device": result.device,
        "from_disk": {
            **cold.speed.to_json(),
            "page_cache_dropped": cold.dropped,
            "bytes_per_second": cold.bytes_per_second,
            "share_from_disk": cold.share_from_disk,
        },
        "reader_not_augmented": None,
        **speeds,
        "together": {**speeds["together"], "input_wait": rates.input_wait},
        "bottleneck": rates.bottleneck,
        "feeds_images_per_second": rates.feeds,
        "sentence": rates.sentence,
    }
