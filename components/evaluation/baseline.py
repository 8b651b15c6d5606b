"""The model that a candidate must not be worse than."""

from __future__ import annotations

import json
import os
from typing import Any

from tfx.components.evaluator import constants
from tfx.dsl.components.common import resolver
from tfx.dsl.io import fileio
from tfx.utils import path_utils


class BaselineStrategy(resolver.ResolverStrategy):
    """The latest blessed model before the candidate that answers the same question.

    TFX's LatestBlessedModelStrategy would, when a run is repeated, name the candidate itself:
    the Evaluator, asked to compare a model with itself, would run again instead of answering from
    the cache, and the Pusher would push it a second time. A model of other classes or other
    images cannot be compared and is passed over.

    The Resolver takes the channels `candidate`, `model` and `model_blessing`, and gives them back
    with what was resolved.
    """

    def resolve_artifacts(
        self, store: Any, input_dict: dict[str, list[Any]]
    ) -> dict[str, list[Any]] | None:
        """Called by TFX."""
        del store
        candidate = input_dict["candidate"][0]
        question = _layout(candidate)
        blessings = {
            blessing.get_int_custom_property(
                constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY
            ): blessing
            for blessing in input_dict["model_blessing"]
            if blessing.get_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY) == 1
        }
        earlier = sorted(
            (model for model in input_dict["model"] if model.id < candidate.id),
            key=lambda model: model.id,
            reverse=True,
        )
        for model in earlier:
            if model.id in blessings and _layout(model) == question:
                return {
                    "candidate": [candidate],
                    "model": [model],
                    "model_blessing": [blessings[model.id]],
                }
        return {"candidate": [candidate], "model": [], "model_blessing": []}


def _layout(model: Any) -> tuple[Any, ...] | None:
    """What the model was trained on: classes, channels, dtype; None where its files are gone."""
    directory = path_utils.serving_model_path(model.uri)
    file = os.path.join(directory, "assets.extra", "overtile.json")
    if not fileio.exists(file):
        return None
    with fileio.open(file) as stream:
        layout = json.loads(stream.read())["layout"]
    return tuple(layout["classes"]), layout["channels"], layout["dtype"]
