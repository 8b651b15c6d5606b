"""Images that are on both sides of the split: the same pixels, and pictures that look alike.

Copies of a file are found before anything is decoded (`splitting.plan`). What only the pixels tell
is found here, from `images.parquet`, once the records are written.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from components.image_example_gen.measuring import GRID

FILE = "near_duplicates.jsonl"

COLUMNS = ("source", "split", "pixels", "difference_hash", "thumbnail")
"""Columns of `images.parquet` that are looked at."""

_BITS = 64
# Hashes of one picture that was scaled, brightened or compressed again differ in a few bits.
_MOST_BITS = 8
# Correlation of two thumbnails. Eyes, slides and parts before one camera are all much alike, so the
# thumbnails must agree in what sets them apart from the mean of all as well, or agree wholly.
_ALIKE, _SAME = 0.95, 0.999
# A mean of fewer images is too much like each of them.
_FEWEST_FOR_MEAN = 20
# Of the images whose hash is near, this many of the nearest hashes are looked at more closely.
_CANDIDATES = 16
# Pairs of hashes that are compared at once: some megabytes.
_PAIRS_AT_ONCE = 2**22


@dataclasses.dataclass(frozen=True)
class Near:
    """Two images that look alike.

    Attributes:
      eval: key of the one that evaluates.
      train: key of the one that trains, of all these the most similar.
      similarity: correlation of their thumbnails, at most 1.
    """

    eval: str
    train: str
    similarity: float


def same_pixels(train: pa.Table, evaluating: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Images that train and have the pixels of one that evaluates.

    Args:
      train: their sources and pixel digests.
      evaluating: (pixel digest, name) of each image that evaluates.

    Returns:
      The name of the image that evaluates, by the source of the one that trains.
    """
    names = dict(evaluating)
    sources, digests = train["source"].to_pylist(), train["pixels"].to_pylist()
    return {source: names[digest] for source, digest in zip(sources, digests) if digest in names}


def near(train: pa.Table, evaluating: pa.Table) -> list[Near]:
    """For each image that evaluates the one that trains and looks most like it, if one does.

    Hashes are compared first, and thumbnails where these are near. Images that show nothing are
    left out.

    Args:
      train: `COLUMNS` of the images that train.
      evaluating: of those that evaluate.

    Returns:
      The most similar pairs first.
    """
    trains, evaluates = sides = [_Side.of(table) for table in (train, evaluating)]
    if not all(len(side.sources) for side in sides):
        return []
    images = sum(len(side.sources) for side in sides)
    mean = sum(side.thumbnails.sum(axis=0, dtype=np.float64) for side in sides) / images
    if images < _FEWEST_FOR_MEAN:
        mean = np.zeros_like(mean)
    found: dict[int, tuple[float, int]] = {}
    for place, candidates in _candidates(trains.hashes, evaluates.hashes):
        one = evaluates.thumbnails[place].astype(np.float64)
        others = trains.thumbnails[candidates].astype(np.float64)
        whole, rest = _correlation(others, one), _correlation(others - mean, one - mean)
        alike = (whole >= _SAME) | ((whole >= _ALIKE) & (rest >= _ALIKE))
        if alike.any():
            best = int(np.argmax(np.where(alike, whole, -1)))
            found[place] = float(whole[best]), int(candidates[best])
    pairs = [
        Near(evaluates.sources[place], trains.sources[other], round(similarity, 4))
        for place, (similarity, other) in found.items()
    ]
    return sorted(pairs, key=lambda pair: (-pair.similarity, pair.eval))


class _Side:
    """What the images of one split look like; those that show nothing are left out."""

    def __init__(self, sources: list[str], hashes: np.ndarray, thumbnails: np.ndarray) -> None:
        self.sources, self.hashes, self.thumbnails = sources, hashes, thumbnails

    @classmethod
    def of(cls, table: pa.Table) -> _Side:
        cells = GRID[0] * GRID[1]
        stored = b"".join(table["thumbnail"].to_pylist())
        thumbnails = np.frombuffer(stored, np.int8).reshape(-1, cells)
        shows = thumbnails.any(axis=1)
        hashes = table["difference_hash"].to_numpy().astype(np.int64).view(np.uint64)
        sources = [one for one, kept in zip(table["source"].to_pylist(), shows) if kept]
        return cls(sources, hashes[shows], thumbnails[shows])


def _candidates(train: np.ndarray, evaluating: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Which train images each eval image must be compared with.

    Args:
      train: uint64 hashes.
      evaluating: uint64 hashes.

    Yields:
      The place of an eval image, and the places of train images.
    """
    # Equal hashes are one: else a film whose frames are all alike would be compared pair by pair.
    hashes, where = np.unique(train, return_inverse=True)
    order = np.argsort(where, kind="stable")
    members_of = np.split(order, np.cumsum(np.bincount(where))[:-1])
    asked, asker = np.unique(evaluating, return_inverse=True)
    nearest = _nearest(hashes, asked)
    for place, question in enumerate(asker.tolist()):
        chosen = nearest.get(question)
        if chosen is not None:
            members = [members_of[one][:_CANDIDATES] for one in chosen]
            yield place, np.concatenate(members)


def _nearest(hashes: np.ndarray, asked: np.ndarray) -> dict[int, np.ndarray]:
    """Places of the nearest hashes of each, where any is near enough; all uint64, each once."""
    # With bits as -1 and 1 the product of two hashes is 64 - 2 x the bits that differ, and matrices
    # of them are multiplied at a nanosecond or so a pair. An index over bands of bits is slower
    # where hashes are crowded, as those of one camera are, and no faster elsewhere.
    signs = _signs(hashes).T
    found: dict[int, np.ndarray] = {}
    at_once = max(1, _PAIRS_AT_ONCE // max(len(hashes), 1))
    for first in range(0, len(asked), at_once):
        agreement = _signs(asked[first : first + at_once]) @ signs
        rows, places = np.nonzero(agreement >= _BITS - 2 * _MOST_BITS)
        ends = np.flatnonzero(np.diff(rows)) + 1
        for row, near in zip(rows[np.append(0, ends)] if len(rows) else (), np.split(places, ends)):
            order = np.argsort(-agreement[row, near], kind="stable")
            found[first + int(row)] = near[order[:_CANDIDATES]]
    return found


def _signs(hashes: np.ndarray) -> np.ndarray:
    """uint64 [N] -> float32 [N, 64], -1 for 0 and 1 for 1."""
    bits = np.unpackbits(hashes.view(np.uint8).reshape(-1, 8), axis=1)
    return bits.astype(np.float32) * 2 - 1


def _correlation(many: np.ndarray, one: np.ndarray) -> np.ndarray:
    """Pearson's, of each row with `one`; 0 where either has no contrast."""
    many = many - many.mean(axis=1, keepdims=True)
    one = one - one.mean()
    size = np.linalg.norm(many, axis=1) * np.linalg.norm(one)
    return np.divide(many @ one, size, out=np.zeros(len(many)), where=size > 0)


def write(file: Path, pairs: Sequence[Near]) -> None:
    """Writes one JSON object a line."""
    lines = [json.dumps(dataclasses.asdict(pair), ensure_ascii=False) for pair in pairs]
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def read(file: Path) -> list[Near]:
    """What `write` wrote; nothing where an older version wrote none."""
    if not file.is_file():
        return []
    lines = file.read_text(encoding="utf-8").splitlines()
    return [Near(**json.loads(line)) for line in lines]
