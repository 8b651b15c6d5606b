"""A classifier of each pixel by the window around it, slid over the image: what FCN replaced.

Ciresan, Giusti, Gambardella, Schmidhuber, Deep Neural Networks Segment Neuronal Membranes in
Electron Microscopy Images, NIPS 2012, section 2 and table 1 (network N4): the baseline that the
U-Net paper names.

Windows of neighbouring pixels share nearly all of their features. The form that `build` gives
computes each once: pooling layers keep the resolution, and what comes after them looks at every
second pixel, then at every fourth, ... (Giusti et al. 2013, https://arxiv.org/abs/1302.1700, have
the same in fragments; the holes are of Li et al. 2014, https://arxiv.org/abs/1412.4526). Its
answers are those of the slid classifier, and so are its gradients: training it is training on the
windows of all labelled pixels.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from trainer.models.options import PatchClassifierOptions
from trainer.models.registry import Geometry
from trainer.models.surgery import as_convolution


def build(inputs: Any, classes: int, options: PatchClassifierOptions) -> Any:
    """The class of every pixel that has a whole window around it.

    Args:
      inputs: [N, H, W, C], normalised.
      classes: number of classes, K.
      options: the kernels, which give the window, and channels.

    Returns:
      Logits, float32 [N, H - w + 1, W - w + 1, K] for windows of w x w pixels.
    """
    x, apart = inputs, 1
    for number, size in enumerate(options.kernels, start=1):
        x = _convolution(x, options.width, size, number, dilation_rate=apart)
        x = DilatedMaxPooling2D(apart, name=f"pool{number}")(x)
        apart *= 2
    x = layers.Conv2D(
        options.fc_width,
        options.last_features,
        dilation_rate=apart,
        activation="relu",
        kernel_initializer="he_normal",
        name="fc",
    )(x)
    return layers.Conv2D(classes, 1, kernel_initializer="he_normal", dtype="float32", name="score")(
        x
    )


def geometry(options: PatchClassifierOptions) -> Geometry:
    """A pixel is answered for in the middle of its window."""
    return Geometry(stride=1, margin=options.window // 2)


def classifier(channels: int, classes: int, options: PatchClassifierOptions) -> keras.Model:
    """The classifier of one window, as in the paper.

    Returns:
      A model of float32 [N, w, w, channels], normalised, that gives logits, float32 [N, classes].
      Its layers with weights have the names of those of `build`.
    """
    x = inputs = keras.Input((options.window, options.window, channels))
    for number, size in enumerate(options.kernels, start=1):
        x = _convolution(x, options.width, size, number)
        x = layers.MaxPooling2D(2, name=f"pool{number}")(x)
    x = layers.Flatten(name="flat")(x)
    x = layers.Dense(
        options.fc_width, activation="relu", kernel_initializer="he_normal", name="fc"
    )(x)
    x = layers.Dense(classes, kernel_initializer="he_normal", dtype="float32", name="score")(x)
    return keras.Model(inputs, x, name="patch_classifier")


def carry_over(patches: keras.Model, dense: keras.Model, options: PatchClassifierOptions) -> None:
    """Gives a model of `build` the weights of a `classifier` of the same options."""
    for layer in patches.layers:
        if not layer.weights:
            continue
        kernel, bias = layer.get_weights()
        if isinstance(layer, layers.Dense):
            side = options.last_features if layer.name == "fc" else 1
            kernel = as_convolution(kernel, (side, side))
        dense.get_layer(layer.name).set_weights([kernel, bias])


def slide(patches: keras.Model, images: np.ndarray, batch_size: int = 256) -> np.ndarray:
    """What a classifier says of every window of images, one by one.

    Args:
      patches: a `classifier`.
      images: float32 [N, H, W, C], normalised.
      batch_size: windows at a time.

    Returns:
      Logits, float32 [N, H - w + 1, W - w + 1, K].
    """
    side = patches.input_shape[1]
    views: Any = np.lib.stride_tricks.sliding_window_view(
        images,
        (side, side),
        axis=(1, 2),  # type: ignore[call-overload]
    )
    windows = np.moveaxis(views, 3, -1)  # [N, H', W', w, w, C], a view: nothing is copied yet
    n, height, width = windows.shape[:3]
    answers = []
    for start in range(0, n * height * width, batch_size):
        some = np.arange(start, min(start + batch_size, n * height * width))
        answers.append(
            patches.predict_on_batch(windows[np.unravel_index(some, (n, height, width))])
        )
    return np.concatenate(answers).reshape(n, height, width, -1)


class DilatedMaxPooling2D(layers.Layer):
    """The maximum of the four pixels at the corners of a square, around every pixel; not padded."""

    def __init__(self, dilation_rate: int, **options: Any) -> None:
        """Makes the layer.

        Args:
          dilation_rate: side of the square, in pixels from centre to centre.
          options: of every Keras layer.
        """
        super().__init__(**options)
        self.dilation_rate = dilation_rate

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Called by Keras."""
        apart = self.dilation_rate
        x = tf.maximum(x[:, :-apart], x[:, apart:])
        return tf.maximum(x[:, :, :-apart], x[:, :, apart:])

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Called by Keras."""
        n, *sides, channels = tuple(input_shape)
        return (n, *(side and side - self.dilation_rate for side in sides), channels)

    def sees(self, span: tuple[int, int], axis: int, taken: int, given: int) -> tuple[int, int]:
        """Which pixels a span of its answer looks at: called by `trainer.receptive_field`."""
        del axis, taken, given
        return span[0], span[1] + self.dilation_rate

    def get_config(self) -> dict[str, Any]:
        """Called by Keras."""
        return {**super().get_config(), "dilation_rate": self.dilation_rate}


def _convolution(x: Any, width: int, size: int, number: int, dilation_rate: int = 1) -> Any:
    return layers.Conv2D(
        width,
        size,
        dilation_rate=dilation_rate,
        activation="relu",
        kernel_initializer="he_normal",
        name=f"conv{number}",
    )(x)
