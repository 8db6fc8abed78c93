"""Compares runs: their results, the options that differ, and their curves."""
