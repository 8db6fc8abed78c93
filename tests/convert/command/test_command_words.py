"""Values that begin with `-`, for every option of both commands that takes one."""

from __future__ import annotations

import argparse

import pytest
from command_parsers import verb_parsers
from convert_cases import command, png

from convert.command.command_line import OneLineParser


@pytest.fixture
def parser() -> OneLineParser:
    parser = OneLineParser(prog="tool", exit_on_error=False)
    parser.add_argument("first")
    parser.add_argument("rest", nargs="*")
    parser.add_argument("--from-names")
    parser.add_argument("--from-file")
    parser.add_argument("--again", "-a", action="append")
    parser.add_argument("--two", nargs=2)
    parser.add_argument("--maybe", nargs="?", const="none")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--quiet", action="store_true")
    return parser


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--from-names", r"-(\d)-"], {"from_names": r"-(\d)-"}),
        (["--from-names", "--(.)"], {"from_names": "--(.)"}),
        (["--from-names", "-h(.)"], {"from_names": "-h(.)"}),  # not the option -h
        (["--from-names", "-"], {"from_names": "-"}),
        (["--from-names=-x"], {"from_names": "-x"}),
        (["--from-names=-x", "-y"], None),  # the option has its value
        (["--from-n", "-x"], {"from_names": "-x"}),
        (["--from", "-x"], None),  # may stand for two
        (["--again", "-x", "--again", "-y"], {"again": ["-x", "-y"]}),
        (["-a", "-x"], {"again": ["-x"]}),
        (["--seed", "-1"], {"seed": -1}),
        (["--from-names", "-x", "--quiet"], {"from_names": "-x", "quiet": True}),
        # What is an option stays one.
        (["--from-names", "--quiet"], None),
        (["--from-names", "--qui"], None),
        (["--from-names", "--seed=1"], None),
        (["--from-names", "-a"], None),
        (["--from-names", "-h"], None),
        (["--from-names", "--"], None),
        (["--from-names"], None),
        # These do not take exactly one value.
        (["--quiet", "-x"], None),
        (["--two", "-x", "-y"], None),
        (["--maybe", "-x"], None),
        # Behind -- there are no options.
        (["--", "--from-names", "-x"], {"rest": ["--from-names", "-x"], "from_names": None}),
    ],
)
def test_words(parser: OneLineParser, words: list[str], found: dict[str, object] | None) -> None:
    if found is None:
        with pytest.raises((SystemExit, argparse.ArgumentError)):
            parser.parse_args(["one", *words])
        return
    namespace = vars(parser.parse_args(["one", *words]))
    assert {name: namespace[name] for name in found} == found


@pytest.mark.parametrize(("name", "verb"), verb_parsers().items())
def test_every_option_of_one_value_takes_any_word(name: str, verb: OneLineParser) -> None:
    taken = 0
    for action in verb._actions:
        if action.option_strings and action.nargs is None and action.type is None:
            words = [action.option_strings[0], "-(.)"]
            known = action.choices is None
            assert verb._glued(words) == [f"{words[0]}=-(.)"]
            taken += known
    assert taken


def test_a_regular_expression_as_typed(tmp_path) -> None:
    (tmp_path / "d").mkdir()
    for number in range(20):
        (tmp_path / f"d/01-{number:04}-9.png").write_bytes(png(seed=number))
    words = ["d", "out", "--from-names", r"-(\d{4})-", "--size", 12, 8]
    done = command(*words, cwd=tmp_path)
    assert "20 names: 01-0000-9.png -> 0000" in done.stderr
    missing = command("d", "other", "--size", 12, 8, "--from-names", cwd=tmp_path, check=False)
    assert (missing.returncode, missing.stderr) == (
        2,
        "convert: error: argument --from-names: expected one argument. See `convert run --help`.\n",
    )
