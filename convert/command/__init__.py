"""What both commands do around their work; `command_line.run_verb` runs a verb."""
