"""The headline: the results of the best weights in a few numbers."""

from __future__ import annotations

from train.report.content import Content
from train.report.markup import Html, element, joined
from train.report.numbers import duration, interval, percent

NO_VALIDATION = (
    "This run had no validation split, so nothing here says how well it reads images that it has "
    "not seen. Convert again with --split train=0.9,validation=0.1 to know."
)

OVERFIT = (
    "With --overfit the records to validate on are those it was trained on: this tells whether the "
    "network can learn, and nothing of how it reads images that it has not seen."
)


def headline(content: Content) -> Html:
    """Returns the page's title and what was trained, in a sentence."""
    info, last = content.info, content.history[-1]
    height, width, _ = info.image_shape
    classes = "/".join(f"{n:,}" for n in sorted({len(c) for c in info.classes.values()}))
    seconds = sum(row["seconds"] for row in content.history)
    return element(
        "header",
        element("p", "Training report", class_="kind"),
        element("h1", content.name),
        element(
            "p",
            f"{content.options.get('model')} reads {len(info.outputs)} outputs of {classes} "
            f"classes in images of {width}×{height} pixels. Epochs: {last['epoch']:.0f}, steps: "
            f"{last['step']:,.0f}, training: {duration(seconds)}. The weights of epoch "
            f"{content.best} are kept.",
        ),
    )


def results(content: Content) -> Html:
    """Returns the numbers that count, one a tile."""
    if content.validation is None:
        while_training = [
            _tile("Exact match", content.at_best("exact"), "whole labels, while training"),
            _tile("Characters", content.at_best("character_accuracy"), "while training"),
        ]
        return joined(element("p", NO_VALIDATION, class_="notice"), _tiles(while_training))
    evaluation = content.validation.evaluation
    records = len(evaluation.labels)
    low, high = interval(evaluation.exact, records)
    cut = evaluation.selection().at_precision(0.99)
    warning = element("p", OVERFIT, class_="notice") if content.options.get("overfit") else None
    tiles = _tiles(
        [
            _tile(
                "Exact match",
                evaluation.exact,
                f"of {records:,} whole labels; 95% interval {percent(low)} to {percent(high)}",
            ),
            _tile("Characters", evaluation.character_accuracy, "read right, blanks left out"),
            _tile("Top-5", evaluation.top5_accuracy, "true class among the first five"),
            _tile(
                "Read alone",
                cut.coverage if cut else 0.0,
                f"of the records, at 99% exact: those with a confidence from {cut.threshold_text}"
                if cut
                else "no threshold of confidence gives 99% exact",
            ),
            _tile(
                "Calibration error",
                evaluation.label_calibration().error,
                f"of whole labels; {percent(evaluation.character_calibration().error)} of "
                "characters",
            ),
        ]
    )
    return joined(warning, tiles)


def _tiles(tiles: list[Html]) -> Html:
    return element("dl", *tiles, class_="tiles")


def _tile(name: str, share: float, note: str) -> Html:
    return element(
        "div",
        element("dt", name),
        element("dd", percent(share), class_="value"),
        element("dd", note),
    )
