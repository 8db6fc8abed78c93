"""Damages JSON files: another value, name or encoding than any program of ours writes."""

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from fuzz_damage import CHANGES, Random

# What only text can say stands in the tree under such a name, and is put in afterwards.
_MARK = "MARK OF THE FUZZER"
_RAW = ("9" * 5000, "[" * 100_000, '{"a":' * 50_000, "NaN", "-Infinity", "1e999", "-0", "00", "'x'")
_RAW += (
    '{"epoch":1,"epoch":2}',
    '"\\ud800"',
    '"\\u0000"',
    '"',
    "",
    "/* */1",
    "1.0",
    "1E400",
    "[,]",
)

VALUES: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 2, 1.5, -0.5, 1e-300, 1e308, 1 << 31, 1 << 53, (1 << 53) + 1),
    *(1 << 63, 1 << 64, -(1 << 63), 10**30, "", "x", "0", "x" * 1_000_000, "\x1b[2J\x1b]0;x\x07"),
    *("\u202egnp.exe", "a\nb", "a\r\nerror: b", "\0", "\ud800", "../around/victim.txt", ".", ".."),
    *("/etc/passwd", "around/folder", "hdfs://nowhere/x", "file:///etc/passwd", "os:system", "~"),
    *([], {}, [[]], [None], [1, 2], {"": 1}, {"x": {"y": []}}, ["x"] * 20_000, [1e308] * 3, "nan"),
)


def damage_json(data: bytes, random: Random) -> bytes:
    """Returns a JSON file, or one of JSON lines, with one or two values that are others."""
    lines = data.splitlines() or [b"{}"]
    try:
        tree = json.loads(data)
    except ValueError:
        lines[random.integers(len(lines))] = damage_value({"row": 1}, random)
        return b"\n".join(lines) + b"\n"
    return damage_value(tree, random)


def damage_value(tree: Any, random: Random) -> bytes:
    """Returns a tree of values as JSON, one or two of them changed."""
    is_signed = isinstance(tree, dict) and "files" in tree and "sha256" in tree
    box = [tree]
    for _ in range(random.integers(1, 3)):
        _CHANGES[random.integers(len(_CHANGES))](box, random)
    tree = box[0]
    if is_signed and isinstance(tree, dict) and random.random() < 0.8:
        tree.pop("sha256", None)  # as a checkpoint's; strangers can compute digests too
        tree["sha256"] = sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()
    text = json.dumps(tree, ensure_ascii=bool(random.random() < 0.5), indent=1)
    text = text.replace(f'"{_MARK}"', _RAW[random.integers(len(_RAW))])
    if random.random() < 0.9:
        return text.encode("utf-8", "surrogatepass")
    encoding = random.choice(["utf-8-sig", "utf-16", "utf-32", "utf-7"]).item()
    return text.encode(encoding, "replace")


def _containers(tree: Any) -> list[Any]:
    """Returns all lists and objects in a tree that hold something."""
    found, waiting = [], [tree]
    while waiting:
        here = waiting.pop()
        if isinstance(here, list | dict) and here:
            found.append(here)
            waiting += here.values() if isinstance(here, dict) else here
    return found


def _slot(box: list[Any], random: Random) -> tuple[Any, Any]:
    """Returns a list or an object, and one of its places."""
    containers = _containers(box)
    container = containers[random.integers(len(containers))]
    keys = list(container) if isinstance(container, dict) else range(len(container))
    return container, keys[random.integers(len(keys))]


def _replace(box: list[Any], random: Random) -> None:
    container, key = _slot(box, random)
    container[key] = VALUES[random.integers(len(VALUES))]


def _replace_raw(box: list[Any], random: Random) -> None:
    container, key = _slot(box, random)
    container[key] = _MARK


def _move(box: list[Any], random: Random) -> None:
    """Puts a value in the place of another one."""
    one, other = _slot(box, random), _slot(box, random)
    one[0][one[1]] = json.loads(json.dumps(other[0][other[1]]))


def _edit_text(box: list[Any], random: Random) -> None:
    """Changes a few letters or digits of a value."""
    container, key = _slot(box, random)
    value = container[key]
    if isinstance(value, str) and value:
        changed = CHANGES[random.integers(len(CHANGES))](value.encode("utf-8", "replace"), random)
        container[key] = changed.decode("utf-8", "replace")
    elif isinstance(value, int | float):
        container[key] = [value + 1, -value, value * 1000, float(value)][random.integers(4)]


def _remove(box: list[Any], random: Random) -> None:
    container, key = _slot(box, random)
    if container is not box:
        del container[key]


def _add(box: list[Any], random: Random) -> None:
    container, key = _slot(box, random)
    value = VALUES[random.integers(len(VALUES))]
    if isinstance(container, dict):
        names = ["x", "", "\x1b[2J", "../x", f"{key} ", "sha256", "format", "x" * 100_000]
        container[names[random.integers(len(names))]] = value
    elif container is not box:
        container.insert(key, value)


_CHANGES: list[Callable[[list[Any], Random], None]] = [_replace] * 4
_CHANGES += [_replace_raw, _move, _edit_text, _edit_text, _remove, _add]
