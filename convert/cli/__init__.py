"""The `convert` command."""

from convert.cli.command import main

__all__ = ["main"]
