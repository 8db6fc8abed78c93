"""A conversion from start to end."""

from convert.job.plan_only import plan_dataset
from convert.job.start_to_end import convert_dataset

__all__ = ["convert_dataset", "plan_dataset"]
