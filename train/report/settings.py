"""What was trained, how, and on what."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

from train.config import TrainConfig
from train.report.content import Content
from train.report.markup import Html, element, table
from train.report.numbers import size

# Config.json has them as they were resolved, so whether the user asked for it is not known.
_UNKNOWN = ("run", "window", "head", "precision")


def settings(content: Content) -> Html:
    """Returns options, versions, and the sizes of model and data."""
    said = "Those that are not the default are marked."
    return element(
        "div",
        element(
            "div", element("h3", "Options"), element("p", said), _options(content), class_="row"
        ),
        _block("Model", _model(content)),
        _block("Data", _data(content)),
        _block("Environment", _environment(content)),
        class_="grid",
    )


def _options(content: Content) -> Html:
    """Returns the options as a list of names and values."""
    rows = []
    for field in fields(TrainConfig):
        if field.name not in content.options:
            continue
        value = content.options[field.name]
        has_default = field.default is not MISSING and field.name not in _UNKNOWN
        usual = not has_default or value == field.default
        shown = element("dd", element("span" if usual else "mark", _written(value)))
        note = None if usual else element("dd", f"default {_written(field.default)}")
        name = element("dt", element("code", field.name.replace("_", "-")))
        rows.append(element("div", name, shown, note, class_=None if usual else "changed"))
    return element("dl", *rows, class_="options")


def _model(content: Content) -> Html:
    rows: list[list[object]] = [
        ["network", _written(content.options.get("model"))],
        ["parameters", f"{content.parameters:,}"],
        ["best.keras", size(content.model_bytes)],
        ["outputs", f"{len(content.info.outputs):,}"],
    ]
    return table([], rows, caption="Model")


def _data(content: Content) -> Html:
    info = content.info
    height, width, channels = info.image_shape
    rows: list[list[object]] = [
        ["images", f"{width}×{height}×{channels}, {info.image.encoding}"],
    ]
    rows += [[f"records, {split}", f"{info.num_records(split):,}"] for split in info.splits]
    rows += [[f"classes, {name}", f"{len(c):,}"] for name, c in info.vocabularies.items()]
    rows.append(["dataset id", str(content.options.get("dataset_id", ""))[:8]])
    if content.bad_records:
        rows.append(["bad records left out", f"{content.bad_records:,}"])
    return table([], rows, caption="Data")


def _environment(content: Content) -> Html:
    packages = content.environment.get("packages")
    flat = {key: value for key, value in content.environment.items() if key != "packages"}
    flat |= packages if isinstance(packages, dict) else {}
    rows: list[list[object]] = [[name, _written(value)] for name, value in flat.items()]
    return table([], rows, caption="Environment")


def _written(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _block(title: str, content: Html) -> Html:
    return element("div", element("h3", title), content)
