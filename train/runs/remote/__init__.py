"""Runs on HDFS: trained on this machine, uploaded at each checkpoint."""
