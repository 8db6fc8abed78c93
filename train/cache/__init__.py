"""Shards of a dataset that is far away, on a disk that is near and smaller than it."""
