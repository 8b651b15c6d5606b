"""Changes of where pixels are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf

from components.records import IGNORE
from trainer.config import AugmentConfig

Window = tuple[tf.Tensor, tf.Tensor]
"""Where a part of a tile begins, and how large it is: int32 [2] each, (y, x)."""

# Hardly a normal shift is further than so many standard deviations.
_USUAL = 3


def is_affine(config: AugmentConfig) -> bool:
    """Whether tiles are turned by any angle, scaled or sheared."""
    return bool(config.rotation or config.scale or config.shear)


def reach(config: AugmentConfig, side: int) -> int:
    """How far beyond a square of `side` pixels lies what is turned, scaled or sheared into it."""
    if not is_affine(config):
        return 0
    turned = math.radians(min(config.rotation, 45))
    most = (math.cos(turned) + math.sin(turned)) * (1 + math.tan(math.radians(config.shear)))
    shifts = _USUAL * config.elastic_sigma if config.elastic else 0
    return math.ceil(side / 2 * (most * (1 + config.scale) - 1) + shifts)


def warp(
    image: tf.Tensor,
    mask: tf.Tensor,
    config: AugmentConfig,
    elastic_seed: tf.Tensor,
    affine_seed: tf.Tensor,
    window: Window | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Elastic deformation, shear, rotation and scale in one step, so as to interpolate once.

    Elastic deformation is that of Ronneberger, Fischer, Brox 2015, section 3.1: random shifts on a
    coarse 3 x 3 grid, bicubic in between. Images are interpolated bilinearly, masks take the
    nearest pixel. What comes from outside the tile is IGNORE in the mask: nobody labelled it. The
    image goes on mirrored there, as everywhere; with elastic deformation alone, whose shifts are
    small, the tile's edge is repeated.

    Args:
      image: float32 [H, W, C], of at least 2 x 2 pixels.
      mask: [H, W] or [H, W, L].
      config: with `elastic`, `elastic_sigma`, `rotation`, `scale` and `shear`.
      elastic_seed: int64 [2].
      affine_seed: int64 [2].
      window: the part that is wanted, which turns about its own middle; by default all.

    Returns:
      image and mask of the window's size.
    """
    size = tf.shape(mask)[:2]
    start, wanted = window or (tf.zeros([2], tf.int32), size)
    origin, extent = (tf.unstack(tf.cast(each, tf.float32)) for each in (start, wanted))
    # Where in the window each pixel comes from.
    y = tf.range(extent[0])[:, None]
    x = tf.range(extent[1])[None]
    if config.elastic:
        shifts = tf.random.stateless_normal([3, 3, 2], elastic_seed, stddev=config.elastic_sigma)
        flow = tf.image.resize(shifts, wanted, method="bicubic")
        y, x = y - flow[..., 0], x - flow[..., 1]
    seen = y, x
    if is_affine(config):
        matrix = _matrix(config, affine_seed)
        middle = [(each - 1) / 2 for each in extent]
        down, right = y - middle[0], x - middle[1]
        y = matrix[0][0] * down + matrix[0][1] * right + (middle[0] + origin[0])
        x = matrix[1][0] * down + matrix[1][1] * right + (middle[1] + origin[1])
        tile = tf.unstack(tf.cast(size, tf.float32))
        seen = _mirrored(y, tile[0]), _mirrored(x, tile[1])
    moved = _interpolated(image, *seen, size)
    return moved, _nearest(mask, y, x, size)


def flip(
    image: tf.Tensor, mask: tf.Tensor, axes: Sequence[int], seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Along each axis, or not.

    Args:
      image: [H, W, C].
      mask: [H, W] or [H, W, L].
      axes: 0 for up-down, 1 for left-right.
      seed: int64 [2].
    """
    coins = tf.random.stateless_uniform([2], seed) < 0.5
    for axis in axes:
        image, mask = tf.cond(
            coins[axis],
            lambda image=image, mask=mask, axis=axis: (
                tf.reverse(image, [axis]),
                tf.reverse(mask, [axis]),
            ),
            lambda image=image, mask=mask: (image, mask),
        )
    return image, mask


def turn(image: tf.Tensor, mask: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """By 0 to 3 quarter turns.

    Args:
      image: [H, W, C].
      mask: [H, W] or [H, W, L].
      seed: int64 [2].
    """
    turns = tf.random.stateless_uniform([], seed, maxval=4, dtype=tf.int32)
    size = tf.shape(image)
    # A batch needs one shape: a tile that is not square turns by 0 or 180 degrees.
    turns = tf.where(size[0] == size[1], turns, turns // 2 * 2)
    flat = mask.shape.rank == 2
    turned = tf.image.rot90(image, turns)
    labels = tf.image.rot90(mask[..., None] if flat else mask, turns)
    # It forgets that only rows and columns have changed places.
    turned.set_shape([None, None, image.shape[-1]])
    labels.set_shape([None, None, 1 if flat else mask.shape[-1]])
    return turned, labels[..., 0] if flat else labels


def _matrix(config: AugmentConfig, seed: tf.Tensor) -> list[list[tf.Tensor]]:
    """From a place in the changed tile to that in the tile; (y, x) about the middle of both."""
    change = tf.unstack(tf.random.stateless_uniform([4], seed, -1.0, 1.0))
    angle = change[0] * math.radians(config.rotation)
    # As often larger as smaller, by the same factor.
    step = tf.exp(change[1] * math.log1p(config.scale))
    down, right = (tf.tan(each * math.radians(config.shear)) for each in change[2:])
    cosine, sine = step * tf.cos(angle), step * tf.sin(angle)
    return [
        [cosine + sine * right, cosine * down + sine],
        [-sine + cosine * right, -sine * down + cosine],
    ]


def _mirrored(place: tf.Tensor, extent: tf.Tensor) -> tf.Tensor:
    """The place within [0, extent - 1] that mirroring at the edge pixels leads to."""
    period = 2 * (extent - 1)
    place = tf.math.floormod(place, period)
    return tf.minimum(place, period - place)


def _interpolated(image: tf.Tensor, y: tf.Tensor, x: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """`image`, of height and width `size`, at (y, x), bilinear; the edge goes on outside.

    The arithmetic is that of tensorflow-addons' `dense_image_warp`, to the last bit, without its
    checks and its arrays of coordinates.
    """
    top, left = (
        tf.clip_by_value(tf.floor(place), 0.0, extent - 2)
        for place, extent in zip((y, x), tf.unstack(tf.cast(size, tf.float32)))
    )
    down = tf.clip_by_value(y - top, 0.0, 1.0)[..., None]
    right = tf.clip_by_value(x - left, 0.0, 1.0)[..., None]
    pixels = tf.reshape(image, [-1, image.shape[-1]])
    first = tf.cast(top, tf.int32) * size[1] + tf.cast(left, tf.int32)
    below = first + size[1]
    upper = _between(tf.gather(pixels, first), tf.gather(pixels, first + 1), right)
    lower = _between(tf.gather(pixels, below), tf.gather(pixels, below + 1), right)
    return _between(upper, lower, down)


def _between(one: tf.Tensor, other: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    return share * (other - one) + one


def _nearest(mask: tf.Tensor, y: tf.Tensor, x: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """`mask` at the pixels nearest to (y, x); IGNORE outside."""
    rows, columns = tf.cast(tf.round(y), tf.int32), tf.cast(tf.round(x), tf.int32)
    inside = (rows >= 0) & (rows < size[0]) & (columns >= 0) & (columns < size[1])
    places = tf.where(inside, rows * size[1] + columns, 0)
    flat = mask.shape.rank == 2
    moved = tf.gather(tf.reshape(mask, [-1] if flat else [-1, mask.shape[-1]]), places)
    return tf.where(inside if flat else inside[..., None], moved, tf.constant(IGNORE, mask.dtype))
