"""The parsers of every verb of `convert` and `train`."""

from __future__ import annotations

import argparse

import convert.cli.command
import train.cli.command
from train.cli.command import _VERBS


def verb_parsers() -> dict[str, argparse.ArgumentParser]:
    """Returns every verb's parser of both commands, by names such as `convert run`."""
    top = train.cli.command.OneLineParser(prog="train")
    added = top.add_subparsers()
    for verb in _VERBS:
        verb.add_parser(added)
    return {**_verbs_of(convert.cli.command._parser()), **_verbs_of(top)}


def _verbs_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    choices = next(a.choices for a in parser._actions if a.nargs == argparse.PARSER)
    return {f"{parser.prog} {name}": verb for name, verb in choices.items()}


def parser_of(command: str, words: list[str]) -> tuple[argparse.ArgumentParser, list[str]]:
    """Returns the parser that a command line is for, and the words for it."""
    verbs = verb_parsers()
    if f"{command} {words[0]}" in verbs:
        return verbs[f"{command} {words[0]}"], words[1:]
    return verbs[f"{command} {'run' if command == 'convert' else 'fit'}"], words
