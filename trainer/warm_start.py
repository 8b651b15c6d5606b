"""Weights to start from: of a model that was exported before, a Keras file or a checkpoint."""

from __future__ import annotations

import json
import re
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import tensorflow as tf

from components.errors import InputError
from trainer.models import registry

if TYPE_CHECKING:
    import keras

    from trainer.config import ModelConfig

_SHAPE = re.compile(r"[(\[]\d+(?:, ?\d+)*,?[)\]]")
_NAME = re.compile(r"[\w/]+/[\w]+(?=:0)")


class OtherModelError(Exception):
    """The exported model's weights do not fit; its message says why, without a full stop."""


class Taken(NamedTuple):
    """What a model was given of another one's weights.

    Attributes:
      layers: layers with weights that have them from there.
      of: layers with weights that the model has.
    """

    layers: int
    of: int


def weights(exported: str, config: ModelConfig, model: keras.Model) -> list[np.ndarray]:
    """The weights of an exported model of the same architecture and options.

    Args:
      exported: folder of the SavedModel that `trainer.export` wrote.
      config: architecture and options of the model that shall have them.
      model: such a model, in float32; it gets the weights.

    Returns:
      What `model.get_weights()` gives then.

    Raises:
      OtherModelError: the exported model is of another architecture, or its options differ.
    """
    before = _description(exported).get("model")
    if before is None:
        raise OtherModelError("it does not say which architecture it is")
    if before["name"] != config.name:
        raise OtherModelError(f"it is a {before['name']}, not a {config.name}")
    if before.get("normalise") != config.normalise:
        raise OtherModelError("it normalises pixels in another way")
    was, wanted = (
        registry.options(config.name, options).model_dump()
        for options in (before["options"], config.options)
    )
    changed = [name for name in wanted if was.get(name) != wanted[name]]
    if changed:
        raise OtherModelError(f"model.options differ in {', '.join(changed)}")
    _read_variables(exported, model)
    return model.get_weights()


def start(model: keras.Model, path: str, config: ModelConfig) -> Taken:
    """Gives a model the weights that `train.start_from` names.

    Args:
      model: in float32; it gets the weights.
      path: folder of an exported model, a Keras file (.keras, .weights.h5, .h5), or a checkpoint of
        TensorFlow's: its prefix, or a folder with one.
      config: the model's architecture and options.

    Raises:
      InputError: there is nothing at the path, or a layer is missing or of another shape. Between
        architectures of one module (FCN-32s, 16s, 8s) a layer that the other one has not got
        keeps the values that it begins with.
    """
    folder = Path(path)
    everything = len(leaves(model))
    if (folder / "saved_model.pb").is_file():
        return _from_export(model, path, config)
    if folder.suffix in (".h5", ".keras") and folder.is_file():
        _from_keras(model, folder)
        return Taken(everything, everything)
    prefix = tf.train.latest_checkpoint(path) if folder.is_dir() else path
    if prefix is None and (folder / "state.index").is_file():
        prefix = str(folder / "state")  # a checkpoint of a training that has not ended
    if prefix is None or not Path(f"{prefix}.index").is_file():
        raise InputError(
            f"train.start_from: {path} is neither the folder of an exported model, nor a Keras "
            "file (.keras, .weights.h5, .h5), nor a checkpoint."
        )
    _from_checkpoint(model, prefix, path)
    return Taken(everything, everything)


def leaves(model: keras.Model, within: str = "") -> dict[str, Any]:
    """The layers of a model that have weights, those of nested models by `model/layer`."""
    found = {}
    for layer in model.layers:
        if not layer.weights:
            continue
        if hasattr(layer, "layers"):
            found.update(leaves(layer, f"{within}{layer.name}/"))
        else:
            found[within + layer.name] = layer
    return found


def _from_export(model: keras.Model, path: str, config: ModelConfig) -> Taken:
    told = _description(path)
    try:
        before, statistics = told["model"], told["statistics"]
        source = registry.build(
            before["name"],
            _without_weights(before["options"]),
            len(told["layout"]["classes"]),
            statistics["mean"],
            statistics["deviation"],
            before["normalise"],
        )
        _read_variables(path, source)
    except (KeyError, ValueError, OtherModelError) as error:
        raise InputError(
            f"train.start_from: {path} cannot be built by this version of Overtile: {error}."
        ) from error
    if before["name"] == config.name:
        # Layers may be without names of their own; these count up while a process builds models.
        theirs = dict(zip(leaves(model), leaves(source).values()))
        missing = list(leaves(model))[len(theirs) :]
    else:
        theirs = leaves(source)
        missing = [name for name in leaves(model) if name not in theirs]
        if not registry.are_related(before["name"], config.name):
            raise InputError(
                f"train.start_from: {path} is a {before['name']}, which a {config.name} cannot "
                "start from."
            )
    if missing and before["name"] == config.name:
        raise InputError(f"train.start_from: {path} has no layer {missing[0]}.")
    return _copy(model, theirs, path)


def _copy(model: keras.Model, theirs: Mapping[str, Any], path: str) -> Taken:
    """Copies layer by layer, once all are known to fit."""
    ours = leaves(model)
    shared = [name for name in ours if name in theirs]
    for name in shared:
        here, there = (
            [tuple(weight.shape) for weight in layer.weights]
            for layer in (ours[name], theirs[name])
        )
        if here != there:
            pairs = list(zip(here, there))
            one, other = next((pair for pair in pairs if pair[0] != pair[1]), (here, there))
            raise _other_shape(path, name, other, one)
    for name in shared:
        ours[name].set_weights(theirs[name].get_weights())
    return Taken(len(shared), len(ours))


def _from_keras(model: keras.Model, file: Path) -> None:
    # Of a whole model only the weights are read: to build it again might run what it brings.
    with tempfile.TemporaryDirectory(prefix="overtile-weights-") as folder:
        weights_file = file
        try:
            if file.suffix == ".keras":
                with zipfile.ZipFile(file) as parts:
                    weights_file = Path(parts.extract("model.weights.h5", folder))
            model.load_weights(str(weights_file))
        except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
            raise _unfit(str(file), error) from error


def _from_checkpoint(model: keras.Model, prefix: str, path: str) -> None:
    try:
        names = tf.train.load_checkpoint(prefix).get_variable_to_shape_map()
        within = any(name.startswith("model/") for name in names)
        checkpoint = tf.train.Checkpoint(model=model) if within else tf.train.Checkpoint(model)
        status = checkpoint.read(prefix)
        status.assert_existing_objects_matched()
        status.expect_partial()  # the optimizer and the like
    except (ValueError, AssertionError, tf.errors.OpError) as error:
        raise _unfit(path, error) from error


def _unfit(path: str, error: Exception) -> InputError:
    """One sentence of what Keras or TensorFlow say at length."""
    told = " ".join(str(error).split())
    shapes = _SHAPE.findall(told)
    name = _NAME.search(told)
    if len(shapes) >= 2 and shapes[0] != shapes[1]:
        layer = name.group() if name else "a layer"
        # Of a checkpoint TensorFlow tells the file's shape first, of a file Keras the model's.
        there, here = shapes[:2] if told.startswith("Received incompatible") else shapes[1::-1]
        if path.endswith(".h5") and not path.endswith(".weights.h5"):
            there = _as_stored(there)
        return _other_shape(path, layer, there, here)
    said = told[:200].rstrip(".")
    return InputError(f"train.start_from: {path} does not hold this model's weights: {said}.")


def _as_stored(shape: str) -> str:
    """Keras turns a kernel that does not fit, as if it were Theano's, before it tells its shape."""
    sides = shape.strip("()").split(", ")
    return f"({', '.join(sides[place] for place in (2, 3, 1, 0))})" if len(sides) == 4 else shape


def _other_shape(path: str, layer: str, there: Any, here: Any) -> InputError:
    return InputError(
        f"train.start_from: {layer} has the shape {there} in {path} and {here} in this model; "
        "model.options, channels and classes must be the same."
    )


def _without_weights(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a model that is built only to be given weights."""
    return {**options, "weights": "random"} if "weights" in options else dict(options)


def _description(exported: str) -> dict[str, Any]:
    file = Path(exported) / "assets.extra" / "overtile.json"
    with tf.io.gfile.GFile(str(file)) as stream:
        return json.load(stream)


def _read_variables(exported: str, model: keras.Model) -> None:
    """Gives a model the weights of an exported one of the same layers."""
    # `Exported` keeps the Keras model under this name.
    status = tf.train.Checkpoint(model=model).read(f"{exported}/variables/variables")
    try:
        status.assert_existing_objects_matched()
    except AssertionError as error:
        raise OtherModelError("its layers are others") from error
    status.expect_partial()  # signatures and tables are not the model's
