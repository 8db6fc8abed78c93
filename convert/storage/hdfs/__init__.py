"""HDFS as a file system: its client, its settings, and its errors as exit codes."""
