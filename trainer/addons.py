"""The one place that imports tensorflow-addons, which has no release for Keras 3."""

from __future__ import annotations

import warnings

import tensorflow as tf

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it announces the end of its life on every import
    import tensorflow_addons as tfa


def warp(image: tf.Tensor, flow: tf.Tensor) -> tf.Tensor:
    """Moves pixels along a flow, interpolating bilinearly.

    Args:
      image: float32 [H, W, C].
      flow: float32 [H, W, 2]; the output at (y, x) is the image at (y, x) - flow[y, x].

    Returns:
      float32 [H, W, C].
    """
    return tfa.image.dense_image_warp(image[None], flow[None])[0]
