"""Makes `dataset.json` from the plan of a conversion and the summaries of its shards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from convert.config import ConvertConfig
from convert.dataset.info import DatasetInfo, Shard
from convert.plan.shard_specs import Plan
from convert.write.summary import ShardSummary


def describe(
    plan: Plan, config: ConvertConfig, summaries: Mapping[str, ShardSummary]
) -> DatasetInfo:
    """Returns the content of `dataset.json`.

    Args:
        plan: The plan.
        config: The options.
        summaries: What became of each shard, by file.
    """
    width, height = config.image_size
    image: dict[str, Any] = {
        "height": height,
        "width": width,
        "channels": config.channels,
        "encoding": config.encoding,
        "quality": config.jpeg_quality if config.encoding == "jpeg" else None,
        "crop": list(config.crop) if config.crop else None,
        "resample": config.resample,
        "alpha": config.alpha,
        "pad_crop": config.pad_crop,
        "exif": config.exif,
        "fast_decode": config.fast_decode,
        "row_boxes": plan.boxes is not None,
        "max_pixels": config.max_pixels,
    }
    # Younger than the first datasets, and written only where used, so that those keep their id.
    if config.fit != "stretch":
        image["fit"] = config.fit
    if config.lenient:
        image["lenient"] = True
    splits: dict[str, list[Shard]] = {split: [] for split in plan.splits}
    for file, (split, _) in plan.files().items():
        splits[split].append(summaries[file].shard)
    return DatasetInfo(
        name=plan.name,
        image=image,
        outputs=plan.vocabularies.outputs,
        vocabularies=plan.vocabularies.classes,
        splits={split: tuple(shards) for split, shards in splits.items()},
        plan_id=plan.plan_id,
        manifest_sha256=plan.manifest.sha256,
        options=plan.options,
    )
