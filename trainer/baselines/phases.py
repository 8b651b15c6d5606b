"""Two phases, darker and brighter: Otsu's threshold and a level set."""

from __future__ import annotations

import itertools

import cv2
import numpy as np

# Márquez-Neila et al. use some hundred iterations on whole photographs; it has settled by now.
_ITERATIONS = 35
_SQUARE = 5

# The lines of a 3 x 3 neighbourhood: across, down, and the two diagonals.
_LINES = [
    np.array(line, np.uint8)
    for line in (
        [[0, 0, 0], [1, 1, 1], [0, 0, 0]],
        [[0, 1, 0], [0, 1, 0], [0, 1, 0]],
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[0, 0, 1], [0, 1, 0], [1, 0, 0]],
    )
]


def otsu(image: np.ndarray) -> np.ndarray:
    """The threshold that leaves the least variance within the two phases.

    Otsu, A Threshold Selection Method from Gray-Level Histograms, 1979
    (https://doi.org/10.1109/TSMC.1979.4310076), of each image by itself.

    Args:
      image: uint8 [H, W, 3].

    Returns:
      int [H, W]: 0 up to the threshold, 1 above it.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    _, above = cv2.threshold(grey, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return above.astype(np.int64)


def chan_vese(image: np.ndarray, iterations: int = _ITERATIONS) -> np.ndarray:
    """Two regions that are each as even as can be, with a smooth border between them.

    Chan, Vese 2001 (https://doi.org/10.1109/83.902291); each step moves the border by
    morphology in place of a differential equation, as Márquez-Neila, Baumela, Alvarez 2014
    (https://doi.org/10.1109/TPAMI.2013.106) do, with both weights 1 and one smoothing a step. It
    begins with a chequerboard, so that it depends on nobody's hand.

    Args:
      image: uint8 [H, W, 3].
      iterations: how many steps.

    Returns:
      int [H, W]: 0 for the darker phase, 1 for the brighter one.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64) / 255
    rows, columns = np.indices(grey.shape) // _SQUARE
    inside = ((rows + columns) % 2 == 0).astype(np.uint8)
    orders = itertools.cycle([(_widest, _narrowest), (_narrowest, _widest)])
    for _ in range(iterations):
        if inside.all() or not inside.any():
            break  # an image of one colour has no two phases
        within, without = grey[inside == 1].mean(), grey[inside == 0].mean()
        slope = np.gradient(inside.astype(np.float64))
        # At the border a pixel goes to the phase whose mean it is closer to.
        pull = (np.abs(slope[0]) + np.abs(slope[1])) * (
            (grey - within) ** 2 - (grey - without) ** 2
        )
        inside[pull < 0] = 1
        inside[pull > 0] = 0
        for smooth in next(orders):
            inside = smooth(inside)
    if not inside.all() and inside.any() and grey[inside == 1].mean() < grey[inside == 0].mean():
        inside = 1 - inside
    return inside.astype(np.int64)


def _widest(mask: np.ndarray) -> np.ndarray:
    """What holds a line of the mask: takes spikes away."""
    eroded = [
        cv2.erode(mask, line, borderType=cv2.BORDER_CONSTANT, borderValue=0) for line in _LINES
    ]
    return np.max(eroded, axis=0)


def _narrowest(mask: np.ndarray) -> np.ndarray:
    """What every line meets: closes notches."""
    dilated = [
        cv2.dilate(mask, line, borderType=cv2.BORDER_CONSTANT, borderValue=0) for line in _LINES
    ]
    return np.min(dilated, axis=0)
