"""What a layer of a network makes of an image, channel by channel."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import keras
import numpy as np
import tensorflow as tf

from components.errors import InputError
from pipeline.comparison.recorded import Recorded
from trainer import input as model_input
from trainer import strategy as devices
from trainer import warm_start
from trainer.config import ModelConfig
from trainer.cost import without_weights
from trainer.models import registry

SHOWN = 12
"""Channels that are shown of a layer: those that vary most over the image."""

# The longer side of what a layer is asked about, and of a channel's picture, in pixels.
_SIDE, _PICTURE = 512, 160
# Percentiles between which a channel's values are spread from black to white.
_TAILS = (1, 99)


class Features(NamedTuple):
    """The feature maps of one layer.

    Attributes:
      layer: its name.
      shape: (height, width, channels) of its output.
      stride: pixels of the image a pixel of the maps stands for, roughly.
      channels: (number, data URI of a grey picture) of those that are shown.
      fallback: whether the layer that was asked for is not there, so that it is the default one.
    """

    layer: str
    shape: tuple[int, int, int]
    stride: int
    channels: list[tuple[int, str]]
    fallback: bool


def rebuild(run: Recorded) -> keras.Model:
    """The Keras model of a run with the weights of its export, in float32."""
    config = ModelConfig(**run.training["settings"]["model"])
    with tf.io.gfile.GFile(f"{run.model}/assets.extra/overtile.json") as stream:
        statistics = json.load(stream)["statistics"]
    with devices.policy("float32"):
        model = registry.build(
            config.name,
            without_weights(config.name, config.options),
            len(run.layout.classes),
            statistics["mean"],
            statistics["deviation"],
            config.normalise,
        )
    model.set_weights(warm_start.weights(run.model, config, model))
    return model


def of_image(
    model: keras.Model, run: Recorded, image: np.ndarray, wanted: Sequence[str]
) -> Features:
    """The feature maps of an image.

    Args:
      model: of `rebuild`.
      run: whose it is.
      image: [H, W, C] of the layout's dtype; its middle is taken where it is large.
      wanted: names of layers; the first that the model has is shown, or else the default.
    """
    known = tensors(model)
    layer = next((name for name in wanted if name in known), None)
    fallback = layer is None and bool(wanted)
    layer = layer or default(model)
    settings = run.training["settings"]["model"]
    geometry = registry.geometry(settings["name"], settings["options"])
    framed, _ = model_input.surround(tf.constant(_middle(image)[None]), geometry, 0)
    # Not `predict`, which would compile the whole network for one image.
    maps = _inner(model, layer)(framed, training=False).numpy()[0]
    deviation = maps.reshape(-1, maps.shape[-1]).std(0)
    order = np.argsort(-deviation, kind="stable")[:SHOWN]
    channels = [(int(place), _picture(maps[..., place])) for place in order]
    stride = max(1, round(framed.shape[1] / maps.shape[0]))
    return Features(layer, maps.shape, stride, channels, fallback)


def tensors(model: keras.Model) -> dict[str, Any]:
    """The layers whose output is feature maps; those of a model inside by `model/layer`."""
    found = {}
    for layer in model.layers:
        if hasattr(layer, "layers") and hasattr(layer, "inputs"):
            found.update({f"{layer.name}/{name}": one for name, one in tensors(layer).items()})
        elif _is_map(layer):
            found[layer.name] = layer.output
    return found


def _is_map(layer: Any) -> bool:
    if isinstance(layer, keras.layers.InputLayer) or isinstance(layer.output, list | tuple):
        return False
    return len(layer.output.shape) == 4


def default(model: keras.Model) -> str:
    """The last layer before the scores: behind it there are as many channels as classes."""
    scores = model.output.shape[-1]
    waiting, seen = [model.output], set()
    best: tuple[int, str] | None = None
    order = {layer.name: place for place, layer in enumerate(model.layers)}
    while waiting:
        tensor = waiting.pop()
        layer, node = tensor._keras_history[:2]
        if layer.name in seen:
            continue
        seen.add(layer.name)
        if tensor.shape[-1] != scores and not isinstance(layer, keras.layers.InputLayer):
            name = _last_inside(layer, tensor)
            # Of several paths the one that is computed last: the finest scores in an FCN.
            if best is None or order[layer.name] > best[0]:
                best = order[layer.name], name
            continue
        waiting += tf.nest.flatten(layer._inbound_nodes[node].input_tensors)
    return best[1] if best else next(iter(tensors(model)))


def _last_inside(layer: Any, tensor: Any) -> str:
    """A layer's name; of a model inside that of the layer that gives this tensor."""
    if not hasattr(layer, "layers"):
        return str(layer.name)
    place = tensor._keras_history[2]
    return f"{layer.name}/{layer.outputs[place]._keras_history[0].name}"


def _inner(model: keras.Model, name: str) -> keras.Model:
    """From the model's input to a layer's output."""
    outer, slash, inside = name.partition("/")
    layer = model.get_layer(outer)
    if not slash:
        return keras.Model(model.input, layer.output)
    part = _inner(layer, inside)
    before = layer._inbound_nodes[-1].input_tensors
    return keras.Model(model.input, part(before))


def refuse_unknown(
    models: Sequence[keras.Model], names: Sequence[str], wanted: Sequence[str]
) -> None:
    """Raises InputError where a layer that is asked for is in none of the models."""
    known = [tensors(model) for model in models]
    for layer in wanted:
        if not any(layer in one for one in known):
            last = ", ".join(
                f"{', '.join(list(one)[-4:])} of {name}" for one, name in zip(known, names)
            )
            raise InputError(
                f"--layer {layer}: no model has such a layer; there are {last}, and more."
            )


def _middle(image: np.ndarray) -> np.ndarray:
    starts = [max(0, (extent - _SIDE) // 2) for extent in image.shape[:2]]
    return image[starts[0] : starts[0] + _SIDE, starts[1] : starts[1] + _SIDE]


def _picture(values: np.ndarray) -> str:
    """A channel in grey, as a data URI."""
    low, high = (float(np.percentile(values, tail)) for tail in _TAILS)
    grey = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    pixels = np.rint(grey * 255).astype(np.uint8)
    factor = _PICTURE / max(pixels.shape)
    size = tuple(max(1, round(extent * factor)) for extent in pixels.shape[::-1])
    shrinks = cv2.INTER_AREA if factor < 1 else cv2.INTER_NEAREST
    pixels = cv2.resize(pixels, size, interpolation=shrinks)
    _, encoded = cv2.imencode(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, 75])
    return f"data:image/webp;base64,{base64.b64encode(encoded.tobytes()).decode('ascii')}"
