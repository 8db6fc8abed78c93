"""What `benchmarks/gpu.py` makes of its parts' results; the parts need JAX and minutes."""

from __future__ import annotations

from pathlib import Path

from benchmarks.gpu import run_part, table

RESULT = {
    "batch": 1024, "precision": "bfloat16", "augment_on": "device", "step_ms": 12.345,
    "images_per_second": 82948.6, "input_wait": 0.0041, "gpu_utilisation": None,
}  # fmt: skip


def test_a_speed_is_a_line_of_the_table():
    assert table([RESULT, {**RESULT, "gpu_utilisation": 0.97}]).splitlines()[2:] == [
        "| 1,024 | bfloat16 | device | 12.35 ms | 82,949 | 0.41% |  |",
        "| 1,024 | bfloat16 | device | 12.35 ms | 82,949 | 0.41% | 97% |",
    ]


def test_a_part_for_which_no_time_is_left_is_named():
    assert run_part("sample", Path(), Path(), {}, 0) == ([], "no time was left")
