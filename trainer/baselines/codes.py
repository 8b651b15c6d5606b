"""Numbers that describe pixels, and a book of centres by which they are coded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from components.records import IGNORE

# Pixels of the train images that centres are learnt from.
_SAMPLED = 40_000
_ATTEMPTS, _ITERATIONS = 3, 50
# What is around a pixel: deviation of the Gaussian, in pixels.
_AROUND = 2.0


class Book(NamedTuple):
    """What codes pixels.

    Attributes:
      mean, deviation: of each number, float32 [F]; centres are in units of the deviation.
      centres: float32 [P, F].
    """

    mean: np.ndarray
    deviation: np.ndarray
    centres: np.ndarray


def size(classes: int) -> int:
    """How many codes there are: several a class, since few classes are of one colour."""
    return min(4 * classes, 48)


def pixels(image: np.ndarray) -> np.ndarray:
    """A pixel's own colour, and that around it.

    Args:
      image: uint8 [H, W, 3].

    Returns:
      float32 [H, W, 6].
    """
    own = image.astype(np.float32)
    return np.concatenate([own, cv2.GaussianBlur(own, (0, 0), _AROUND)], axis=2)


def of_segments(image: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """Mean and deviation of the colour of the segment that each pixel belongs to.

    Args:
      image: uint8 [H, W, 3].
      segments: int [H, W], counted from 0 without gaps.

    Returns:
      float32 [H, W, 6].
    """
    flat = segments.ravel()
    area = np.bincount(flat)
    columns = []
    for channel in range(image.shape[2]):
        values = image[..., channel].ravel().astype(np.float64)
        mean = np.bincount(flat, values) / area
        square = np.bincount(flat, values**2) / area
        columns += [mean, np.sqrt(np.maximum(square - mean**2, 0))]
    return np.stack(columns, axis=1).astype(np.float32)[segments]


def learn(
    described: Sequence[np.ndarray], labels: Sequence[np.ndarray], number: int, seed: int
) -> Book:
    """Finds centres by k-means (Lloyd 1982, with the seeding of Arthur, Vassilvitskii 2007).

    Args:
      described: of each image, float32 [H, W, F].
      labels: of each image, uint8 [H, W]; pixels to be ignored are left out.
      number: of centres, at most.
      seed: of which pixels are looked at, and where centres begin.

    Raises:
      ValueError: no pixel is labelled.
    """
    values = np.concatenate([one[label != IGNORE] for one, label in zip(described, labels)])
    if not len(values):
        raise ValueError("no pixel of the train images is labelled")
    chosen = np.random.default_rng(seed).permutation(len(values))[:_SAMPLED]
    values = values[np.sort(chosen)]
    mean, deviation = values.mean(0), np.maximum(values.std(0), 1e-3)
    scaled = ((values - mean) / deviation).astype(np.float32)
    different = len(np.unique(scaled, axis=0))
    cv2.setRNGSeed(seed)
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, _ITERATIONS, 1e-4)
    _, _, centres = cv2.kmeans(
        scaled,
        min(number, different),
        None,
        criteria,
        _ATTEMPTS,
        cv2.KMEANS_PP_CENTERS,  # type: ignore[call-overload]
    )
    return Book(mean, deviation, centres)


def nearest(described: np.ndarray, book: Book) -> np.ndarray:
    """The nearest centre of each pixel, int [H, W].

    Args:
      described: float32 [H, W, F].
      book: of `learn`.
    """
    scaled = (described - book.mean) / book.deviation
    # |x - c|^2 without |x|^2, which is the same for every centre.
    distance = (book.centres**2).sum(1) - 2 * scaled @ book.centres.T
    return distance.argmin(-1)
