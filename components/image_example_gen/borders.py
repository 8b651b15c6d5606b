"""U-Net's weight map, which makes a network mind the ground between objects that nearly touch.

Ronneberger, Fischer, Brox: U-Net (https://arxiv.org/abs/1505.04597), equation 2:

    w(x) = w_c(x) + w0 exp(-(d1(x) + d2(x))^2 / (2 sigma^2))

d1 is the distance to the border of the nearest object, d2 to that of the second nearest. The
class's weight w_c is the loss's own business (train.class_weights), which multiplies; here it is 1.
"""

from __future__ import annotations

import math

import numpy as np

from components.image_example_gen.config import DataConfig
from components.image_example_gen.ingest_config import BorderWeightsConfig
from components.records import IGNORE

# Half the step from 1 to the next float16: what is less is not seen beside 1.
_LEAST = 2.0**-11


def reach(config: BorderWeightsConfig) -> int:
    """Pixels past which a border adds nothing that a float16 beside 1 could hold.

    >>> reach(BorderWeightsConfig(w0=10, sigma=5))  # 10 exp(-23^2 / 50) = 0.00025
    23
    """
    return math.ceil(config.sigma * math.sqrt(max(0.0, 2 * math.log(config.w0 / _LEAST))))


def border_weights(instances: np.ndarray, config: BorderWeightsConfig) -> np.ndarray:
    """How much each pixel counts: 1, and more where two objects are near.

    An object's border is those of its pixels that have another neighbour above, below or beside
    them; where the image ends is no border. Distances are exact (Euclidean), and found block by
    block: each object's in its bounding box and `reach` around it, beyond which they add nothing.
    So hundreds of objects cost little more than one, and one that winds through the image only what
    it takes of each block.

    Args:
      instances: integers [H, W], which object a pixel belongs to, 0 to none.
      config: w0, and sigma in pixels.

    Returns:
      float16 [H, W]; of a window of an image right where `reach` + 1 pixels around are in it too.
    """
    around = reach(config)
    side = max(_BLOCK, 2 * around)
    height, width = instances.shape
    border = _borders(instances)
    weights = np.ones(instances.shape, np.float16)
    for y in range(0, height, side):
        for x in range(0, width, side):
            top, left = max(0, y - around), max(0, x - around)
            block = slice(top, y + side + around), slice(left, x + side + around)
            added = config.w0 * np.exp(
                -(_distances(instances[block], border[block], around) ** 2)
                / np.float32(2 * config.sigma**2)
            )
            core = weights[y : y + side, x : x + side]
            core += added[y - top :, x - left :][: core.shape[0], : core.shape[1]]
    return weights


_BLOCK = 256


def _distances(instances: np.ndarray, border: np.ndarray, around: int) -> np.ndarray:
    """Sum of the distances to the nearest and the second nearest object's border, float32 [H, W].

    Infinite where there are not two within `around` pixels or so.
    """
    from scipy import ndimage

    nearest = np.full(instances.shape, np.inf, np.float32)
    second = nearest.copy()
    # Numbers that follow one another, as `find_objects` wants them.
    numbers = np.zeros(instances.shape, np.int32)
    numbers[border] = 1 + np.searchsorted(np.unique(instances[border]), instances[border])
    for number, box in enumerate(ndimage.find_objects(numbers), start=1):
        window = tuple(slice(max(0, at.start - around), at.stop + around) for at in box)
        distance = ndimage.distance_transform_edt(numbers[window] != number).astype(np.float32)
        np.minimum(second[window], np.maximum(nearest[window], distance), out=second[window])
        np.minimum(nearest[window], distance, out=nearest[window])
    return nearest + second


def components(mask: np.ndarray, background: int) -> np.ndarray:
    """Objects where labels do not tell them apart: what hangs together of one class.

    Pixels hang together by their sides, not by their corners: what divides objects may be one
    pixel wide and run aslant.

    Args:
      mask: uint8 [H, W] of class ids; what is IGNORE belongs to no object.
      background: the class of what is none.

    Returns:
      int32 [H, W], from 1; 0 where there is none.
    """
    from scipy import ndimage

    objects = np.zeros(mask.shape, np.int32)
    found = 0
    for class_id in np.unique(mask):
        if class_id not in (background, IGNORE):
            pieces, count = ndimage.label(mask == class_id)
            np.add(pieces, found, out=objects, where=pieces > 0)
            found += count
    return objects


def background_class(data: DataConfig, name: str | None) -> int:
    """The id of the class `name`; without one, of the class named background, or of the first."""
    names = list(data.classes)
    if name is None:
        name = "background" if "background" in names else names[0]
    return names.index(name)


def _borders(instances: np.ndarray) -> np.ndarray:
    """Where objects end, bool [H, W]: their pixels beside another object or none."""
    border = np.zeros(instances.shape, bool)
    down = instances[1:] != instances[:-1]
    across = instances[:, 1:] != instances[:, :-1]
    border[1:] |= down
    border[:-1] |= down
    border[:, 1:] |= across
    border[:, :-1] |= across
    return border & (instances != 0)
