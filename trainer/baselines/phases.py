"""Two phases, darker and brighter: Otsu's threshold and a level set."""

from __future__ import annotations

import cv2
import numpy as np

# Márquez-Neila et al. use some hundred iterations on whole photographs; it has settled by now.
_ITERATIONS = 35


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
    from skimage import segmentation

    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64) / 255
    if grey.min() == grey.max():
        return np.zeros(grey.shape, np.int64)  # an image of one colour has no two phases
    inside = segmentation.morphological_chan_vese(grey, iterations).astype(np.int64)
    if 0 < inside.sum() < inside.size and grey[inside == 1].mean() < grey[inside == 0].mean():
        inside = 1 - inside
    return inside
