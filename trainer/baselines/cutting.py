"""Methods that cut a graph of pixels: the normalised cut and GrabCut."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import scipy.linalg
from scipy import ndimage

from trainer.baselines import codes

# About how many superpixels an image has: the cut's time grows with the cube of it.
_SUPERPIXELS = 400
# Shi, Malik 2000, section 3: split where the cut costs less than this, trying so many thresholds.
_MOST_COST, _THRESHOLDS = 0.2, 10
_FEWEST = 4
_GRABCUT_ITERATIONS = 3
# GrabCut's mixtures need pixels of both kinds to learn from.
_LEAST_SHARE = 0.002


def normalised_cut(image: np.ndarray) -> np.ndarray:
    """Mean and deviation of the segment that each pixel belongs to, float32 [H, W, 6]."""
    return codes.of_segments(image, cut(image))


def cut(image: np.ndarray) -> np.ndarray:
    """Parts of an image that are alike inside and unlike each other.

    Shi, Malik, Normalized Cuts and Image Segmentation, 2000 (https://doi.org/10.1109/34.868688),
    on superpixels in place of pixels: a graph whose edges join neighbours, the heavier the more
    alike their mean colours are, is cut in two by the second eigenvector of its normalised
    Laplacian, and each part again, while that costs less than 0.2.

    Args:
      image: uint8 [H, W, 3].

    Returns:
      int [H, W], counted from 0 without gaps.
    """
    small = superpixels(image)
    number = int(small.max()) + 1
    area = np.bincount(small.ravel(), minlength=number)
    colour = np.stack(
        [
            np.bincount(small.ravel(), image[..., channel].ravel(), minlength=number) / area
            for channel in range(3)
        ],
        axis=1,
    )
    pairs = np.concatenate(
        [
            np.stack([small[:, :-1].ravel(), small[:, 1:].ravel()], axis=1),
            np.stack([small[:-1].ravel(), small[1:].ravel()], axis=1),
        ]
    )
    pairs = np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1), axis=0)
    weights = np.eye(number)
    if len(pairs):
        distance = ((colour[pairs[:, 0]] - colour[pairs[:, 1]]) ** 2).sum(1)
        # What is unlike in this image, whatever its contrast.
        alike = np.exp(-distance / max(float(distance.mean()), 1e-9))
        weights[pairs[:, 0], pairs[:, 1]] = weights[pairs[:, 1], pairs[:, 0]] = alike

    segments = np.zeros(number, np.int64)
    waiting, done = [np.arange(number)], 0
    while waiting:
        nodes = waiting.pop()
        part = _bisect(weights[np.ix_(nodes, nodes)])
        if part is None:
            segments[nodes] = done
            done += 1
        else:
            waiting += [nodes[part], nodes[~part]]
    return segments[small]


def superpixels(image: np.ndarray) -> np.ndarray:
    """Small regions whose borders follow those of the image.

    A watershed of the slope, from a regular grid of markers (Machairas et al., Waterpixels, 2015,
    https://doi.org/10.1109/TIP.2015.2451011).

    Args:
      image: uint8 [H, W, 3].

    Returns:
      int [H, W], counted from 0 without gaps.
    """
    height, width = image.shape[:2]
    apart = max(4, round((height * width / _SUPERPIXELS) ** 0.5))
    markers = np.zeros((height, width), np.int32)
    rows, columns = (
        np.arange(min(apart // 2, extent - 1), extent, apart) for extent in (height, width)
    )
    grid = np.ix_(rows, columns)
    markers[grid] = np.arange(1, len(rows) * len(columns) + 1).reshape(len(rows), len(columns))
    smooth = cv2.GaussianBlur(np.ascontiguousarray(image), (3, 3), 0)
    found = cv2.watershed(smooth, markers)
    # Lines between basins, and OpenCV's frame around the image, belong to the nearest basin.
    nearest = ndimage.distance_transform_edt(
        found <= 0, return_distances=False, return_indices=True
    )
    _, counted = np.unique(found[tuple(nearest)], return_inverse=True)
    return counted.reshape(height, width)


def _bisect(weights: np.ndarray) -> np.ndarray | None:
    """Which nodes are in one of two parts, bool [N]; None where no cut is cheap enough."""
    number = len(weights)
    if number < 2 * _FEWEST:
        return None
    degree = weights.sum(1)
    scale = 1 / np.sqrt(degree)
    laplacian = np.eye(number) - scale[:, None] * weights * scale
    _, vectors = scipy.linalg.eigh(laplacian, subset_by_index=[0, 1])
    values = vectors[:, 1] * scale
    # An eigenvector has no sign of its own.
    values *= np.sign(values[np.abs(values).argmax()]) or 1
    best, found = _MOST_COST, None
    for threshold in np.linspace(values.min(), values.max(), _THRESHOLDS + 2)[1:-1]:
        part = values > threshold
        if min(part.sum(), number - part.sum()) < _FEWEST:
            continue
        between = weights[np.ix_(part, ~part)].sum()
        price = between / degree[part].sum() + between / degree[~part].sum()
        if price < best:
            best, found = price, part
    return found


def grabcut(
    image: np.ndarray, begin: np.ndarray, order: Sequence[int], seed: int = 0
) -> np.ndarray:
    """Draws the borders of a first segmentation anew, along the image's own.

    Rother, Kolmogorov, Blake, GrabCut, 2004 (https://doi.org/10.1145/1015706.1015720): two
    mixtures of colours and a graph cut between them, by turns. It knows foreground and background
    alone, so each class but the most frequent one is cut out of the rest in turn, the rarest last;
    what a class loses falls to the most frequent one.

    Args:
      image: uint8 [H, W, 3].
      begin: class ids, uint8 [H, W], which take the place of a user's rectangle.
      order: the classes, the most frequent first.
      seed: of the mixtures.

    Returns:
      uint8 [H, W].
    """
    if not order:
        return begin
    ids = begin.copy()
    for class_id in order[1:]:
        first = begin == class_id
        if not _LEAST_SHARE < first.mean() < 1 - _LEAST_SHARE:
            continue
        mask = np.where(first, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
        mixtures = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.setRNGSeed(seed)
        cv2.grabCut(image, mask, None, *mixtures, _GRABCUT_ITERATIONS, cv2.GC_INIT_WITH_MASK)  # type: ignore[call-overload]
        inside = (mask == cv2.GC_PR_FGD) | (mask == cv2.GC_FGD)
        ids[(ids == class_id) & ~inside] = order[0]
        ids[inside] = class_id
    return ids
