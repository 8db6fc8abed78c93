"""Checks the bytes of shards, record by record, in several processes."""
