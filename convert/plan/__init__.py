"""From a manifest to the content of each shard; `shard_specs.make_plan` does it all."""
