"""The verbs of the `train` command: each module has `add_parser(verbs)`."""
