"""Asserts that `PIL` is Pillow-SIMD, and that it was built for AVX2 where the CPU has it."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path


def main() -> None:
    """Exits with one line and 1 if the wrong Pillow is installed."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return  # Pillow-SIMD is for x86; elsewhere plain pillow is right
    owners = set(metadata.packages_distributions().get("PIL", []))
    if owners != {"pillow-simd"}:
        sys.exit(f"PIL belongs to {', '.join(sorted(owners)) or 'nothing'}, expected pillow-simd.")
    from PIL import _imaging

    if "avx2" not in Path("/proc/cpuinfo").read_text().split() or not shutil.which("objdump"):
        return
    command = ["objdump", "--disassemble", "--no-show-raw-insn", _imaging.__file__]
    code = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "%ymm" not in code:
        sys.exit("Pillow-SIMD was not built for AVX2: remove .venv and run make again.")


if __name__ == "__main__":
    main()
