"""Names of a data set's colours, from a file beside it."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np

from components.image_example_gen.masks import unpacked
from components.image_example_gen.sources import inside
from pipeline.guessing import IGNORED_NAMES, Meaning

_FILES = (
    "class_dict.csv",
    "classes.csv",
    "labels.csv",
    "label_colors.txt",
    "classes.txt",
    "labels.txt",
)
_PARTS = r"(\d{1,3})[\s,;]+(\d{1,3})[\s,;]+(\d{1,3})"
_LINES = (
    re.compile(rf'"?(?P<name>[^\d\s,;:"][^,;:"]*?)"?[\s,;:]+{_PARTS}\b.*'),
    re.compile(rf'{_PARTS}[\s,;:]+"?(?P<name>[^\d\s,;:"][^,;:"]*?)"?'),
)


def read(root: Path) -> tuple[dict[str, str], Path | None]:
    """Names by colour, #rrggbb: "name, red, green, blue" a line, or the name last.

    Returns:
      the names, and the file; ({}, None) if there is none.
    """
    for file in (root / name for name in _FILES):
        if not (file.is_file() and inside.own(file, root)):
            continue
        names: dict[str, str] = {}
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            match = next((found for one in _LINES if (found := one.fullmatch(line.strip()))), None)
            parts = [int(part) for part in match.groups() if part.isdigit()] if match else []
            if match and max(parts) < 256:
                red, green, blue = parts
                names.setdefault(f"#{red:02x}{green:02x}{blue:02x}", match["name"].strip())
        if len(names) > 1 and len({*names.values()}) == len(names):
            return names, file
    return {}, None


def named(meant: Meaning, names: dict[str, str], file: Path) -> Meaning:
    """A meaning of colours with the names that a file gives.

    The classes are the file's, in its order, and any that it lacks; names such as void are ignored.
    """
    known = unpacked(np.array([int(colour[1:], 16) for colour in names]))
    lacking = {
        name: values
        for name, values in meant.classes.items()
        if np.abs(known - unpacked(np.array(int(str(values[0])[1:], 16)))).max(axis=1).min()
        > meant.tolerance
    }
    if len(lacking) == len(meant.classes):
        return meant  # the file is about other masks
    ignore = tuple(colour for colour, name in names.items() if IGNORED_NAMES.fullmatch(name))
    classes = {name: (colour,) for colour, name in names.items() if colour not in ignore}
    return dataclasses.replace(
        meant, classes={**classes, **lacking}, ignore=ignore, names_from=file
    )
