"""The folders of a data set, as they are and by patterns, with what lies in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from components.image_example_gen.sources import folders


class Top(NamedTuple):
    """What a pattern of folders holds: names without endings, after what fills the pattern."""

    names: dict[str, Path]
    words: set[str]


def all_tops(root: Path, files: Iterable[Path]) -> dict[str, Top]:
    """Every pattern of folders that may hold images or masks, those with placeholders first."""
    found: dict[str, Top] = {}
    for file in files:
        parts = file.relative_to(root).with_suffix("").parts
        # A file counts for every folder above it, so that nested folders pair as a whole.
        for depth in range(min(len(parts), _DEEPEST + 1)):
            name = "/".join(parts[depth:])
            for pattern, filled in _patterns(parts[:depth]):
                top = found.setdefault(pattern, Top({}, set()))
                top.names["/".join([*filled, _without_words(name, pattern, filled)])] = file
                top.words.update(filled)
    general = {
        pattern: top
        for pattern, top in found.items()
        if (folders.SPLIT in pattern and len(folders.sides(top.words)) > 1)
        or (folders.ANY in pattern and len(top.words) > 1)
    }
    # A folder for each of many images need not be compared with each other one.
    one_of_many = {
        parent
        for pattern in general
        if folders.ANY in pattern and len(found[pattern].words) > _MOST_FOLDERS
        for word in found[pattern].words
        for parent in (
            pattern.replace(folders.ANY, word),
            pattern[: pattern.index(folders.ANY)] + word,
        )
    }
    plain = {
        pattern: top
        for pattern, top in found.items()
        if not folders.placeholders(pattern) and pattern != "." and pattern not in one_of_many
    }
    most = sorted(
        [*general, *plain],
        key=lambda pattern: (pattern not in general, -len(found[pattern].names), pattern),
    )
    return {pattern: found[pattern] for pattern in [".", *most[:_MOST_FOLDERS]] if pattern in found}


_DEEPEST = 4
# Every two folders are compared; a data set of hundreds has a layout of its own anyhow.
_MOST_FOLDERS = 32


def is_other_side(one: str, other: str) -> bool:
    """Whether two folders differ in the words for sides alone, as train and val do."""
    return not _with_a_side(one).isdisjoint(_with_a_side(other))


def _with_a_side(top: str) -> set[str]:
    """A folder's path with {SPLIT} in place of each word for a side."""
    if folders.placeholders(top):
        return set()
    patterns = {pattern for pattern, _ in _patterns(tuple(top.split("/")))}
    return {pattern for pattern in patterns if folders.SPLIT in pattern}


def _patterns(parts: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """A folder's path as it is, and with {SPLIT} or * in one place; with what these stand for."""
    yield "/".join(parts) or ".", ()
    for place, part in enumerate(parts):
        found = folders.split_word(part)
        if found:
            word, pattern = found
            yield "/".join([*parts[:place], pattern, *parts[place + 1 :]]), (word,)
        if place < len(parts) - 1:  # a last * would be the folder above
            yield "/".join([*parts[:place], folders.ANY, *parts[place + 1 :]]), (part,)


def _without_words(name: str, pattern: str, filled: tuple[str, ...]) -> str:
    """A name with {SPLIT} where it repeats its folder's word: DRIVE has training/21_training."""
    if folders.SPLIT not in pattern:
        return name
    word = rf"(?<![a-z]){re.escape(filled[0])}(?![a-z])"
    return re.sub(word, lambda _: folders.SPLIT, name, flags=re.I)
