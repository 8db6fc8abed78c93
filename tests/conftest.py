"""What all tests share: the sample, one small dataset, and no silent skips in CI."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "data" / "sample"
CROP = ("--crop", "186", "0", "300", "30", "--size", "128", "32")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Where CI could have installed what a test needs, a skip is a failure."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("CI") == "true" and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if "shared/data" not in reason:  # real images that are beside the checkout, or are not
            report.outcome = "failed"
            report.longrepr = f"skipped in CI: {reason}"


@pytest.fixture(scope="session")
def sample_rows() -> list[dict[str, str]]:
    with (SAMPLE / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
