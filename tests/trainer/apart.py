"""Runs a module in a process of its own: devices and kills are a process's own matter."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def told_by(module: str, *arguments: str) -> Any:
    """The JSON on the last line of what a module of this folder prints.

    Args:
      module: its name, without the folder.
      arguments: of its command.
    """
    done = subprocess.run(
        [sys.executable, "-m", f"{__package__}.{module}", *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
        timeout=600,
    )
    return json.loads(done.stdout.splitlines()[-1])
