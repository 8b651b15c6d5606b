"""Weights by the names of layers: read from a file, given to a model."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import h5py
import keras
import numpy as np

from components.errors import InputError

Weights = dict[str, list[np.ndarray]]
"""The weights of each layer, in the order of Keras's `get_weights`, by the layer's name."""


def read(file: str) -> Weights:
    """The weights in the Keras file that `model.options.weights` names.

    Args:
      file: `.h5` (of weights or of a whole model) or `.keras` (a whole model).

    Raises:
      InputError: it is missing, is no such file, or has no layers by name.
    """
    path = Path(file).expanduser()
    if not path.is_file():
        raise InputError(f"model.options.weights: there is no file {file}.")
    try:
        if path.suffix == ".keras":
            return of_model(keras.models.load_model(path, compile=False))
        with h5py.File(path) as stored:
            groups = stored.get("model_weights", stored)
            if "layer_names" not in groups.attrs:
                raise ValueError("its layers have no names; save it as .keras or .h5")
            found = {}
            for name in map(_text, groups.attrs["layer_names"]):
                weights = groups[name].attrs["weight_names"]
                # A slash is not allowed in a layer's name any more.
                found[name.replace("/", "_")] = [np.asarray(groups[name][w]) for w in weights]
            return found
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"model.options.weights: {file} cannot be read as Keras weights: {error}."
        ) from error


def of_model(model: keras.Model) -> Weights:
    """The weights of each layer of a model."""
    return {layer.name: layer.get_weights() for layer in model.layers}


def assign(model: keras.Model, weights: Weights, optional: Collection[str] = ()) -> None:
    """Gives each layer of a model the weights of that name; others are left over.

    Args:
      model: gets them.
      weights: of layers, by name.
      optional: names of layers that keep what they have where `weights` has nothing for them.

    Raises:
      ValueError: a layer is missing, or its weights have other shapes. The message says which,
        without a full stop. No layer is changed then.
    """
    wanted = {layer.name: layer for layer in model.layers if layer.weights}
    absent = [name for name in wanted if name not in weights and name not in optional]
    if absent:
        raise ValueError(f"it has no layer {', '.join(absent[:3])}{_more(absent)}")
    chosen = {name: layer for name, layer in wanted.items() if name in weights}
    for name, layer in chosen.items():
        shapes = [tuple(weight.shape) for weight in layer.weights]
        given = [value.shape for value in weights[name]]
        if shapes != given:
            raise ValueError(f"its layer {name} has weights {given}, and {shapes} are needed")
    for name, layer in chosen.items():
        layer.set_weights(weights[name])


def _more(names: list[str]) -> str:
    return f" and {len(names) - 3} more" if len(names) > 3 else ""


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name
