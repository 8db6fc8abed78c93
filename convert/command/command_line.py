"""Command lines of both commands: one-line errors, exit codes, an implied verb."""

from __future__ import annotations

import argparse
import io
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from convert.command.signals import ended_by_signals
from convert.command.streams import drop_stdout, open_streams, print_result
from convert.errors import ShardfeedError, printable
from convert.os_errors import failure

# A conversion that a scheduler stops leaves nothing to be told; a training may not have begun.
_TOLD_SIGNALS = {"convert": (signal.SIGINT,), "train": (signal.SIGINT, signal.SIGTERM)}

Verb = Callable[[argparse.Namespace], int]


class OneLineParser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, and whose values may begin with `-`."""

    def parse_known_args(  # type: ignore[override]  # argparse's is overloaded
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Parses a command line; see `argparse`."""
        words = list(sys.argv[1:] if args is None else args)
        return super().parse_known_args(self._glued(words), namespace)

    def _glued(self, words: list[str]) -> list[str]:
        """Returns the words with `--flag -value` as one, where it can mean nothing else."""
        glued: list[str] = []
        for place, word in enumerate(words):
            if word == "--":
                return [*glued, *words[place:]]
            is_value = word.startswith("-") and not self._options_of(word)
            if is_value and glued and self._takes_one_value(glued[-1]):
                glued[-1] += f"={word}"
            else:
                glued.append(word)
        return glued

    def _takes_one_value(self, word: str) -> bool:
        """Returns whether a word is an option whose value is the next word."""
        options = self._options_of(word)
        return "=" not in word and len(options) == 1 and options[0].nargs is None

    def _options_of(self, word: str) -> list[argparse.Action]:
        """Returns the options that a word may stand for; several if it is too short a beginning."""
        known = self._option_string_actions
        name = word.partition("=")[0]
        if name in known:
            return [known[name]]
        if not name.startswith("--") or name == "--":
            return []
        return list({id(a): a for flag, a in known.items() if flag.startswith(name)}.values())

    def _print_message(self, message: str, file: Any = None) -> None:
        """Prints help or a version, where argparse would drop it on a full disk."""
        if message and file is sys.stdout:
            print_result(message, end="")
        else:
            super()._print_message(message, file)

    def error(self, message: str) -> NoReturn:
        """Prints what is wrong and where help is, and exits with 2."""
        program = self.prog.split()[0]
        self.exit(
            2, f"{program}: error: {printable(message.rstrip('.'))}. See `{self.prog} --help`.\n"
        )


def run_verb(
    program: str,
    parser: argparse.ArgumentParser,
    default: str,
    verbs: set[str],
    words: list[str],
) -> int:
    """Parses a command line, runs its verb, and turns errors into one line and a code.

    Args:
        program: `convert` or `train`; starts each message.
        parser: Its sub-parsers set `verb`, a function of the parsed arguments.
        default: The verb that is meant when the first word is none.
        verbs: All verbs.
        words: The command line without the program.
    """
    if words and words[0] not in verbs and words[0] not in ("-h", "--help", "--version"):
        words = [default, *words]
    open_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):  # labels need not be in the terminal's encoding
        sys.stdout.reconfigure(errors="backslashreplace")
    stopped = f"{program}: stopped"
    if (program, *words[:1]) == ("convert", "run") and "--plan-only" not in words:
        stopped += "; the same command goes on"
    with ended_by_signals(f"{stopped}.", _TOLD_SIGNALS[program]):
        return _run(program, parser, words, f"{stopped}.")


def _run(program: str, parser: argparse.ArgumentParser, words: list[str], stopped: str) -> int:
    """Parses a command line and runs its verb; returns the exit code."""
    try:
        namespace = parser.parse_args(words)
        verb: Verb = namespace.verb
        return verb(namespace)
    except ShardfeedError as error:
        print(f"{program}: error: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # Whoever read our output has gone, as `head` does; nothing more can be said there.
        drop_stdout()
        return 141  # 128 + SIGPIPE, as shells report it
    except OSError as error:
        what = str(error.filename or "the system refuses something")
        told = failure(error, what, "run the same command again")
        print(f"{program}: error: {told}", file=sys.stderr)
        return told.exit_code
    except KeyboardInterrupt:  # from a process that has its own handler
        print(stopped, file=sys.stderr)
        return 130  # 128 + SIGINT, as shells report it
