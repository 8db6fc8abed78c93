"""`train export`."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, get_args

from convert.command.streams import print_result
from convert.errors import printable
from convert.storage.places import is_remote
from train.cli.startup import Verbs, add_json, add_model, import_keras, import_model, quiet_stderr
from train.errors import UsageError
from train.export.config import ExportConfig, FormatName

if TYPE_CHECKING:
    from train.export.write_and_check import Export

_DESCRIPTION = """\
Writes a run's best network for other programs. It takes uint8 images and returns probabilities;
vocabularies, crop and size are in the file, and in NAME.json beside it. Each file is compared with
the run's network on validation images, in the format's own runtime, before it gets its name.
"""


def add_parser(verbs: Verbs) -> None:
    """Adds the verb to the command."""
    parser = verbs.add_parser(
        "export", help="write a run's network for other programs", description=_DESCRIPTION
    )
    add = parser.add_argument
    add("run", metavar="RUN", help="folder of a run, or hdfs://...")
    add(
        "--to",
        metavar="FORMAT",
        action="append",
        required=True,
        help=f"{', '.join(get_args(FormatName))}; several with commas, or repeat --to",
    )
    add("--output", metavar="NAME", help="path without suffix (default: RUN/export/model)")
    add("--dataset", metavar="DIR", help="the run's dataset, if it was moved")
    add("--overwrite", action="store_true", help="replace an older export")
    add_json(parser)
    add_model(parser)
    parser.set_defaults(verb=_export)


def _export(namespace: argparse.Namespace) -> int:
    names = dict.fromkeys(name for words in namespace.to for name in words.split(",") if name)
    config = ExportConfig(
        formats=tuple(names),
        output=namespace.output,
        dataset=namespace.dataset,
        overwrite=namespace.overwrite,
    )
    from train.runs.open import read_run

    _require_output(namespace)
    with read_run(namespace.run) as run:
        import_keras()
        import_model(namespace)
        from train.export.write_and_check import export_run

        with quiet_stderr():  # converters say much, and nothing that is of use
            exports = export_run(run, config, lambda export: print_result(printable(str(export))))
    if namespace.json:
        print_result(json.dumps(_as_json(run.address, config, exports)))
    return 0


def _require_output(namespace: argparse.Namespace) -> None:
    """Raises `UsageError` unless the place to write at is on a disk of this machine."""
    if is_remote(namespace.output or namespace.run):
        raise UsageError(
            "exports are checked where they are written, on a disk of this machine. "
            "Name a local path with --output."
        )


def _as_json(run: str, config: ExportConfig, exports: list[Export]) -> dict[str, Any]:
    return {
        "run": run,
        "description": f"{config.stem(run)}.json",
        "exports": [
            {
                "format": export.format,
                "path": export.path,
                "bytes": export.size,
                "was_there": export.was_there,
                "runtime": export.runtime,
                "split": export.split,
                **asdict(export.parity),
            }
            for export in exports
        ],
    }
