"""The two files that let `tfds.builder_from_directory` open a dataset folder.

Source of the structure: `tfds.folder_dataset.write_metadata` of TFDS 4.9.10. We write it ourselves
because TFDS needs TensorFlow, which no part of `convert` loads.
"""

from __future__ import annotations

import json
from typing import Any

from convert.dataset.info import DatasetInfo

FEATURES_JSON = "features.json"
DATASET_INFO_JSON = "dataset_info.json"

_FEATURES = "tensorflow_datasets.core.features"
_FILES = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"


def features_json(info: DatasetInfo) -> str:
    """Returns the description of the three features."""
    raw = _tensor("uint8", info.image_shape, encoding="bytes")
    image = raw if info.is_raw else _image(info.image_shape, info.image.encoding)
    label = _tensor("int64", (len(info.outputs),))
    row = {**_tensor("int64", ()), "pythonClassName": f"{_FEATURES}.scalar.Scalar"}
    content = {
        "pythonClassName": f"{_FEATURES}.features_dict.FeaturesDict",
        "featuresDict": {"features": {"image": image, "label": label, "row": row}},
    }
    return json.dumps(content, indent=1) + "\n"


def dataset_info_json(info: DatasetInfo) -> str:
    """Returns name, version and the splits' shard lengths."""
    splits = [
        {
            "name": split,
            "filepathTemplate": _FILES,
            "numBytes": str(sum(shard.bytes for shard in shards)),
            "shardLengths": [str(shard.records) for shard in shards],
        }
        for split, shards in info.splits.items()
    ]
    content = {"name": info.name, "version": "1.0.0", "fileFormat": "tfrecord", "splits": splits}
    return json.dumps(content, indent=1) + "\n"


def _tensor(dtype: str, shape: tuple[int, ...], encoding: str = "none") -> dict[str, Any]:
    dimensions = {"dimensions": [str(size) for size in shape]} if shape else {}
    return {
        "pythonClassName": f"{_FEATURES}.tensor_feature.Tensor",
        "tensor": {"dtype": dtype, "encoding": encoding, "shape": dimensions},
    }


def _image(shape: tuple[int, ...], encoding: str) -> dict[str, Any]:
    return {
        "pythonClassName": f"{_FEATURES}.image_feature.Image",
        "image": {
            "shape": {"dimensions": [str(size) for size in shape]},
            "dtype": "uint8",
            "encodingFormat": encoding,
        },
    }
