"""HDFS as a file system: its client, its settings, and its errors as those of a local disk."""
