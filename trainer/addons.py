"""The one place that imports tensorflow-addons, which has no release for Keras 3."""

from __future__ import annotations

import warnings
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it announces the end of its life on every import
    import tensorflow_addons as tfa


def unpool(pooled: Any, indices: Any, name: str) -> Any:
    """Undoes a 2 x 2 max pooling: each value goes back to where it came from, the rest is 0.

    Args:
      pooled: [N, H, W, C].
      indices: int64 [N, H, W, C], as `tf.nn.max_pool_with_argmax` gives them, image by image.
      name: the layer's.

    Returns:
      [N, 2 H, 2 W, C].
    """
    return tfa.layers.MaxUnpooling2D((2, 2), name=name)(pooled, indices)
