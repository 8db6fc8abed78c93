"""Damages files and looks at what comes of them, in a process that a decoder may end.

`python fuzz_run.py WHAT FIRST LAST FOLDER` does so for the numbers FIRST to LAST, and keeps in
FOLDER/told.json the number that it is at, or at the end what was found. A number gives the same
damage everywhere; to see one again: `python fuzz_run.py images 1234 1234 FOLDER`.
"""

import json
import re
import resource
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from train.cli.startup import import_keras

SEED = 0
# Of addresses: the libraries take many that they do not use. TensorFlow is among those of folders.
MEMORY_BYTES = {"folders": 12 << 30}
USUAL_MEMORY_BYTES = 4 << 30
FILE_BYTES = 1 << 28  # no case shall fill the disk

Case = Callable[[int], str]


def main(what: str, first: int, last: int, folder: Path) -> None:
    """Judges the damages of a range of numbers."""
    most = MEMORY_BYTES.get(what, USUAL_MEMORY_BYTES)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, resource.RLIM_INFINITY))
    # TensorFlow leaves the bytecode of functions that it generates in the temporary folder.
    sys.dont_write_bytecode = True
    run = case_of(what, folder)
    counts: Counter[str] = Counter()
    problems: dict[int, str] = {}
    with (folder / "told.json").open("w", encoding="utf-8") as told:
        for number in range(first, last + 1):
            told.seek(0)
            told.write(f"{number}\n")
            told.flush()
            try:
                counts[run(number)] += 1
            except Exception:
                problems[number] = traceback.format_exc()
        peak = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
        assert peak is not None
        told.seek(0)
        json.dump({"counts": counts, "problems": problems, "kilobytes": int(peak[1])}, told)


def case_of(what: str, folder: Path) -> Case:
    """Returns the function that makes and judges the damage of a number."""
    if what == "folders":
        import_keras()
        from fuzz_folders import folder_case

        return folder_case(SEED, folder)
    warnings.simplefilter("ignore")  # as in a worker
    from fuzz_images import image_case
    from fuzz_texts import dataset_case, manifest_case

    return {
        "images": lambda: image_case(SEED),
        "manifests": lambda: manifest_case(SEED, folder),
        "datasets": lambda: dataset_case(SEED, folder),
    }[what]()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]).absolute())
