"""The `train` command, and a module for each verb."""

from train.cli.command import main

__all__ = ["main"]
