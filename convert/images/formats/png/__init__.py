"""PNG files: decoded, and checked chunk by chunk."""
