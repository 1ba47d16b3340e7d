"""Disks that are really full."""

import subprocess
import sys
from pathlib import Path


def on_small_disk(folder: Path, size: int, code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run Python code to which ``folder`` is an empty disk of ``size`` bytes; see ``rays.may_mount``."""
    mount = f'mount -t tmpfs -o size={size} tmpfs "{folder}" && exec "$@"'
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", mount, "sh", sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
