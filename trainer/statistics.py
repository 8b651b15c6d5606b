"""What Transform learns from the train split without decoding a pixel."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.config import ClassWeights

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
      class_pixels: labelled pixels of each class.
      pixels_where_present: labelled pixels, of whatever class, of the tiles that have each class.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    class_pixels: tuple[float, ...]
    pixels_where_present: tuple[float, ...]


def preprocessing_fn(
    inputs: Mapping[str, Any], custom_config: Mapping[str, Any] | None = None
) -> dict[str, tf.Tensor]:
    """Adds up the records' sums. Called by TFX's Transform.

    Args:
      inputs: the descriptive features, sparse where their length differs between data sets.
      custom_config: `superseded`, sources whose records count nothing.

    Returns:
      The same values for each record: `mean` and `deviation` float32 [N, C], `class_pixels` and
      `pixels_where_present` float32 [N, K].
    """
    import tensorflow_transform as tft

    counts = None
    if left_out := (custom_config or {}).get("superseded"):
        sources = tf.sparse.to_dense(inputs["source"], default_value="")
        counts = tf.cast(~among(sources, left_out), tf.float64)

    def of_each(name: str) -> tf.Tensor:
        values = tf.cast(tf.sparse.to_dense(inputs[name]), tf.float64)
        return values if counts is None else values * counts

    def total(values: tf.Tensor) -> tf.Tensor:
        return tft.sum(values, reduce_instance_dims=False)

    counted = of_each(_CLASS_PIXELS)
    labelled = counted[:, :-1]
    beside = tf.where(labelled > 0, tf.reduce_sum(labelled, axis=1, keepdims=True), 0)
    pixels = total(counted)
    # Channels are described over all of an image; ignored pixels are seen, only not judged.
    mean = total(of_each(_SUM)) / tf.reduce_sum(pixels)
    mean_square = total(of_each(_SUM_SQUARES)) / tf.reduce_sum(pixels)
    variance = mean_square - mean**2
    varies = variance > _ROUNDING * mean_square
    learned = {
        "mean": mean,
        "deviation": tf.sqrt(tf.where(varies, variance, tf.ones_like(variance))),
        "class_pixels": pixels[:-1],
        "pixels_where_present": total(beside),
    }
    records = tf.shape(inputs[_SUM])[0]
    return {
        name: tf.cast(tf.tile(value[None], [records, 1]), tf.float32)
        for name, value in learned.items()
    }


def among(sources: tf.Tensor, some: Sequence[str]) -> tf.Tensor:
    """Whether each source, a string, is one of these; bool of its shape."""
    keys = tf.constant(list(some))
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(keys, tf.ones(tf.shape(keys), tf.int64)), 0
    )
    return table.lookup(sources) > 0


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
            for name in ("mean", "deviation", "class_pixels", "pixels_where_present")
        )
    )


def class_weights(
    statistics: Statistics, scheme: ClassWeights, beta: float = 0.999999
) -> list[float]:
    """How much a pixel of each class counts in the loss.

    Args:
      statistics: of the train split.
      scheme: `none`: each as much. `inverse`: 1 / the class's share of the labelled pixels.
        `median_frequency`: the median of the classes' frequencies over the class's own, a class's
        frequency being its share of the labelled pixels of those images that have it (Eigen and
        Fergus 2015, https://arxiv.org/abs/1411.4734, section 6.3.2; SegNet,
        https://arxiv.org/abs/1511.00561, section 3.2); an image is a tile here, which is what the
        network sees of one. `effective_number`: (1 - beta) / (1 - beta^n) of n labelled pixels (Cui
        et al. 2019, https://arxiv.org/abs/1901.05555, section 4).
      beta: of `effective_number`. 1 / (1 - beta) is how many pixels say all there is to say of a
        class: those of more than that count alike, those of far fewer as by `inverse`.

    Returns:
      One a class, scaled so that the weight of a labelled pixel is 1 on average; 0 for a class
      that never occurs.
    """
    pixels = np.asarray(statistics.class_pixels, np.float64)
    if scheme == "none":
        return [1.0] * len(pixels)
    occurs = pixels > 0
    if not occurs.any():
        return [0.0] * len(pixels)  # nothing is labelled, so nothing is weighed
    weights = np.zeros_like(pixels)
    if scheme == "inverse":
        weights[occurs] = 1 / pixels[occurs]
    elif scheme == "median_frequency":
        frequency = pixels[occurs] / np.asarray(statistics.pixels_where_present)[occurs]
        weights[occurs] = np.median(frequency) / frequency
    else:
        # -expm1(n log(beta)) is 1 - beta^n without the rounding of a beta close to 1.
        weights[occurs] = (1 - beta) / -np.expm1(pixels[occurs] * np.log(beta))
    return [float(weight) for weight in weights * pixels.sum() / np.sum(weights * pixels)]
