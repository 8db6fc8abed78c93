"""How fast batches arrive: shardfeed against the usual ways, as TensorFlow tensors.

    python benchmarks/read.py [--records 100000] [--batch-size 128] [--rounds 3] [--dir DIR]

Makes a dataset of random 32x128x3 images with 4 labels once (1.25 GB for 100,000) and keeps it.
Each competitor lives in a process of its own, with TensorFlow loaded. In every round the parent
lets one after the other go through its data once, while the others sleep: so all meet the same
load of the machine, and ratios are taken within rounds. The targets are printed, never judged.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import multiprocessing
import os
import platform
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

# First, since this folder has a convert.py too.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # before TensorFlow is loaded, here and in children

from convert.format import RecordLayout, padded_varints
from convert.metadata import DATASET_JSON, DatasetInfo, Shard, shard_file

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "data" / "sample"
HEIGHT, WIDTH, CHANNELS = 32, 128, 3
BOX = (186, 0, 300, 30)  # where data/sample has its characters
OUTPUTS = ("y0", "y1", "y2", "y3")
CLASSES = tuple(chr(0x4E00 + index) for index in range(100))
SHARD_BYTES = 128 << 20  # as `convert` cuts by default
SHUFFLE_BUFFER = 8192  # records: 100 MB, as large as most pipelines afford
TARGETS = (
    "at least 30 times the Sequence; at least 3 times the tf.data pipeline; "
    "at most 8 us of CPU per image"
)

Batches = Callable[[], Iterable[tuple[Any, Any]]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pass:
    """One pass through a competitor's data.

    Attributes:
        images: Images delivered.
        seconds: Wall time.
        cpu_seconds: CPU time of the whole process.
        peak_bytes: Most memory that was resident since the process began.
        file_bytes: Part of the memory now resident that is page cache of mapped files.
    """

    images: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    file_bytes: int

    @property
    def rate(self) -> float:
        """Images per second."""
        return self.images / self.seconds

    @property
    def cpu_microseconds(self) -> float:
        """CPU time per image, in microseconds."""
        return self.cpu_seconds / self.images * 1e6


def ours(path: str, batch_size: int) -> Batches:
    """shardfeed: global shuffle."""
    from train import load_dataset

    dataset = load_dataset(path, "train", batch_size)
    return lambda: dataset


def sequence(path: str, batch_size: int) -> Batches:
    """The usual Sequence over data/sample: open, crop, resize, one-hot."""
    import keras
    import tensorflow as tf
    from PIL import Image

    with open(SAMPLE / "manifest.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    classes = sorted({row[output] for row in rows for output in OUTPUTS})

    class Strips(keras.utils.PyDataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return len(rows) // batch_size

        def __getitem__(self, index: int) -> tuple[Any, Any]:
            batch = rows[index * batch_size : (index + 1) * batch_size]
            images = np.stack([self._image(row["path"]) for row in batch])
            labels = np.array([[classes.index(row[name]) for name in OUTPUTS] for row in batch])
            hot = keras.utils.to_categorical(labels, len(classes))
            return tf.constant(images), tf.constant(hot)

        def _image(self, path: str) -> np.ndarray[Any, Any]:
            with Image.open(SAMPLE / path) as image:
                return np.asarray(image.convert("RGB").crop(BOX).resize((WIDTH, HEIGHT)))

    strips = Strips()
    return lambda: (strips[index] for index in range(len(strips)))


def tf_data(path: str, batch_size: int) -> Batches:
    """tf.data at its best: parallel reads, a buffer of 8,192, parsing after the batch."""
    import tensorflow as tf

    features = {
        "label": tf.io.FixedLenFeature([len(OUTPUTS)], tf.int64),
        "image": tf.io.FixedLenFeature([], tf.string),
    }

    def parse(records: Any) -> tuple[Any, Any]:
        parsed = tf.io.parse_example(records, features)
        pixels = tf.io.decode_raw(parsed["image"], tf.uint8)
        images = tf.reshape(pixels, (batch_size, HEIGHT, WIDTH, CHANNELS))
        return images, tf.cast(parsed["label"], tf.int32)

    files = sorted(str(file) for file in Path(path).glob("*.tfrecord-*"))
    options = tf.data.Options()
    options.deterministic = False
    dataset = (
        tf.data.TFRecordDataset(files, num_parallel_reads=tf.data.AUTOTUNE)
        .shuffle(SHUFFLE_BUFFER)
        .batch(batch_size, drop_remainder=True, num_parallel_calls=tf.data.AUTOTUNE)
        .map(parse, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
        .with_options(options)
    )
    return lambda: dataset


COMPETITORS = {"ours": ours, "sequence": sequence, "tf_data": tf_data}


def serve(name: str, path: str, batch_size: int, pipe: Connection) -> None:
    """A competitor's process: one pass for each message, until the pipe closes."""
    batches = COMPETITORS[name](path, batch_size)
    while True:
        try:
            pipe.recv()
        except EOFError:
            return
        pipe.send(one_pass(batches))


def one_pass(batches: Batches) -> Pass:
    """Goes through the data once."""
    wall, cpu = time.perf_counter(), time.process_time()
    images = sum(int(batch.shape[0]) for batch, _ in batches())
    return Pass(
        images=images,
        seconds=time.perf_counter() - wall,
        cpu_seconds=time.process_time() - cpu,
        peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        file_bytes=resident_file_bytes(),
    )


def resident_file_bytes() -> int:
    """Returns how much mapped page cache counts as this process's memory; 0 if unknown."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssFile"))


def measure(path: str, batch_size: int, rounds: int) -> dict[str, list[Pass]]:
    """Returns each competitor's passes: the first one, then one per round, taken in turn."""
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    passes: dict[str, list[Pass]] = {name: [] for name in COMPETITORS}
    for name in COMPETITORS:
        pipes[name], theirs = context.Pipe()
        context.Process(target=serve, args=(name, path, batch_size, theirs), daemon=True).start()
        theirs.close()
    for _ in range(1 + rounds):
        for name, pipe in pipes.items():
            pipe.send("go")
            passes[name].append(pipe.recv())
    return passes


def make_dataset(folder: Path, num_records: int) -> None:
    """Makes a dataset of random images, unless an earlier run did."""
    if (folder / DATASET_JSON).exists():
        return
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    layout = RecordLayout(num_labels=len(OUTPUTS), image_bytes=HEIGHT * WIDTH * CHANNELS)
    starts = range(0, num_records, SHARD_BYTES // layout.stride)
    shards = []
    for index, start in enumerate(starts):
        stop = min(start + starts.step, num_records)
        name = shard_file("images", "train", index, len(starts))
        shards.append(write_shard(part / name, layout, start, stop))
    (part / DATASET_JSON).write_text(describe(tuple(shards)).to_json(), encoding="utf-8")
    part.rename(folder)


def write_shard(path: Path, layout: RecordLayout, start: int, stop: int) -> Shard:
    """Writes the records [start, stop)."""
    rng = np.random.default_rng(start)
    rows = padded_varints(np.arange(start, stop)[:, None])
    labels = padded_varints(rng.integers(len(CLASSES), size=(stop - start, len(OUTPUTS))))
    digest = hashlib.sha256()
    with open(path, "wb", buffering=1 << 20) as file:
        for row, label in zip(rows, labels, strict=True):
            record = layout.encode(label.tobytes(), row.tobytes(), rng.bytes(layout.image_bytes))
            file.writelines(record)
            digest.update(b"".join(record))
    size = (stop - start) * layout.stride
    return Shard(file=path.name, records=stop - start, bytes=size, sha256=digest.hexdigest())


def describe(shards: tuple[Shard, ...]) -> DatasetInfo:
    """Returns the dataset's description."""
    image = {"height": HEIGHT, "width": WIDTH, "channels": CHANNELS, "encoding": "raw"}
    unused = {"resample": "bicubic", "alpha": "drop", "pad_crop": False, "row_boxes": False, "quality": None, "exif": False, "fast_decode": False}
    return DatasetInfo(
        name="images",
        image={**image, **unused, "crop": None, "max_pixels": 1},
        outputs=dict.fromkeys(OUTPUTS, "text"),
        vocabularies={"text": CLASSES},
        splits={"train": shards},
        plan_id="0" * 64,
        manifest_sha256="0" * 64,
        options={},
    )


def warm(folder: Path) -> None:
    """Reads every file once, so that none of the competitors waits for the disk."""
    for file in folder.iterdir():
        with open(file, "rb", buffering=0) as stream:
            while stream.read(1 << 20):
                pass


def show(passes: dict[str, list[Pass]]) -> None:
    """Prints medians over rounds, and ratios within rounds."""
    print(f"{'':10}{'images/s':>10}{'CPU us/image':>14}{'peak MB':>9}{'of it mapped shards':>21}")
    for name, (_, *rounds) in passes.items():
        rate = statistics.median(one.rate for one in rounds)
        cpu = statistics.median(one.cpu_microseconds for one in rounds)
        peak, mapped = rounds[-1].peak_bytes / 1e6, rounds[-1].file_bytes / 1e6
        print(f"{name:10}{rate:>10,.0f}{cpu:>14.1f}{peak:>9,.0f}{mapped:>21,.0f}")
    first = passes["ours"][0]
    print(f"ours, first pass, CRCs checked: {first.rate:,.0f} images/s, ", end="")
    print(f"{first.cpu_microseconds:.1f} CPU us/image")
    for other in ("sequence", "tf_data"):
        pairs = list(zip(passes["ours"][1:], passes[other][1:], strict=True))
        rate = statistics.median(a.rate / b.rate for a, b in pairs)
        cpu = statistics.median(b.cpu_microseconds / a.cpu_microseconds for a, b in pairs)
        print(f"ours against {other}: {rate:.1f} times the images/s, 1/{cpu:.1f} of the CPU")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dir", type=Path, help="where the dataset is made and kept")
    arguments = parser.parse_args()
    place = arguments.dir or Path(tempfile.gettempdir()) / "shardfeed-benchmark"
    folder = place / f"random-{arguments.records}"
    print(f"dataset: {folder} (delete it when done)", flush=True)
    make_dataset(folder, arguments.records)
    warm(folder)
    print(f"machine: {os.cpu_count()} CPUs, Python {platform.python_version()}, ", end="")
    print(f"load average {os.getloadavg()[0]:.1f}; page cache warm")
    print("method: a process each; passes in turn after one unmeasured pass; medians of rounds")
    for name, function in COMPETITORS.items():
        print(f"  {name}: {function.__doc__}")
    print(f"targets for ours: {TARGETS}", flush=True)
    show(measure(str(folder), arguments.batch_size, arguments.rounds))


if __name__ == "__main__":
    main()
