"""The label files of the field: each dialect becomes columns of text, a row an image."""

from convert.plan.dialects.read import read_manifest

__all__ = ["read_manifest"]
