"""How two sets of images differ, and whether more than by chance.

TFDV's comparators measure a distance alone. Of a few images any two halves are far apart by it, and
of many a limit that lets these pass sees nothing; so each distance is also held against those of
random splits of the same images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

SPLITS = 1000
"""Random splits that a difference must exceed, every one of them."""

_AT_ONCE = 50
# Below this share a class is as good as absent: ratios of odds stay finite.
_LEAST_SHARE = 1e-5

Statistic = Callable[[np.ndarray, np.ndarray], np.ndarray]


def odds_ratio(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How many times as likely each class is in either set, at least 1.

    >>> odds_ratio(np.array([0.5, 0.5]), np.array([0.8, 0.2])).round(6).tolist()
    [4.0, 4.0]

    Args:
      one: [..., K] shares of the classes.
      other: likewise.
    """
    logs = [
        np.log(np.clip(shares, _LEAST_SHARE, 1 - _LEAST_SHARE))
        - np.log(np.clip(1 - shares, _LEAST_SHARE, 1 - _LEAST_SHARE))
        for shares in (one, other)
    ]
    return np.exp(np.abs(logs[0] - logs[1]))


def divergence(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Jensen-Shannon divergence in bits, as TFDV has it: 0 for the same, 1 for nothing in common.

    >>> divergence(np.array([1.0, 0.0]), np.array([0.0, 1.0])).item()
    1.0

    Args:
      one: [..., C, B], C distributions.
      other: likewise.

    Returns:
      [..., C].
    """
    middle = (one + other) / 2

    def entropy(shares: np.ndarray) -> np.ndarray:
        logs = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
        return -(shares * logs).sum(axis=-1)

    return np.maximum(entropy(middle) - (entropy(one) + entropy(other)) / 2, 0)


def size_ratio(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How many times as large, at least 1.

    Args:
      one: [..., 1] mean logarithms of the sizes.
      other: likewise.
    """
    return np.exp(np.abs(one - other))


def difference(
    one: np.ndarray,
    other: np.ndarray,
    groups: tuple[Sequence[str], Sequence[str]],
    statistic: Statistic,
) -> tuple[np.ndarray, np.ndarray]:
    """A statistic of the means of two sets, and the most that chance made of it.

    Args:
      one: [N, ...], a row an image; each image counts alike.
      other: [M, ...].
      groups: of each image; images of one group stay together in a random split.
      statistic: of two means.

    Returns:
      The statistic, and the largest that each of its values had in `SPLITS` random splits. Of few
      images these hold the very split in question, and no difference is larger.
    """
    found = statistic(one.mean(axis=0), other.mean(axis=0))
    # A group is one draw: its images are alike, and would make chance look smaller than it is.
    names = np.array([*groups[0], *groups[1]], dtype=str)
    _, member = np.unique(names, return_inverse=True)
    images = np.bincount(member)
    if len(images) < 2:
        return found, np.full(found.shape, np.inf)
    shape = one.shape[1:]
    rows = np.concatenate([one, other]).reshape(len(names), -1)
    sums = np.zeros((len(images), rows.shape[1]))
    np.add.at(sums, member, rows)

    generator = np.random.default_rng(0)
    greatest = np.full(found.shape, -np.inf)
    for _ in range(SPLITS // _AT_ONCE):
        # Whole groups, in a random order, until there are as many images as in `one`.
        drawn = generator.permuted(np.tile(np.arange(len(images)), (_AT_ONCE, 1)), axis=1)
        before = np.cumsum(images[drawn], axis=1) - images[drawn]
        chosen = before < len(one)
        chosen[:, -1] = False  # neither side may be empty
        first = np.zeros((_AT_ONCE, len(images)))
        np.put_along_axis(first, drawn, chosen.astype(np.float64), axis=1)
        count, total = (first @ images)[:, None], first @ sums
        rest = (sums.sum(axis=0) - total) / (images.sum() - count)
        values = statistic(
            (total / count).reshape(_AT_ONCE, *shape), rest.reshape(_AT_ONCE, *shape)
        )
        greatest = np.maximum(greatest, values.max(axis=0))
    return found, greatest
