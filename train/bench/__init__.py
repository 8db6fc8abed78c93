"""What holds a training up: reader and model are timed alone and together."""
