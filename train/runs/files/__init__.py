"""A run's files: what they claim is checked before it is believed."""
