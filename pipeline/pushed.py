"""Pushed models: where they are, and how to call one."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from components.errors import InputError
from components.records import Layout


@dataclasses.dataclass(frozen=True)
class Model:
    """An exported model in memory.

    Attributes:
      path: its folder.
      layout: of the images that it takes.
      signatures: by name; each takes and returns tensors by keyword.
    """

    path: Path
    layout: Layout
    signatures: Mapping[str, Any]

    def mask(self, image: np.ndarray) -> np.ndarray:
        """Class ids, uint8 [H, W], of an image [H, W, channels] of the layout's dtype."""
        import tensorflow as tf

        return self.signatures["tensor"](image=tf.constant(image[None]))["mask"][0].numpy()

    def confusion(self, examples: list[bytes]) -> np.ndarray:
        """int64 [K, K], rows are labels, summed over serialised records."""
        import tensorflow as tf

        classes = len(self.layout.classes)
        counts = self.signatures["evaluate"](examples=tf.constant(examples))["confusion"]
        return counts.numpy().sum(axis=0).reshape(classes, classes)


def newest(serving: Path) -> Path | None:
    """The folder of the newest version, as TensorFlow Serving chooses it; None without any."""
    if not serving.is_dir():
        return None
    versions = [path for path in serving.iterdir() if path.name.isdigit() and path.is_dir()]
    return max(versions, key=lambda path: int(path.name), default=None)


def find(serving: Path) -> Path:
    """`newest`, or an error.

    Raises:
      InputError: nothing was pushed yet.
    """
    version = newest(serving)
    if version is None:
        raise InputError(f"No model was pushed to {serving} yet; `overtile run` trains one.")
    return version


def load(path: Path) -> Model:
    """Loads an exported model.

    Args:
      path: a SavedModel's folder, or a folder of versions, of which the newest is taken.

    Raises:
      InputError: there is no model of Overtile's.
    """
    if not (path / "saved_model.pb").is_file():
        if newest(path) is None:
            raise InputError(f"{path} holds no model: no saved_model.pb and no version.")
        path = find(path)
    file = path / "assets.extra" / "overtile.json"
    try:
        description = json.loads(file.read_text())
        layout = Layout.from_json(description["layout"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is not a model that Overtile exported: {file.name} cannot be read ({error})."
        ) from None
    import tensorflow as tf

    try:
        model = tf.saved_model.load(str(path))
    except Exception as error:  # TensorFlow raises many kinds for a damaged file
        words = str(error).splitlines() or [type(error).__name__]
        raise InputError(f"The model in {path} cannot be loaded: {words[0]}.") from error
    # The function alone would not keep the variables alive.
    signatures = dict(model.signatures)
    signatures["_owner"] = model
    return Model(path, layout, signatures)
