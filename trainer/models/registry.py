"""Finds an architecture by the name that a configuration gives.

To add one, write its options in `trainer.models.options` (pydantic, without Keras), write a module
beside this one, and append a line to the table below: name, module, options class. Several names
may share a module: each then has an options class of its own, a subclass that says in a `ClassVar`
which variant it is. The module defines

- `build(inputs, classes, options)`: from float32 [N, H, W, C], normalised, to logits,
  float32 [N, H', W', K]. Layers with weights have names of their own that stay the same from one
  variant to the next: `train.start_from` matches weights by these names.
- `geometry(options) -> Geometry`: how H' follows from H.

and, where it has a use for them,

- `refine(images, logits, options) -> logits`: improves what the network says of whole images
  (float32 [N, H, W, C] in grey levels of 8 bits, and [N, H, W, K]) with TensorFlow operations. It
  has a part in evaluation, export and serving, none in training.
- `prepare(model, images, options)`: trains a new model's weights before training begins, from
  images alone; `images` is an endless tf.data.Dataset of float32 [N, H, W, C] in the pixels' own
  unit, training batches without their masks. It runs once, before the first checkpoint, and not
  where weights come from another model.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import BaseModel

from trainer.models import options as known_options

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


class _Architecture(NamedTuple):
    """Where an architecture is built, and what it lets you choose."""

    module: str
    options: type[BaseModel]


_TABLE: dict[str, _Architecture] = {
    "unet": _Architecture("unet", known_options.UNetOptions),
    "fcn32s": _Architecture("fcn", known_options.FCN32sOptions),
    "fcn16s": _Architecture("fcn", known_options.FCN16sOptions),
    "fcn8s": _Architecture("fcn", known_options.FCN8sOptions),
    "autoencoder_fcn": _Architecture("autoencoder", known_options.AutoencoderFCNOptions),
    "patch_classifier": _Architecture("patch_classifier", known_options.PatchClassifierOptions),
    "segnet": _Architecture("segnet", known_options.SegNetOptions),
    "deconvnet": _Architecture("deconvnet", known_options.DeconvNetOptions),
    "squeeze_unet": _Architecture("squeeze_unet", known_options.SqueezeUNetOptions),
    "deeplab_v2": _Architecture("deeplab", known_options.DeepLabV2Options),
    "deeplab_v3": _Architecture("deeplab", known_options.DeepLabV3Options),
}
NAMES = tuple(_TABLE)
"""What `model.name` may be."""


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
    return _TABLE[name].options(**values)


def describe(name: str) -> dict[str, str]:
    """What each option of an architecture means."""
    fields = _TABLE[name].options.model_fields
    return {key: field.description or "" for key, field in fields.items()}


def document(name: str) -> str:
    """What an architecture's module says of itself, its paper first; without importing it."""
    found = importlib.util.find_spec(f"trainer.models.{_TABLE[name].module}")
    assert found is not None
    assert found.origin is not None
    return ast.get_docstring(ast.parse(Path(found.origin).read_text(encoding="utf-8"))) or ""


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


def are_related(name: str, other: str) -> bool:
    """Whether two architectures are variants of one, whose layers match by name."""
    return _TABLE[name].module == _TABLE[other].module


def refinement(
    name: str, values: Mapping[str, Any], grey_level: float = 1.0
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None:
    """An architecture's `refine` with its options, of (images, logits); None where it has none.

    Args:
      name: one of NAMES.
      values: its options.
      grey_level: of the images, `pixels.grey_level`.
    """
    refine = getattr(_module(name), "refine", None)
    if refine is None:
        return None
    chosen = options(name, values)

    def refined(images: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        return refine(tf.cast(images, tf.float32) / grey_level, logits, chosen)

    return refined


def preparation(
    name: str, values: Mapping[str, Any]
) -> Callable[[keras.Model, tf.data.Dataset], None] | None:
    """An architecture's `prepare` with its options, of (model, images); None where it has none."""
    prepare = getattr(_module(name), "prepare", None)
    if prepare is None:
        return None
    chosen = options(name, values)
    return lambda model, images: prepare(model, images, chosen)


def _module(name: str) -> Any:
    return importlib.import_module(f"trainer.models.{_TABLE[name].module}")
