"""Writes one shard (`shard.write_shard`), and makes a dataset of many (`staging.Staging`)."""
