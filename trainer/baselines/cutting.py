"""Methods that cut a graph of pixels: the normalised cut and GrabCut."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from trainer.baselines import codes

# About how many superpixels an image has: the cut's time grows with the cube of it.
_SUPERPIXELS = 400
# Shi, Malik 2000, section 3: split where the cut costs less than this.
_MOST_COST = 0.2
_GRABCUT_ITERATIONS = 3
# GrabCut's mixtures need pixels of both kinds to learn from.
_LEAST_SHARE = 0.002


def normalised_cut(image: np.ndarray) -> np.ndarray:
    """Mean and deviation of the segment that each pixel belongs to, float32 [H, W, 6]."""
    return codes.of_segments(image, cut(image))


def cut(image: np.ndarray) -> np.ndarray:
    """Parts of an image that are alike inside and unlike each other.

    Shi, Malik, Normalized Cuts and Image Segmentation, 2000 (https://doi.org/10.1109/34.868688),
    on superpixels in place of pixels (SLIC, Achanta et al. 2012,
    https://doi.org/10.1109/TPAMI.2012.120): a graph whose edges join neighbours, the heavier the
    more alike their mean colours are, is cut in two by the second eigenvector of its normalised
    Laplacian, and each part again, while that costs less than 0.2.

    Args:
      image: uint8 [H, W, 3].

    Returns:
      int [H, W], counted from 0 without gaps.
    """
    # Late: they take as long to import as all else here.
    from skimage import graph, segmentation

    small = segmentation.slic(image, n_segments=_SUPERPIXELS, compactness=10, start_label=0)
    if not small.any():
        return small  # of one superpixel; its graph would be without a node
    neighbours = graph.rag_mean_color(image, small, mode="distance")
    edges = [edge for _, _, edge in neighbours.edges(data=True)]
    # What is unlike in this image, whatever its contrast.
    typical = max(float(np.mean([edge["weight"] ** 2 for edge in edges] or [0])), 1e-9)
    for edge in edges:
        edge["weight"] = float(np.exp(-(edge["weight"] ** 2) / typical))
    parts = graph.cut_normalized(small, neighbours, thresh=_MOST_COST, rng=0)
    _, counted = np.unique(parts, return_inverse=True)
    return counted.reshape(small.shape)


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
