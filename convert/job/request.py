"""What planning and converting begin with: options settled, the place looked at, rows planned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from convert.config import ConvertConfig
from convert.errors import UsageError
from convert.images.sources.hdfs_reader import allowed_folders
from convert.job.label_notes import understood
from convert.job.quarantine import check_bad
from convert.plan.corrections import Corrections
from convert.plan.corrections_file import read_corrections
from convert.plan.shard_specs import Plan, make_plan
from convert.storage.places import filesystem_of, real_place
from convert.write.open_inputs import (
    find_label_file,
    given_vocabularies,
    open_manifest,
    require_inputs_outside,
    source_root,
)
from convert.write.output import Output


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """A conversion that was asked for.

    Attributes:
        config: The options; the manifest is a file or, with `from_names`, a folder of images.
        given: Classes of the vocabularies that the user gave.
        corrections: Labels that replace those of the manifest, a file after the other.
        root: Folder of the sources.
        output: The place of the dataset.
    """

    config: ConvertConfig
    given: Mapping[str, tuple[str, ...]]
    corrections: tuple[Corrections, ...]
    root: str
    output: Output

    def plan(self) -> Plan:
        """Looks at the place and plans.

        Raises:
            UsageError: The place, the manifest, its root or an option does not fit.
        """
        require_inputs_outside(self.config, self.root)
        self.output.check_place()
        plan = make_plan(open_manifest(self.config), self.config, self.given, self.corrections)
        if not filesystem_of(self.root).is_folder(self.root):
            raise UsageError(
                f"--root {self.root}: no such folder. The manifest's paths start there."
            )
        return plan

    def tell(self, plan: Plan, say: Callable[[str], None]) -> None:
        """Says how the manifest was understood, after all checks of it have passed.

        Raises:
            TooManyBadRowsError: It rules out more rows than `max_bad_fraction`.
        """
        manifest = plan.manifest
        check_bad(plan.quarantined, manifest.num_rows, self.config.max_bad_fraction, self.root)
        for line in (*manifest.notes, *understood(plan)):
            say(line)


def read_request(config: ConvertConfig) -> Request:
    """Finds what the options point to.

    Raises:
        UsageError: A label file, a vocabulary or a folder is not there.
    """
    config = find_label_file(replace(config, dataset=real_place(config.dataset)))
    given = given_vocabularies(config.vocabulary, verbatim=config.verbatim_labels)
    corrections = tuple(map(read_corrections, config.corrections))
    root = source_root(config)
    output = Output(config, root, allowed_folders(root, config.allow))
    return Request(config=config, given=given, corrections=corrections, root=root, output=output)
