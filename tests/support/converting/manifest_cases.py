"""Label files written, and refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from convert.errors import UsageError
from convert.plan.dialects import read_manifest
from convert.plan.dialects.roles import ManifestOptions


def written(path: Path, content: str | bytes) -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def refusal(path: str | Path, **options: object) -> str:
    """Returns the error of a label file without its path, or whole where it names none."""
    with pytest.raises(UsageError) as caught:
        read_manifest(str(path), options=ManifestOptions(**options))
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path}: ")
