"""What components find in the artifacts that others made."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

from tfx import types
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

from components.records import Layout


def split_files(examples: Sequence[types.Artifact], split: str) -> list[str]:
    """The TFRecord files of a split, of every artifact that has it."""
    folders = [
        artifact_utils.get_split_uri([artifact], split)
        for artifact in examples
        if split in artifact_utils.decode_split_names(artifact.split_names)
    ]
    return sorted(file for folder in folders for file in fileio.glob(os.path.join(folder, "*")))


def layout(exported: str) -> Layout | None:
    """What an exported model was trained on; None where its files are gone.

    Args:
      exported: folder of the SavedModel that `trainer.export` wrote.
    """
    file = os.path.join(exported, "assets.extra", "overtile.json")
    if not fileio.exists(file):
        return None
    with fileio.open(file) as stream:
        return Layout.from_json(json.loads(stream.read())["layout"])
