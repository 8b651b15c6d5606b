"""Guesses which folder holds the images and which the masks, from names alone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import permutations, takewhile
from pathlib import Path

_MASK_WORDS = re.compile(
    r"mask|label|annot|segm|ground.?truth|(^|[_\W])(gt|seg|manual|target|truth)s?($|[_\W\d])", re.I
)


def sounds_like_masks(name: str) -> bool:
    """Whether a folder or file of this name would hold masks."""
    return bool(_MASK_WORDS.search(name))


def shared_prefix(one: str, other: str) -> int:
    """How many letters two names begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other)))


def best_pair(root: Path, files: Iterable[Path]) -> dict[str, str] | None:
    """The two folders in which most files pair by name.

    Args:
      root: the data set's folder.
      files: the images and masks below it.

    Returns:
      images, masks (folders relative to `root`) and mask_suffix, or None when no two folders pair.
    """
    tops: dict[Path, set[str]] = {}
    for file in files:
        # A file counts for every folder above it, so that nested folders pair as a whole.
        for top in file.parents:
            if top == root:
                break
            if len(top.relative_to(root).parts) <= _DEEPEST:
                tops.setdefault(top, set()).add(file.relative_to(top).with_suffix("").as_posix())
    most = sorted(tops, key=lambda top: (-len(tops[top]), top))[:_MOST_FOLDERS]
    best: tuple[tuple[int, int, int, int], dict[str, str]] | None = None
    for images, masks in permutations(most, 2):
        if images in masks.parents or masks in images.parents:
            continue
        image_name, mask_name = (top.relative_to(root).as_posix() for top in (images, masks))
        if not sounds_like_masks(mask_name) or sounds_like_masks(image_name):
            continue
        suffix, pairs = _suffix(tops[images], tops[masks])
        rank = (pairs, shared_prefix(image_name, mask_name), -len(mask_name), -len(image_name))
        if pairs and (best is None or rank > best[0]):
            best = rank, {"images": image_name, "masks": mask_name, "mask_suffix": suffix}
    return best[1] if best else None


_DEEPEST = 3
# Every two folders are compared; a data set of hundreds has a layout of its own anyhow.
_MOST_FOLDERS = 32


def _suffix(images: set[str], masks: set[str]) -> tuple[str, int]:
    """What most masks' names add to their images', and how many pairs that makes."""
    same = len(images & masks)
    if same:
        return "", same
    votes: dict[str, int] = {}
    for mask in masks:
        # The longest image name that the mask's goes on from.
        for end in range(len(mask) - 1, 0, -1):
            if mask[:end] in images:
                votes[mask[end:]] = votes.get(mask[end:], 0) + 1
                break
    if not votes:
        return "", 0
    suffix = max(votes, key=lambda suffix: (votes[suffix], suffix))
    return suffix, votes[suffix]
