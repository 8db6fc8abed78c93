"""Sizes in bytes, as people write and read them."""

import pytest

from convert.command.byte_sizes import parse_bytes, show_bytes
from convert.errors import UsageError


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("200GB", 200 * 10**9),
        ("1.5 TB", 1_500 * 10**9),
        ("512MiB", 512 << 20),
        ("3g", 3 * 10**9),
        ("2Gi", 2 << 30),
        ("4096", 4096),
        ("7 bytes", None),
        ("-1GB", None),
        ("1e9", None),
        ("GB", None),
        ("", None),
        ("9" * 400, None),  # once a traceback
    ],
)
def test_sizes_are_read(text, size):
    if size is None:
        with pytest.raises(UsageError) as caught:
            parse_bytes(text)
        expected = f"a size is written like 200GB, 1.5TB or 512MiB, got {text!r}."
        assert str(caught.value) == expected
    else:
        assert parse_bytes(text) == size


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1e3, "1 kB"), (999_600, "1 MB"), (2.5e11, "250 GB")],
)
def test_sizes_are_shown(size, text):
    assert show_bytes(size) == text


@pytest.mark.parametrize(
    ("size", "unit", "decimals", "text"),
    [
        (999, None, 1, "999 bytes"),  # there are no parts of a byte
        (999_960, None, 1, "1,000.0 kB"),
        (1e6, None, 1, "1.0 MB"),
        (2e15, None, 1, "2.0 PB"),
        (1_234_567_890, "MB", 0, "1,235 MB"),
        (12_345_678, "GB", 1, "0.0 GB"),
    ],
)
def test_sizes_are_shown_with_decimals(size, unit, decimals, text):
    assert show_bytes(size, unit, decimals) == text
