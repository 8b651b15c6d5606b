"""Random changes of a training tile, alike on its image and its mask.

Every function is deterministic in its seed, so that a resumed run sees the tiles that an
uninterrupted one would have seen. Masks are moved, never interpolated, and so is what else is said
of their pixels: a mask here is uint8 [H, W], or float32 [H, W, L] with the class ids first.
"""

from __future__ import annotations

import tensorflow as tf

from components.records import IGNORE
from trainer.config import AugmentConfig


def augment(
    image: tf.Tensor, mask: tf.Tensor, config: AugmentConfig, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Applies what `config` asks for.

    Args:
      image: float32 [H, W, C].
      mask: [H, W] or [H, W, L].
      config: which changes, and how strong.
      seed: int64 [2].

    Returns:
      image and mask, changed alike, of the same shapes and dtypes. Quarter turns of a tile that is
      not square are half turns.
    """
    channels = image.shape[-1]
    seeds = tf.random.split(seed, 4)
    if config.brightness or config.contrast:
        image = _relight(image, config, seeds[3])
    if config.elastic:
        image, mask = elastic(image, mask, config.elastic_sigma, seeds[0])
    # Image and mask as one array, so that no change can reach only one of them.
    flat = mask.shape.rank == 2
    labels = tf.cast(mask[..., None] if flat else mask, tf.float32)
    both = tf.concat([image, labels], axis=-1)
    if config.flip:
        both = _flip(both, seeds[1])
    if config.quarter_turns:
        both = _turn(both, seeds[2])
    both.set_shape([None, None, channels + labels.shape[-1]])
    labels = both[..., channels:]
    return both[..., :channels], tf.cast(labels[..., 0] if flat else labels, mask.dtype)


def crop(
    image: tf.Tensor, mask: tf.Tensor, side: int, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """A random square of `side` pixels, or the whole tile along an axis that is shorter.

    Args:
      image: [H, W, C].
      mask: [H, W] or [H, W, L].
      side: in pixels.
      seed: int64 [2].
    """
    size = tf.shape(mask)[:2]
    cut = tf.minimum(size, side)
    where = tf.random.stateless_uniform([2], seed)
    start = tf.cast(where * tf.cast(size - cut + 1, tf.float32), tf.int32)
    start = tf.minimum(start, size - cut)  # rounding may reach the exclusive end
    rows, columns = start[0] + tf.range(cut[0]), start[1] + tf.range(cut[1])
    image = tf.gather(tf.gather(image, rows, axis=0), columns, axis=1)
    return image, tf.gather(tf.gather(mask, rows, axis=0), columns, axis=1)


def elastic(
    image: tf.Tensor, mask: tf.Tensor, sigma: float, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Smooth deformation: random shifts on a coarse 3 x 3 grid, bicubic in between.

    Ronneberger, Fischer, Brox 2015, section 3.1 (sigma 10 pixels). What comes from outside the
    tile is IGNORE in the mask: nobody labelled it.

    Args:
      image: float32 [H, W, C].
      mask: [H, W] or [H, W, L].
      sigma: standard deviation of the shifts, in pixels.
      seed: int64 [2].
    """
    from trainer.addons import warp

    size = tf.shape(mask)[:2]
    shifts = tf.random.stateless_normal([3, 3, 2], seed, stddev=sigma)
    flow = tf.image.resize(shifts, size, method="bicubic")
    warped = tf.ensure_shape(warp(image, flow), image.shape)

    grid = tf.stack(tf.meshgrid(tf.range(size[0]), tf.range(size[1]), indexing="ij"), axis=-1)
    nearest = tf.cast(tf.round(tf.cast(grid, tf.float32) - flow), tf.int32)
    inside = tf.reduce_all((nearest >= 0) & (nearest < size), axis=-1)
    moved = tf.gather_nd(mask, tf.clip_by_value(nearest, 0, size - 1))
    inside = inside if mask.shape.rank == 2 else inside[..., None]
    return warped, tf.where(inside, moved, tf.constant(IGNORE, mask.dtype))


def _relight(image: tf.Tensor, config: AugmentConfig, seed: tf.Tensor) -> tf.Tensor:
    """Another exposure of the same tile; the mask stays as it is."""
    mean, variance = tf.nn.moments(image, axes=[0, 1, 2])
    change = tf.random.stateless_uniform([2], seed, -1.0, 1.0)
    shifted = mean + change[0] * config.brightness * tf.sqrt(variance)
    return shifted + (image - mean) * (1 + change[1] * config.contrast)


def _flip(both: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    coins = tf.random.stateless_uniform([2], seed) < 0.5
    both = tf.cond(coins[0], lambda: tf.reverse(both, axis=[0]), lambda: both)
    return tf.cond(coins[1], lambda: tf.reverse(both, axis=[1]), lambda: both)


def _turn(both: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    turns = tf.random.stateless_uniform([], seed, maxval=4, dtype=tf.int32)
    size = tf.shape(both)
    # A batch needs one shape: a tile that is not square turns by 0 or 180 degrees.
    turns = tf.where(size[0] == size[1], turns, turns // 2 * 2)
    return tf.image.rot90(both, turns)
