"""What a mask looks like, from which its coding is guessed."""

from __future__ import annotations

import numpy as np

from components.image_example_gen.masks import packed
from components.image_example_gen.sources.contract import Labels


def edges(labels: Labels) -> Labels:
    """The outermost rows and columns of labels, in one row."""

    def outermost(pixels: np.ndarray) -> np.ndarray:
        sides = (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])
        return np.concatenate(sides)[np.newaxis]

    region = None if labels.region is None else outermost(labels.region)
    return Labels(outermost(labels.values), labels.names, region=region)


def numbered(labels: Labels) -> bool | None:
    """Whether each number, or colour, of a mask is one connected piece, as an object is.

    Returns:
      None where there are too few of them to tell, or where they have names.
    """
    if labels.names or labels.instances is not None:
        return None
    values = packed(labels.values) if labels.values.ndim == 3 else labels.values
    if values.dtype in (np.uint8, np.uint16):  # sorting all pixels takes a hundred times longer
        counted = np.bincount(values.ravel()) > 0
        present = np.flatnonzero(counted)
        compact = (np.cumsum(counted) - counted[0])[values]
    else:
        present, places = np.unique(values, return_inverse=True)
        compact = places.reshape(values.shape) + int(present[0] != 0)
    numbers = len(present) - int(present[0] == 0)
    if numbers < _FEW_NUMBERS:
        return None
    from scipy import ndimage

    found, allowed = 0, int(_PIECES * numbers)
    for number, window in enumerate(ndimage.find_objects(compact), start=1):
        found += ndimage.label(compact[window] == number, np.ones((3, 3)))[1] - 1
        if found + numbers > allowed:
            return False
    return True


# A class may by chance be in one piece; several are not.
_FEW_NUMBERS = 4
# An object may be in two pieces, where another one lies across it.
_PIECES = 1.1


def largest(labels: Labels) -> tuple[float, float] | None:
    """How much of the dark half of a mask of numbers is its largest piece, and of the bright half.

    Objects are several pieces and their background is one. Dark pieces touch by corners too, so
    that a line that parts bright ones is one piece.

    Returns:
      None where the mask is not of numbers, or lacks one of both.
    """
    values = labels.values
    if labels.names or values.ndim == 3 or labels.instances is not None:
        return None
    bright = values.astype(np.int64) * 2 > int(values.max())
    if bright.all() or not bright.any():
        return None
    import cv2

    shares = []
    for half, neighbours in ((~bright, 8), (bright, 4)):
        areas = cv2.connectedComponentsWithStats(half.astype(np.uint8), connectivity=neighbours)[2]
        pixels = areas[1:, cv2.CC_STAT_AREA]
        shares.append(float(pixels.max() / pixels.sum()))
    return shares[0], shares[1]
