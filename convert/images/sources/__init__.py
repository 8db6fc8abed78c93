"""Source files: found, opened safely, and read ahead of their decoding."""
