"""Where files are."""

from __future__ import annotations

from pathlib import Path


def place(text: str) -> Path:
    """The file or folder of this name."""
    return Path(text)
