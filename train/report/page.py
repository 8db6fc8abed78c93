"""The page: sections in their order, and all that makes it one file."""

from __future__ import annotations

from importlib.resources import files

from convert.version import __version__
from train.report.confidence import confidence
from train.report.content import Content
from train.report.curves import learning, speed
from train.report.markup import Html, element, joined
from train.report.mistakes import mistakes
from train.report.pictures import gallery
from train.report.results import headline, results
from train.report.settings import settings

# Nothing may be fetched, whatever stands in the page.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(content: Content) -> str:
    """Returns the report as one HTML file that asks for nothing else."""
    style = files("train.report").joinpath("report.css").read_text(encoding="utf-8")
    sections = _sections(content)
    links = [element("a", title, href=f"#{key}") for key, title, _, _ in sections]
    return "<!doctype html>\n" + element(
        "html",
        element(
            "head",
            element("meta", charset="utf-8"),
            element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("meta", name="color-scheme", content="light dark"),
            element("title", f"{content.name}: training report"),
            element("link", rel="icon", href="data:,"),
            element("style", Html(style)),
        ),
        element(
            "body",
            headline(content),
            element("nav", *links, aria_label="Sections"),
            element("main", *(_section(*section) for section in sections)),
            element("footer", f"Made by shardfeed {__version__}."),
        ),
        lang="en",
    )


def _sections(content: Content) -> list[tuple[str, str, str, Html]]:
    """Returns key, title, introduction and content of each section."""
    found = [
        ("results", "Results", "", results(content)),
        (
            "learning",
            "Learning",
            f"Numbers beside the names are those of epoch {content.best}, whose weights are kept.",
            learning(content),
        ),
    ]
    if content.validation is not None:
        validation, info = content.validation, content.info
        evaluation = validation.evaluation
        misread = gallery(validation.misread, evaluation, info)
        wrong = int((~evaluation.exact_records()).sum())
        said = f"{len(validation.misread)} of {wrong:,}, those with the largest loss first."
        found += [
            ("confidence", "Confidence", "", confidence(evaluation)),
            ("mistakes", "Mistakes", "", mistakes(content, validation)),
            (
                "misread",
                "Misread images",
                said if wrong else "Every label was read right.",
                misread if wrong else joined(),
            ),
            (
                "random",
                "Images at random",
                "",
                gallery(validation.random, evaluation, info),
            ),
        ]
    found += [
        ("speed", "Speed", "", speed(content)),
        ("settings", "Settings", "", settings(content)),
    ]
    return found


def _section(key: str, title: str, introduction: str, content: Html) -> Html:
    heading = f"{key}-title"
    return element(
        "section",
        element("h2", title, id=heading),
        element("p", introduction) if introduction else None,
        content,
        id=key,
        aria_labelledby=heading,
    )
