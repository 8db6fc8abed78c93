"""The parts of `benchmarks/hdfs.py`."""
