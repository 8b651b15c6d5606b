"""What Transform learns from the train split without decoding a pixel."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

_SUM, _SUM_SQUARES, _CLASS_PIXELS = "image/sum", "image/sum_squares", "mask/class_pixels"

# Records keep their sums in float32: below this share of the mean square, what is left for the
# variance is rounding.
_ROUNDING = 2.0**-22


@dataclasses.dataclass(frozen=True)
class Statistics:
    """Of the train split.

    Attributes:
      mean: of each channel, in the pixels' own unit.
      deviation: standard deviation of each channel; 1 where a channel is constant.
      class_frequency: share of each class among the labelled pixels.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    class_frequency: tuple[float, ...]


def preprocessing_fn(inputs: Mapping[str, Any]) -> dict[str, tf.Tensor]:
    """Adds up the records' sums. Called by TFX's Transform.

    Args:
      inputs: the descriptive features, sparse where their length differs between data sets.

    Returns:
      The same values for each record: `mean` and `deviation` float32 [N, C], `class_frequency`,
      float32 [N, K].
    """
    import tensorflow_transform as tft

    def total(name: str) -> tf.Tensor:
        values = tf.cast(tf.sparse.to_dense(inputs[name]), tf.float64)
        return tft.sum(values, reduce_instance_dims=False)

    pixels = total(_CLASS_PIXELS)
    # Channels are described over all of an image; ignored pixels are seen, only not judged.
    mean = total(_SUM) / tf.reduce_sum(pixels)
    mean_square = total(_SUM_SQUARES) / tf.reduce_sum(pixels)
    variance = mean_square - mean**2
    varies = variance > _ROUNDING * mean_square
    frequency = tf.math.divide_no_nan(pixels[:-1], tf.reduce_sum(pixels[:-1]))
    learned = {
        "mean": mean,
        "deviation": tf.sqrt(tf.where(varies, variance, tf.ones_like(variance))),
        "class_frequency": frequency,
    }
    records = tf.shape(inputs[_SUM])[0]
    return {
        name: tf.cast(tf.tile(value[None], [records, 1]), tf.float32)
        for name, value in learned.items()
    }


def read(transform_graph: str) -> Statistics:
    """What Transform learnt.

    Args:
      transform_graph: URI of Transform's output of that name.
    """
    import tensorflow_transform as tft

    output = tft.TFTransformOutput(transform_graph)
    spec = output.raw_feature_spec()
    # What was learnt does not depend on the record that it is asked with.
    nothing = {
        name: tf.sparse.from_dense(tf.ones([1, 1], feature.dtype))
        if isinstance(feature, tf.io.VarLenFeature)
        else tf.zeros([1, *feature.shape], feature.dtype)
        for name, feature in spec.items()
        if feature.dtype != tf.string
    }
    words = {
        name: tf.sparse.from_dense(tf.constant([["-"]]))
        if isinstance(feature, tf.io.VarLenFeature)
        else tf.fill([1, *feature.shape], "")
        for name, feature in spec.items()
        if feature.dtype == tf.string
    }
    learned = output.transform_features_layer()({**nothing, **words})
    return Statistics(
        *(
            tuple(float(value) for value in learned[name][0].numpy())
            for name in ("mean", "deviation", "class_frequency")
        )
    )


def class_weights(frequency: Sequence[float], scheme: str) -> list[float]:
    """How much a pixel of each class counts in the loss.

    Args:
      frequency: share of each class among the labelled pixels.
      scheme: `none`, each as much; `inverse`, 1 / frequency; `median_frequency`, the median
        frequency over the class's (Eigen and Fergus 2015, https://arxiv.org/abs/1411.4734,
        section 6.3.2, where SegNet has it from; here over all pixels of the split).

    Returns:
      One a class, scaled so that the weight of a labelled pixel is 1 on average; 0 for a class
      that never occurs.
    """
    shares = np.asarray(frequency, np.float64)
    if scheme == "none":
        return [1.0] * len(shares)
    occurs = shares > 0
    if not occurs.any():
        return [0.0] * len(shares)  # nothing is labelled, so nothing is weighed
    scale = np.median(shares[occurs]) if scheme == "median_frequency" else 1.0
    weights = np.divide(scale, shares, out=np.zeros_like(shares), where=occurs)
    return [float(weight) for weight in weights / np.sum(weights * shares)]
