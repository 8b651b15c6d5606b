"""How well labels agree with a model's masks: beyond chance, and better than others' labels do."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from components.evaluation.confusion import confusion
from components.records import IGNORE

# Others' labels that each mask is compared with: enough to rank its own among them.
_OTHERS = 16
# Of three images in the right order one may well lose by chance.
_LEAST_IMAGES = 4
# How often the own label wins where labels were mixed up.
_CHANCE = 0.5
# A model that wins no oftener than this where labels are right cannot tell that others are wrong.
_BLIND = 0.6


def kappa(matrix: np.ndarray) -> float:
    """Cohen's kappa: 1 where all pixels agree, 0 where no more than chance lets agree.

    Mean IoU does not do here: where nearly all pixels are background, empty masks reach half of a
    good model's. Kappa takes off what the classes' shares alone explain (Cohen 1960,
    https://doi.org/10.1177/001316446002000104, equation 1).

    Args:
      matrix: what `evaluation.confusion` counts, or a sum of them.

    Returns:
      NaN where nothing is labelled, or labels and predictions are all of one class.
    """
    total = matrix.sum()
    if not total:
        return math.nan
    observed = np.trace(matrix) / total
    chance = (matrix.sum(axis=1) / total) @ (matrix.sum(axis=0) / total)
    return float((observed - chance) / (1 - chance)) if chance < 1 else math.nan


def accuracy(matrix: np.ndarray) -> float:
    """Share of the labelled pixels that agree; NaN where there are none."""
    total = matrix.sum()
    return float(np.trace(matrix) / total) if total else math.nan


class Tile(NamedTuple):
    """A record as the model and its label see it.

    Attributes:
      image: name of the image that it is from.
      label: uint8 [h, w] class ids, IGNORE where none counts.
      mask: uint8 [h, w], what the model makes of it.
    """

    image: str
    label: np.ndarray
    mask: np.ndarray


def own_label_wins(tiles: Sequence[Tile], classes: int) -> float:
    """How often a mask agrees better with its own label than with another image's.

    Where labels were mixed up, the own label is as good as any, and this is 0.5; where they were
    not, it is near 1. That holds for a film as well, whose frames are so alike that mixed-up labels
    still agree well; and for images of a new kind, on which a model is bad but not blind.

    Args:
      tiles: of one span; those of one size are compared with each other.
      classes: number of classes.

    Returns:
      A share; a tie counts half. NaN where there are too few images, or too few differences, to
      tell luck from mistake.
    """
    if len({tile.image for tile in tiles}) < _LEAST_IMAGES:
        return math.nan
    by_size: dict[tuple[int, ...], list[Tile]] = {}
    for tile in tiles:
        by_size.setdefault(tile.label.shape, []).append(tile)
    wins: list[float] = []
    for alike in by_size.values():
        for place, tile in enumerate(alike):
            own = kappa(confusion(tile.label, tile.mask, classes))
            for label in _others(alike, place):
                # Where only one of the two is labelled, neither counts.
                label = np.where(tile.label == IGNORE, IGNORE, label)
                other = kappa(confusion(label, tile.mask, classes))
                if not (math.isnan(own) or math.isnan(other)):
                    wins.append(0.5 + 0.5 * np.sign(own - other))
    return float(np.mean(wins)) if wins else math.nan


def _others(tiles: Sequence[Tile], place: int) -> Iterator[np.ndarray]:
    """Labels of other images' tiles, evenly from all, but for those that are the tile's own too."""
    tile, others = tiles[place], len(tiles) - 1
    for chosen in range(min(_OTHERS, others)):
        away = 1 + chosen * others // min(_OTHERS, others)
        other = tiles[(place + away) % len(tiles)]
        if other.image != tile.image and not np.array_equal(other.label, tile.label):
            yield other.label


class Answers(NamedTuple):
    """What a model makes of labelled images.

    Attributes:
      tiles: of all of them.
      total: confusion matrix [K, K] of their pixels; rows are labels, columns predictions.
    """

    tiles: Sequence[Tile]
    total: np.ndarray


class Judgement(NamedTuple):
    """Of one span.

    Attributes:
      accepted: whether its labels may train.
      match: `own_label_wins`; NaN where undefined.
      least_match: what it must reach; NaN where the model cannot judge it.
      agreement: `kappa`; NaN where undefined.
      least_agreement: what it must reach; NaN where undefined.
    """

    accepted: bool
    match: float
    least_match: float
    agreement: float
    least_agreement: float


def judge(span: Answers, evaluation: Answers, min_agreement: float) -> Judgement:
    """Whether a span's labels make sense to a model.

    Args:
      span: the model's answers to it.
      evaluation: its answers to the evaluation set, whose labels are right.
      min_agreement: how far of the way from chance to what the model reaches on the evaluation set
        it must come on the span. Where nearly all of a span is background kappa has nothing to go
        by: one whose pixels agree as often as the evaluation set's is accepted all the same.
    """
    usual = own_label_wins(evaluation.tiles, len(evaluation.total))
    # Of few images it cannot be told: then as if the model made no mistake.
    usual = 1.0 if math.isnan(usual) else usual
    least_match = _CHANCE + min_agreement * (usual - _CHANCE) if usual > _BLIND else math.nan
    match = own_label_wins(span.tiles, len(span.total))
    found, least = kappa(span.total), min_agreement * kappa(evaluation.total)
    # A comparison with NaN is false: what cannot be told is no reason to refuse.
    mixed_up = match < least_match
    collapsed = found < least and accuracy(span.total) < accuracy(evaluation.total)
    return Judgement(not (mixed_up or collapsed), match, least_match, found, least)
