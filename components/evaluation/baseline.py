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
    """The model blessed last, other than the candidate, that answers the same question.

    TFX's LatestBlessedModelStrategy would, when a run is repeated, name the candidate itself:
    the Evaluator, asked to compare a model with itself, would run again instead of answering from
    the cache, and the Pusher would push it a second time. A younger model is a baseline as well:
    settings that return to earlier ones bring an old model back from the Trainer's cache, and it
    must not replace a better one that is served by now. A model of other classes or other images
    cannot be compared and is passed over.

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
        others = {model.id: model for model in input_dict["model"] if model.id != candidate.id}
        # By blessing, not by model: one that came back from the cache was blessed later than made.
        latest_first = sorted(
            input_dict["model_blessing"], key=lambda blessing: blessing.id, reverse=True
        )
        for blessing in latest_first:
            if blessing.get_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY) != 1:
                continue
            model = others.get(
                blessing.get_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY)
            )
            if model is not None and _layout(model) == question:
                return {
                    "candidate": [candidate],
                    "model": [model],
                    "model_blessing": [blessing],
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
