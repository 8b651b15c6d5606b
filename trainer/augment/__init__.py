"""Random changes of a training tile, alike on its image and its mask.

Every function is deterministic in its seed, so that a resumed run sees the tiles that an
uninterrupted one would have seen. Masks are moved, never interpolated, and so is what else is said
of their pixels: a mask here is uint8 [H, W], or float32 [H, W, L] with the class ids first.
"""

from __future__ import annotations

import tensorflow as tf

from trainer.augment import geometry, pixels
from trainer.augment.geometry import Window
from trainer.config import AugmentConfig


def augment(
    image: tf.Tensor,
    mask: tf.Tensor,
    config: AugmentConfig,
    seed: tf.Tensor,
    window: Window | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Applies what `config` asks for.

    The light changes first, as in front of the lens, then the geometry, and what the sensor adds
    comes last, so that noise is not smoothed by interpolation.

    Args:
      image: float32 [H, W, C].
      mask: [H, W] or [H, W, L].
      config: which changes, and how strong.
      seed: int64 [2].
      window: the part that is wanted of them, as `crop` gave it; None for all.

    Returns:
      image and mask, changed alike, of the window's size and the same dtypes. Quarter turns of a
      tile that is not square are half turns.
    """
    config = config.amounts()
    # These four came first, and old configurations shall give the tiles that they gave.
    warped, flipped, turned, lit = tf.unstack(tf.random.split(seed, 4))
    moved, blurred, bent, noisy = tf.unstack(tf.random.split(tf.random.fold_in(seed, 1), 4))
    if config.blur:
        image = pixels.blur(image, config.blur, blurred)
    if config.gamma:
        image = pixels.bend(image, config.gamma, bent)
    if config.brightness or config.contrast:
        image = pixels.relight(image, config.brightness, config.contrast, lit)
    if config.elastic or geometry.is_affine(config):
        image, mask = geometry.warp(image, mask, config, warped, moved, window)
    if config.noise:
        image = pixels.add_noise(image, config.noise, noisy)
    if config.flip:
        axes = {"left_right": [1], "up_down": [0]}.get(str(config.flip), [0, 1])
        image, mask = geometry.flip(image, mask, axes, flipped)
    if config.quarter_turns:
        image, mask = geometry.turn(image, mask, turned)
    return image, mask


def crop(
    image: tf.Tensor, mask: tf.Tensor, side: int, config: AugmentConfig, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, Window | None]:
    """A random square of `side` pixels, or the whole tile along an axis that is shorter.

    Args:
      image: [H, W, C].
      mask: [H, W] or [H, W, L].
      side: in pixels.
      config: what `augment` is to do next. It turns, scales and shears labels into the square that
        lie around it, so those are kept.
      seed: int64 [2].

    Returns:
      image, mask, and where in them the square is; None where they are the square.
    """
    size = tf.shape(mask)[:2]
    cut = tf.minimum(size, side)
    where = tf.random.stateless_uniform([2], seed)
    start = tf.cast(where * tf.cast(size - cut + 1, tf.float32), tf.int32)
    start = tf.minimum(start, size - cut)  # rounding may reach the exclusive end
    config = config.amounts()
    around = geometry.reach(config, side)
    first, last = tf.maximum(start - around, 0), tf.minimum(start + cut + around, size)
    rows, columns = tf.range(first[0], last[0]), tf.range(first[1], last[1])
    image = tf.gather(tf.gather(image, rows, axis=0), columns, axis=1)
    mask = tf.gather(tf.gather(mask, rows, axis=0), columns, axis=1)
    return image, mask, (start - first, cut) if geometry.is_affine(config) else None
