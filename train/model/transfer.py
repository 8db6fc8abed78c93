"""Weights of a trained network for a new one: layers that fit, and the classes that both know."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras.src.utils.naming import to_snake_case  # how Keras names layers that have no name

from train.errors import UsageError
from train.model.recogniser import Recogniser

Classes = Mapping[str, Sequence[str]]
"""{output name: its classes, in index order}."""

_NAMED = 3  # layers or classes that a line names


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """A trained network.

    Attributes:
        name: What the user calls it.
        network: A functional model to {output name: logits or probabilities}.
        classes: What its outputs mean. None: not known.
        remedy: How a network of the same kind is made.
    """

    name: str
    network: keras.Model
    classes: Classes | None
    remedy: str


@dataclass(kw_only=True, slots=True)
class Taken:
    """What a network took from another.

    Attributes:
        name: What the user calls the other.
        layers: Layers with weights that were taken whole or in part.
        left: Names of those that were not, each with the reason.
        known: Classes that were taken, of all vocabularies.
        fresh: Those that start fresh.
    """

    name: str
    layers: int = 0
    left: list[str]
    known: int = 0
    fresh: list[str]

    def line(self) -> str:
        """Returns all of it as one line."""
        total = self.layers + len(self.left)
        parts = [f"weights of {self.name}: {self.layers} of {total} layers taken"]
        if self.left:
            parts[0] += f", not {_listed(self.left)}"
        if self.known or self.fresh:
            parts.append(f"{self.known:,} of {self.known + len(self.fresh):,} classes taken")
        if self.known and self.fresh:
            parts[1] += f", {_listed([name or 'blank' for name in self.fresh])} start fresh"
        return "; ".join(parts)


def take_weights(model: Recogniser, classes: Classes, trained: Trained) -> Taken:
    """Gives a network the weights of another, layer by layer, where name and shapes are equal.

    The moving statistics of normalisations are among a layer's weights; seeds of dropout are not.
    A classifier takes the kernel's columns and the biases of the classes that both know, by name.
    The average of the weights begins as the weights do.

    Args:
        model: Has fresh weights.
        classes: What its outputs mean.
        trained: The other network; its outputs' names and classes may be others.

    Raises:
        UsageError: The networks are of different kinds; nothing was changed.
    """
    ours, theirs = _layers(model), _layers(trained.network)
    heads, their_heads = _classifiers(model), _classifiers(trained.network)
    own = set(map(id, heads.values()))
    body = {name: layer for name, layer in ours.items() if id(layer) not in own}
    _require_kin(model, body, theirs, trained)
    taken = Taken(name=trained.name, left=[], fresh=[])
    for name, layer in body.items():
        if _fits(layer, theirs.get(name)):
            _assign(layer, [np.asarray(weight) for weight in theirs[name].weights])
            taken.layers += 1
        else:
            taken.left.append(f"{name} ({_difference(layer, theirs.get(name))})")
    for layer in {id(head): head for head in heads.values()}.values():
        outputs = [output for output, head in heads.items() if head is layer]
        _take_classes(layer, outputs, classes, their_heads, trained.classes, taken)
    if model.averaging is not None:
        model.averaging.restart()
    return taken


def _take_classes(
    layer: Any,
    outputs: Sequence[str],
    classes: Classes,
    heads: Mapping[str, Any],
    their_classes: Classes | None,
    taken: Taken,
) -> None:
    """Takes what a classifier of some outputs can from those of another network."""
    if their_classes is None:
        taken.left.append(f"{layer.name} (what its classes were is not known: name the run)")
        return
    # One classifier of all outputs may learn from any; one of a single output only from its own.
    named = [output for output in outputs if output in heads]
    others = [output for output in heads if output not in named] if len(outputs) > 1 else []
    known: dict[str, tuple[Any, int]] = {}
    for output in [*named, *others]:
        if output in their_classes and _rows_fit(layer, heads[output]):
            for index, name in enumerate(their_classes[output]):
                known.setdefault(name, (heads[output], index))
    values = [np.array(weight) for weight in layer.weights]
    for index, name in enumerate(classes[outputs[0]]):
        if name not in known:
            taken.fresh.append(name)
            continue
        head, place = known[name]
        for value, weight in zip(values, head.weights, strict=True):
            value[..., index] = np.asarray(weight)[..., place]
        taken.known += 1
    if known:
        _assign(layer, values)
        taken.layers += 1
    else:
        taken.left.append(f"{layer.name} (no classifier of its outputs that fits)")


def _layers(network: keras.Model) -> dict[str, Any]:
    """Returns the layers that have weights, by name; those that Keras named by kind and number."""
    counts: Counter[str] = Counter()
    found = {}
    for layer in network.layers:
        if not layer.weights:
            continue
        kind, name = to_snake_case(type(layer).__name__), layer.name
        if re.fullmatch(rf"{kind}(_\d+)?", name):  # counted over all models of a process
            counts[kind] += 1
            name = f"{kind} {counts[kind]}"
        found[name] = layer
    return found


def _classifiers(network: keras.Model) -> dict[str, Any]:
    """Returns the last layer that has weights before each output, where there is just one way."""
    found = {}
    for output, tensor in network.output.items():
        while True:
            layer, node, _ = tensor._keras_history
            if getattr(layer, "weights", None):
                found[output] = layer
                break
            tensors = layer._inbound_nodes[node].input_tensors
            if len(tensors) != 1:
                break
            (tensor,) = tensors
    return found


def _require_kin(
    model: keras.Model, body: Mapping[str, Any], theirs: Mapping[str, Any], trained: Trained
) -> None:
    """Raises `UsageError` if two networks are of different kinds: half of one is no network."""
    first = next(iter(body), "")
    network = trained.network
    if not any(_fits(layer, theirs.get(name)) for name, layer in body.items()):
        problem = f"none of its {len(theirs)} layers fits this {model.name}"
    elif first in theirs and not _fits(body[first], theirs[first]):
        problem = f"its first layer is another: {first}, {_difference(body[first], theirs[first])}"
    elif network.name != model.name and not re.fullmatch(r"functional(_\d+)?", network.name):
        problem = f"its network is {network.name}, this one is {model.name}"
    else:
        return
    raise UsageError(f"--weights {trained.name}: {problem}. {trained.remedy}")


def _fits(layer: Any, other: Any) -> bool:
    return other is not None and _shapes(layer) == _shapes(other)


def _rows_fit(layer: Any, other: Any) -> bool:
    """Returns whether two classifiers read the same features."""
    return [shape[:-1] for shape in _shapes(layer)] == [shape[:-1] for shape in _shapes(other)]


def _shapes(layer: Any) -> list[tuple[int, ...]]:
    return [tuple(weight.shape) for weight in layer.weights]


def _difference(layer: Any, other: Any) -> str:
    if other is None:
        return "not in it"
    pairs = zip(_shapes(other), _shapes(layer), strict=False)
    sides = next((pair for pair in pairs if pair[0] != pair[1]), None)
    if sides is None:
        return "other weights"
    theirs, ours = ("x".join(map(str, shape)) for shape in sides)
    return f"{theirs} there, {ours} here"


def _assign(layer: Any, values: Sequence[Any]) -> None:
    for weight, value in zip(layer.weights, values, strict=True):
        weight.assign(value)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    shown = ", ".join(names[:_NAMED])
    return f"{shown} and {more:,} more" if more > 0 else shown
