"""Reading records out of shards, and finding those that are damaged."""
