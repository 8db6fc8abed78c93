"""Goes on with a run, with the options that it had or may have instead."""
