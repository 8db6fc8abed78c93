"""Where the model errs: outputs, confused classes, rare classes."""

from __future__ import annotations

from train.evaluation.predictions import confused_pairs, rare_classes
from train.evaluation.scores import RarityGroup
from train.report.content import Content, Validation
from train.report.markup import Html, bar, element, table
from train.report.numbers import percent


def mistakes(content: Content, validation: Validation) -> Html:
    """Returns tables of accuracies and confusions."""
    return element(
        "div",
        _outputs(content, validation),
        _confused(content, validation),
        _rare(content, validation),
        class_="grid",
    )


def name_of(name: str) -> Html:
    """Returns a class's name as it can be seen; it may be of any script and direction."""
    if not name:
        return element("i", "blank")
    return element("bdi", name if name.strip() else "␣" * len(name), class_="class")


def _outputs(content: Content, validation: Validation) -> Html:
    evaluation = validation.evaluation
    shares = zip(
        content.info.outputs,
        evaluation.output_accuracies,
        evaluation.output_top5_accuracies,
        strict=True,
    )
    rows: list[list[object]] = [
        [name, bar(accuracy), percent(accuracy), percent(top5)] for name, accuracy, top5 in shares
    ]
    return _block(
        "By output",
        "Share of records that each output reads right, blanks included.",
        table(["output", "", "right", "in first 5"], rows, caption="By output", numbers={2, 3}),
    )


def _confused(content: Content, validation: Validation) -> Html:
    pairs = confused_pairs(validation.evaluation, content.info)
    if not pairs:
        return _block("Confused classes", "Every character was read right.", None)
    rows: list[list[object]] = [
        [
            name_of(p.true),
            name_of(p.predicted),
            bar(p.share, "wrong"),
            f"{p.count:,}",
            percent(p.share),
        ]
        for p in pairs
    ]
    return _block(
        "Confused classes",
        "The commonest; the share is that of all occurrences of the true class.",
        table(
            ["true", "read as", "", "times", "share"],
            rows,
            caption="Confused classes",
            numbers={3, 4},
        ),
    )


def _rare(content: Content, validation: Validation) -> Html:
    groups = rare_classes(validation.evaluation, content.info, content.class_counts)
    rows: list[list[object]] = [
        [
            _times(group),
            "" if group.accuracy is None else bar(group.accuracy),
            "–" if group.accuracy is None else percent(group.accuracy),
            f"{group.characters:,}",
            f"{group.classes:,}",
        ]
        for group in groups
    ]
    return _block(
        "Rare classes",
        "Characters read right, by how often training saw their class; and how many classes "
        "the vocabulary has of that kind.",
        table(
            ["seen", "", "right", "of", "classes"],
            rows,
            caption="Rare classes",
            numbers={2, 3, 4},
        ),
    )


def _times(group: RarityGroup) -> str:
    if group.most is None:
        return f"{group.least}+ times"
    return f"{group.least}–{group.most} times" if group.most else "never"


def _block(title: str, note: str, content: Html | None) -> Html:
    return element("div", element("h3", title), element("p", note), content)
