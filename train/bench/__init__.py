"""Finds the bottleneck of training: times reader and model alone and together."""
