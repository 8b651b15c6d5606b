"""Weights to start from: those of a model that was exported before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from trainer.models import registry

if TYPE_CHECKING:
    import keras

    from trainer.config import ModelConfig


class OtherModelError(Exception):
    """The exported model's weights do not fit; its message says why, without a full stop."""


def weights(exported: str, config: ModelConfig, model: keras.Model) -> list[np.ndarray]:
    """The weights of an exported model.

    Args:
      exported: folder of the SavedModel that `trainer.export` wrote.
      config: architecture and options of the model that shall have them.
      model: such a model, in float32; it gets the weights.

    Returns:
      What `model.get_weights()` gives then.

    Raises:
      OtherModelError: the exported model is of another architecture, or its options differ.
    """
    file = Path(exported) / "assets.extra" / "overtile.json"
    with tf.io.gfile.GFile(str(file)) as stream:
        before = json.load(stream).get("model")
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
    # `Exported` keeps the Keras model under this name.
    status = tf.train.Checkpoint(model=model).read(f"{exported}/variables/variables")
    try:
        status.assert_existing_objects_matched()
    except AssertionError as error:
        raise OtherModelError("its layers are others") from error
    status.expect_partial()  # signatures and tables are not the model's
    return model.get_weights()
