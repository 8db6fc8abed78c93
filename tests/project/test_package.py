"""What an installed package holds: every folder of code, and the files that are no code."""

from __future__ import annotations

import tomllib

from conftest import ROOT

PACKAGES = ("convert", "train", "shardfeed")


def test_all_that_is_needed_is_packaged() -> None:
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    sources = [path for name in PACKAGES for path in (ROOT / name).rglob("*.py")]
    folders = {str(path.parent.relative_to(ROOT)).replace("/", ".") for path in sources}
    assert set(setup["packages"]) == folders
    given = {
        path
        for name, patterns in setup["package-data"].items()
        for pattern in patterns
        for path in (ROOT / name.replace(".", "/")).glob(pattern)
    }
    others = [path for name in PACKAGES for path in (ROOT / name).rglob("*.*")]
    assert given == {path for path in others if path.suffix not in (".py", ".pyc")}
    assert {path.name for path in given if path.suffix == ".jinja"} >= {
        "base.html.jinja",
        "macros.html.jinja",
        "report.html.jinja",
    }
