"""Changes of what pixels show; the mask stays as it is."""

from __future__ import annotations

import math

import tensorflow as tf

# Of a Gaussian that is cut off there, three standard deviations leave 99.7 %.
_REACH = 3.0


def relight(image: tf.Tensor, brightness: float, contrast: float, seed: tf.Tensor) -> tf.Tensor:
    """Another exposure of the same tile.

    Args:
      image: float32 [H, W, C].
      brightness: the most that the mean moves, in standard deviations of the tile.
      contrast: the most that the deviation changes, as a share of it.
      seed: int64 [2].
    """
    mean, variance = tf.nn.moments(image, axes=[0, 1, 2])
    change = tf.random.stateless_uniform([2], seed, -1.0, 1.0)
    shifted = mean + change[0] * brightness * tf.sqrt(variance)
    return shifted + (image - mean) * (1 + change[1] * contrast)


def bend(image: tf.Tensor, gamma: float, seed: tf.Tensor) -> tf.Tensor:
    """Another gamma: a power of where a value stands between the tile's lowest and highest.

    Args:
      image: float32 [H, W, C].
      gamma: exponents are drawn from 1 / (1 + gamma) to 1 + gamma, as often below 1 as above.
      seed: int64 [2].
    """
    change = tf.random.stateless_uniform([], seed, -1.0, 1.0)
    low, high = tf.reduce_min(image), tf.reduce_max(image)
    share = tf.math.divide_no_nan(image - low, high - low)  # 0 of a tile of one value
    exponent = tf.exp(change * math.log1p(gamma))
    # A power that takes a third of the time; the logarithm of 0 is minus infinity, and comes back.
    return low + (high - low) * tf.exp(tf.math.log(share) * exponent)


def blur(image: tf.Tensor, most: float, seed: tf.Tensor) -> tf.Tensor:
    """Out of focus: a Gaussian; past the tile's edge there is nothing, and the rest counts more.

    Args:
      image: float32 [H, W, C].
      most: standard deviations are drawn from 0 to this many pixels.
      seed: int64 [2].
    """
    sigma = tf.random.stateless_uniform([], seed, maxval=most)
    reach = math.ceil(_REACH * most)
    distance = tf.range(-reach, reach + 1, dtype=tf.float32)
    # A deviation of next to nothing leaves only the pixel itself.
    weights = tf.exp(-0.5 * tf.square(distance / tf.maximum(sigma, 1e-3)))
    channels = tf.transpose(image, [2, 0, 1])[..., None]  # each as an image of its own
    for shape in ([-1, 1, 1, 1], [1, -1, 1, 1]):
        kernel = tf.reshape(weights, shape)
        there = tf.nn.conv2d(tf.ones_like(channels[:1]), kernel, 1, "SAME")
        channels = tf.nn.conv2d(channels, kernel, 1, "SAME") / there
    return tf.transpose(channels[..., 0], [1, 2, 0])


def add_noise(image: tf.Tensor, most: float, seed: tf.Tensor) -> tf.Tensor:
    """Gaussian noise, of each pixel and channel by itself.

    Args:
      image: float32 [H, W, C].
      most: its standard deviation is drawn from 0 to this many of the tile's own.
      seed: int64 [2].
    """
    seeds = tf.random.split(seed, 2)
    share = tf.random.stateless_uniform([], seeds[0], maxval=most)
    drawn = tf.random.stateless_normal(tf.shape(image), seeds[1])
    return image + share * tf.math.reduce_std(image) * drawn
