"""The rows that a conversion leaves out: their order, quarantine.jsonl, their limit."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict

from convert.errors import TooManyBadRowsError
from convert.plan.rejected_rows import Quarantined
from convert.write.remedies import remedies
from convert.write.shard_summary import ShardSummary

_REASONS_SHOWN = 10


def merge_bad(planned: list[Quarantined], summaries: Iterable[ShardSummary]) -> list[Quarantined]:
    """Returns all rows that are left out, by row.

    Args:
        planned: Those that the manifest alone decides.
        summaries: Of all shards.
    """
    met = [row for summary in summaries for row in summary.quarantined]
    return sorted([*planned, *met], key=lambda quarantined: quarantined.row)


def quarantine_text(quarantined: Iterable[Quarantined]) -> str:
    """Returns the content of quarantine.jsonl: a JSON object a line for each row left out."""
    return "".join(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in quarantined)


def check_bad(quarantined: list[Quarantined], num_rows: int, limit: float, root: str) -> None:
    """Raises if more rows are bad than allowed.

    Args:
        quarantined: The rows that are left out.
        num_rows: Of the manifest.
        limit: Share that may be left out. In [0, 1].
        root: Folder that its paths start from.

    Raises:
        TooManyBadRowsError: More are; names the most frequent reasons, and what helps.
    """
    bad = [row for row in quarantined if row.reason != "label_rejected"]  # a person decided it
    if len(bad) <= limit * num_rows and len(quarantined) < num_rows:
        return
    quarantined = bad or quarantined
    too_many = f"more than --max-bad-fraction {limit:g} allows"
    counts = Counter(row.reason for row in quarantined).most_common(_REASONS_SHOWN)
    first = {row.reason: row for row in reversed(quarantined)}
    reasons = "; ".join(
        f"{count:,} {reason} (row {first[reason].row}, {first[reason].path}: "
        f"{first[reason].detail})"
        for reason, count in counts
    )
    verdict = too_many if limit < 1 else "so nothing is left"
    is_all = len(quarantined) == num_rows  # then no limit lets anything through
    last = "" if is_all else " Or raise --max-bad-fraction, which leaves all these rows out."
    raise TooManyBadRowsError(
        f"{len(quarantined):,} of {num_rows:,} rows are bad, {verdict}: {reasons}. "
        f"What helps: {remedies(quarantined, num_rows, root)}.{last}"
    )
