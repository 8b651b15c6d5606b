"""Some channels of an image or of features, as a layer that can be told from others."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from keras import layers


class Channels(layers.Layer):
    """`x[..., begin:end:step]`."""

    def __init__(
        self, begin: int | None = None, end: int | None = None, step: int = 1, **options: Any
    ) -> None:
        """Makes the layer.

        Args:
          begin: of the slice.
          end: of the slice.
          step: of the slice.
          options: of every Keras layer.
        """
        super().__init__(**options)
        self.begin, self.end, self.step = begin, end, step

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Called by Keras."""
        return x[..., self.begin : self.end : self.step]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Called by Keras."""
        return (*input_shape[:-1], len(range(input_shape[-1])[self.begin : self.end : self.step]))

    def sees(self, span: tuple[int, int], axis: int, taken: int, given: int) -> tuple[int, int]:
        """Which pixels a span of its answer looks at: called by `trainer.receptive_field`."""
        del axis, taken, given
        return span

    def get_config(self) -> dict[str, Any]:
        """Called by Keras."""
        own = {"begin": self.begin, "end": self.end, "step": self.step}
        return {**super().get_config(), **own}
