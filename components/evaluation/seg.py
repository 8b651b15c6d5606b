"""SEG, the segmentation measure of the Cell Tracking Challenge: how well objects are told apart.

Maška et al. 2014, A benchmark for comparison of cell tracking algorithms
(https://doi.org/10.1093/bioinformatics/btu080), section 3.3: a labelled object R is found by the
predicted object S that covers more than half of it; its value is |R and S| / |R or S|, and 0 where
none does. SEG is the mean over all labelled objects. Where a model runs objects together they
share one S, which is too large for each of them; the IoU of a class hardly minds that.
"""

from __future__ import annotations

import numpy as np


def values(labelled: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """The value of each labelled object of an image.

    Args:
      labelled: integers [H, W], which object a pixel belongs to, 0 to none.
      predicted: likewise; the numbers need not agree.

    Returns:
      float64 [objects], in the order of their numbers, each in [0, 1].
    """
    numbers, sizes = np.unique(labelled[labelled > 0], return_counts=True)
    others, other_sizes = np.unique(predicted[predicted > 0], return_counts=True)
    found = np.zeros(len(numbers))
    both = (labelled > 0) & (predicted > 0)
    pairs, shared = np.unique(
        np.stack([labelled[both], predicted[both]], axis=1), axis=0, return_counts=True
    )
    for (number, other), pixels in zip(pairs, shared):
        place = np.searchsorted(numbers, number)
        if 2 * pixels > sizes[place]:
            union = sizes[place] + other_sizes[np.searchsorted(others, other)] - pixels
            found[place] = pixels / union
    return found
