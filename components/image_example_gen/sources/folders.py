"""Folders by a pattern: `{SPLIT}` stands for train, val and their like, `*` for any one folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from components.image_example_gen.ordering import natural_key
from components.records import EVAL, TRAIN

SPLIT, ANY = "{SPLIT}", "*"

_TRAINS = ("training", "train")
_EVALUATES = ("validation", "valid", "val", "evaluation", "eval", "dev")
_TESTS = ("testing", "test")
_WORDS = "|".join((*_TRAINS, *_EVALUATES, *_TESTS))
# At a name's start or end; trainannot is one word to those who named it.
_NAMED = re.compile(rf"^({_WORDS})|(?<![a-z])({_WORDS})$", re.I)


class Found(NamedTuple):
    """A folder that a pattern names.

    Attributes:
      path: the folder.
      filled: what stands in the pattern's places, by placeholder.
    """

    path: Path
    filled: Mapping[str, str]

    @property
    def key(self) -> str:
        """What the keys of its files begin with."""
        return "".join(f"{word}/" for word in self.filled.values())


def sides(words: set[str]) -> dict[str, str]:
    """The side of each word that stands for {SPLIT}; a test set evaluates where nothing else does.

    >>> sorted(sides({"train", "val", "test"}).items())
    [('train', 'train'), ('val', 'eval')]
    """
    lower = {word: word.lower() for word in words}
    evaluating = {word for word in words if lower[word] in _EVALUATES}
    evaluating = evaluating or {word for word in words if lower[word] in _TESTS}
    training = {word for word in words if lower[word] in _TRAINS}
    return {**dict.fromkeys(training, TRAIN), **dict.fromkeys(evaluating, EVAL)}


def split_word(name: str) -> tuple[str, str] | None:
    """The word in a folder's name that says its side, and the name with {SPLIT} in its place.

    >>> split_word("trainannot")
    ('train', '{SPLIT}annot')
    """
    match = _NAMED.search(name)
    if match is None:
        return None
    return match[0], name[: match.start()] + SPLIT + name[match.end() :]


def fill(pattern: str, filled: Mapping[str, str]) -> str:
    """The pattern with words in its placeholders."""
    for placeholder, word in filled.items():
        pattern = pattern.replace(placeholder, word)
    return pattern


def placeholders(pattern: str) -> tuple[str, ...]:
    """Those of {SPLIT} and * that are in a pattern, in their order."""
    return tuple(re.findall(r"\{SPLIT\}|\*", pattern))


def expand(root: Path, pattern: str) -> list[Found]:
    """The folders that a pattern names, in natural order; without placeholders the one, if any."""
    found = [Found(root, {})]
    for part in Path(pattern).parts:
        found = [deeper for folder in found for deeper in _below(folder, part)]
    allowed = sides({one.filled[SPLIT] for one in found if SPLIT in one.filled})
    return [one for one in found if SPLIT not in one.filled or one.filled[SPLIT] in allowed]


def _below(folder: Found, part: str) -> list[Found]:
    """The subfolders of a folder that one part of a pattern names."""
    if SPLIT in folder.filled and SPLIT in part:
        part = part.replace(SPLIT, folder.filled[SPLIT])
    if not placeholders(part):
        path = folder.path / part
        return [Found(path, folder.filled)] if path.is_dir() else []
    shape = re.escape(part).replace(re.escape(ANY), f"(?P<{_ANY}>.+)")
    shape = shape.replace(re.escape(SPLIT), f"(?P<{_SPLIT}>{_WORDS})")
    deeper = []
    for path in sorted(folder.path.iterdir(), key=lambda path: natural_key(path.name)):
        match = re.fullmatch(shape, path.name, re.I)
        if match and path.name[0] != "." and path.is_dir():
            words = {
                {_SPLIT: SPLIT, _ANY: ANY}[name]: word for name, word in match.groupdict().items()
            }
            deeper.append(Found(path, {**folder.filled, **words}))
    return deeper


_SPLIT, _ANY = "split", "any"
