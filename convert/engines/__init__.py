"""Where shards are written: processes of this machine, or Spark; `engine.open_engine` chooses."""
