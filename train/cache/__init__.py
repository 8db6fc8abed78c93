"""Caches shards of a remote dataset on a local disk, which may be smaller than the dataset."""
