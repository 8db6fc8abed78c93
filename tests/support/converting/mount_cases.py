"""File systems of a test's own, where the machine allows them."""

import subprocess

NAMESPACE = ["unshare", "--mount", "--map-root-user"]


def can_mount() -> bool:
    """Returns whether this process may have a file system of its own."""
    try:
        words = [*NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
