"""`python -m shardfeed convert ...` and `python -m shardfeed train ...`.

They are the two commands, also in a folder with a `convert.py` or a `train.py`, which `python -m
convert` and `python -m train` would run.
"""

import importlib
import sys

COMMANDS = ("convert", "train")

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        print("usage: python -m shardfeed {convert,train} ...", file=sys.stderr)
        sys.exit(2)
    if not sys.flags.safe_path:
        del sys.path[0]  # the current folder, in which processes to be started would look, too
    importlib.import_module(f"{sys.argv[1]}.cli").main(sys.argv[2:])
