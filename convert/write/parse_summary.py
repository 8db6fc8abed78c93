"""Reading what is noted down of a finished shard: it may be damaged, or come from a stranger."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

from convert.errors import REASONS
from convert.images.oddities import sightings_from_json
from convert.images.sources.file_versions import Origin
from convert.plan.rejected_rows import Quarantined
from convert.write.shard_summary import ShardSummary, Sources

_SHA256 = re.compile(r"[0-9a-f]{64}")
_LARGEST = 1 << 53  # more bytes than any disk has


def summary_from_json(content: object) -> ShardSummary:
    """Returns the summary that `ShardSummary.to_json` made these values of.

    Raises:
        TypeError, KeyError, ValueError, AttributeError: They are not a summary's.
    """
    if not isinstance(content, dict):
        raise TypeError("no object")
    summary = ShardSummary(
        **{
            **content,
            "quarantined": [_quarantined(entry) for entry in _list(content["quarantined"])],
            "sources": _sources(content["sources"]),
            "image_digests": base64.b64decode(content["image_digests"], validate=True),
            "allow": tuple(_text(folder) for folder in _list(content["allow"])),
            "origin": Origin.from_json(content["origin"]),
        }
    )
    _text(summary.file)
    for number in (summary.records, summary.bytes, summary.input_bytes):
        _whole(number)
    _digest(summary.sha256)
    if summary.index_bytes is not None or summary.index_sha256 is not None:
        _whole(summary.index_bytes)
        _digest(summary.index_sha256)
    if len(summary.image_digests) != 8 * summary.records:
        raise ValueError("not a digest for each record")
    return summary


def _quarantined(entry: Mapping[str, Any]) -> Quarantined:
    row = Quarantined(**entry)
    _whole(row.row)
    _text(row.path)
    _text(row.detail)
    if row.reason not in REASONS:
        raise ValueError("an unknown reason")
    return row


def _sources(content: Mapping[str, Any]) -> Sources:
    sources = Sources(
        **{
            **content,
            "smallest": _size(content["smallest"]),
            "largest": _size(content["largest"]),
            "oddities": sightings_from_json(content["oddities"]),
        }
    )
    for name, count in sources.formats.items():
        _text(name)
        _whole(count)
    for sighting in sources.oddities.values():
        _whole(sighting.count)
        _whole(sighting.row)
        _text(sighting.path)
    return sources


def _size(value: Any) -> tuple[int, int]:
    width, height = _list(value)
    return _whole(width), _whole(height)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("no list")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    value.encode()  # half of a surrogate pair is none either
    return value


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= _LARGEST:
        raise ValueError("no number of things")
    return value


def _digest(value: Any) -> None:
    if not _SHA256.fullmatch(_text(value)):
        raise ValueError("no digest")
