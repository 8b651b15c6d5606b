"""Finds an architecture by the name that a configuration gives."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel

from trainer.models import options as known_options

if TYPE_CHECKING:
    import keras

_OPTIONS: dict[str, type[BaseModel]] = {
    "unet": known_options.UNetOptions,
    "fcn8s": known_options.FCN8sOptions,
}
NAMES = tuple(_OPTIONS)
"""An architecture's name is also its module's."""


@dataclasses.dataclass(frozen=True)
class Geometry:
    """How the size of an architecture's output follows from the size of its input, on each axis.

    Attributes:
      stride: the output's size grows in steps of this many pixels.
      margin: pixels of the input lost on each side; 0 where convolutions are padded.
      remainder: what an output size leaves when divided by `stride`.
      smallest: the smallest output size.
    """

    stride: int
    margin: int = 0
    remainder: int = 0
    smallest: int = 1

    def output_size(self, wanted: int) -> int:
        """The smallest output size, in pixels, that is at least `wanted`."""
        wanted = max(wanted, self.smallest)
        return wanted + (self.remainder - wanted) % self.stride

    def input_size(self, wanted: int) -> int:
        """The input size, in pixels, that `output_size(wanted)` needs."""
        return self.output_size(wanted) + 2 * self.margin


def options(name: str, values: Mapping[str, Any]) -> Any:
    """The architecture's options, checked.

    Raises:
      ValueError: an option is unknown or its value not allowed (pydantic.ValidationError).
    """
    return _OPTIONS[name](**values)


def describe(name: str) -> dict[str, str]:
    """What each option of an architecture means."""
    return {key: field.description or "" for key, field in _OPTIONS[name].model_fields.items()}


def build(
    name: str,
    values: Mapping[str, Any],
    classes: int,
    mean: Sequence[float],
    deviation: Sequence[float],
    normalise: Literal["data_set", "image"] = "data_set",
) -> keras.Model:
    """Builds a model on pixels as they are in records and files; it normalises them itself.

    Training, evaluation and serving all call the model, so they normalise alike.

    Args:
      name: one of NAMES.
      values: its options.
      classes: number of classes, K.
      mean: of each channel, C of them, in the pixels' own unit.
      deviation: standard deviation of each channel.
      normalise: by these, or by each image's own.

    Returns:
      A model of float32 [N, H, W, C] that gives logits, float32 [N, H', W', K]; `geometry` says
      how H' follows from H.
    """
    import keras

    from trainer.models import pixels

    inputs = keras.Input((None, None, len(mean)), dtype="float32")
    normalised = pixels.normalise(inputs, mean, deviation, normalise)
    logits = _module(name).build(normalised, classes, options(name, values))
    return keras.Model(inputs, logits, name=name)


def geometry(name: str, values: Mapping[str, Any]) -> Geometry:
    """How an architecture's output size follows from its input size."""
    return _module(name).geometry(options(name, values))


def _module(name: str) -> Any:
    return importlib.import_module(f"trainer.models.{name}")
