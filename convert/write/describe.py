"""Makes `dataset.json` from the plan of a conversion and the summaries of its shards."""

from __future__ import annotations

from collections.abc import Mapping

from convert.dataset.info import DatasetInfo, Shard
from convert.images.options import ImageOptions
from convert.plan.shard_specs import Plan
from convert.write.shard_summary import ShardSummary


def describe(plan: Plan, image: ImageOptions, summaries: Mapping[str, ShardSummary]) -> DatasetInfo:
    """Returns the content of `dataset.json`.

    Args:
        plan: The plan.
        image: How sources became images.
        summaries: What became of each shard, by file.
    """
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
