"""audit.csv: every record, the least believed label first."""

from __future__ import annotations

import csv
import io

from convert.command.printed import csv_cell
from train.audit.findings import Findings

COLUMNS = (
    "rank", "path", "row", "split", "label", "suggestion", "differs", "belief", "beliefs",
    "confidence", "suspected", "seen", "judge", "same_picture",
)  # fmt: skip


def table(found: Findings) -> str:
    """Returns the table as CSV; probabilities with four digits, a row a record."""
    judged, text = found.judgement, io.StringIO()
    order = judged.order.tolist()
    twins: dict[int, list[str]] = {}
    for pair in found.twins:
        for one, other in ((pair.first, pair.second), (pair.second, pair.first)):
            twins.setdefault(one, []).append(str(int(judged.row[other])))
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    sureness = judged.sureness
    for rank, (record, path) in enumerate(zip(order, found.paths(order), strict=True), 1):
        seen = found.seen(record)
        cells = [
            str(rank),
            path,
            str(int(judged.row[record])),
            found.splits[int(judged.split[record])],
            found.label(record),
            found.reading(record),
            " ".join(found.differing(record)),
            f"{judged.belief[record]:.4f}",
            " ".join(f"{belief:.4f}" for belief in judged.beliefs[record].tolist()),
            f"{sureness[record]:.4f}",
            str(int(found.is_suspected[record])),
            "" if seen is None else str(int(seen)),
            found.judge(record),
            " ".join(twins.get(record, ())),
        ]
        writer.writerow([csv_cell(cell) for cell in cells])
    return text.getvalue()
