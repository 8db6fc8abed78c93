"""What README.md and the pages in docs/ contain: text, links, examples and command lines."""

from __future__ import annotations

import re

from conftest import ROOT

PATHS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in PATHS}
EVERYTHING = "\n".join(PAGES.values())

_NOT_PARSED = re.compile(r" (L T R B|\.\.\.|--help|--version)( |$)")


def table(text: str, heading: str) -> dict[str, list[str]]:
    """Returns the rows of the table with a heading, by their first cell without back-ticks."""
    start = text.index(f"| {heading} |")
    rows = text[start : text.index("\n\n", start)].splitlines()[2:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return {first.strip("`"): rest for first, *rest in cells}


def examples(kind: str) -> list[str]:
    """Returns the fenced blocks of a kind, such as `python`, in all pages."""
    return re.findall(rf"```{re.escape(kind)}\n(.*?)```", EVERYTHING, re.DOTALL)


def transcripts(page: str) -> dict[str, list[str]]:
    """Returns the lines that each command of a page prints, by its line without `$ `.

    A line `...` stands for lines that the page leaves out.
    """
    found: dict[str, list[str]] = {}
    blocks = re.findall(
        r"^    \$ (.*)\n((?:(?:    (?!\$ ).*)?\n)*?)(?=    \$ |\S)", page, re.MULTILINE
    )
    for command, output in blocks:
        lines = [line.removeprefix("    ") for line in output.rstrip().splitlines()]
        found.setdefault(command, lines)
    return found


def command_lines(page: str) -> list[str]:
    """Returns the lines of a page that call `convert` or `train`, if a parser can take them."""
    text = re.sub(r'\\\n *|"\n *"', "", page).replace("{{ ds }}", "today")
    text = re.sub(r"packed/(convert|train)_on_spark.py", r"\n    \1", text)
    text = text.replace('bash_command="', "").replace('",\n', "\n")
    before = r"(?:\$ |again |.*\|\| |\$ timeout .* (?=train|convert))?"
    lines = re.findall(rf"^ {{4,}}{before}((?:convert|train) [^.:=\s].*)$", text, re.MULTILINE)
    cells = re.findall(r"`(convert [^`]+)` \|$", text, re.MULTILINE)
    return [line for line in [*lines, *cells] if not _NOT_PARSED.search(line)]


def anchors(page: str) -> set[str]:
    """Returns the anchors of a page's headings, as GitHub makes them."""
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings(page)}


def headings(page: str) -> list[str]:
    """Returns the headings of a page, its title left out."""
    prose = re.sub(r"```.*?```", "", page, flags=re.DOTALL)
    return re.findall(r"^##+ (.*)$", prose, re.MULTILINE)


def links(page: str) -> list[str]:
    """Returns the links of a page that lead to files and headings of this repository."""
    return [link for link in re.findall(r"\]\(([^)]+)\)", page) if "://" not in link]
