"""The model that a candidate must not be worse than."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfx.components.evaluator import constants
from tfx.dsl.components.common import resolver
from tfx.utils import path_utils

from components import artifacts

MODEL = constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY
"""The custom property of a blessing that has its model's id."""


class BaselineStrategy(resolver.ResolverStrategy):
    """The model blessed last, other than the candidate, that answers the same question.

    TFX's LatestBlessedModelStrategy would, when a run is repeated, name the candidate itself:
    the Evaluator, asked to compare a model with itself, would run again instead of answering from
    the cache, and the Pusher would push it a second time. A younger model is a baseline as well:
    settings that return to earlier ones bring an old model back from the Trainer's cache, and it
    must not replace a better one that is served by now. A model of other classes or other images
    cannot be compared and is passed over.

    The Resolver takes the channels `candidate`, `model`, `model_blessing` and `infra_blessing`, and
    gives them back with what was resolved.
    """

    def resolve_artifacts(
        self, store: Any, input_dict: dict[str, list[Any]]
    ) -> dict[str, list[Any]] | None:
        """Called by TFX."""
        del store
        candidate = input_dict["candidate"][0]
        others = [model for model in input_dict["model"] if model.id != candidate.id]
        found = last_blessed(
            others,
            input_dict["model_blessing"],
            input_dict["infra_blessing"],
            _layout(candidate),
        )
        model, blessing = found or (None, None)
        return {
            "candidate": [candidate],
            "model": [model] if model else [],
            "model_blessing": [blessing] if blessing else [],
            "infra_blessing": [],
        }


def last_blessed(
    models: Sequence[Any],
    blessings: Sequence[Any],
    infra_blessings: Sequence[Any],
    layout: tuple[Any, ...] | None,
) -> tuple[Any, Any] | None:
    """The model that was blessed last, and its blessing; None where none was.

    A model that passed the gate and could not be served never came to be compared with.

    Args:
      models: Model artifacts.
      blessings: ModelBlessing artifacts.
      infra_blessings: InfraBlessing artifacts; those that do not name their model say nothing.
      layout: classes, channels and dtype that the model must have been trained on.
    """
    by_id = {model.id: model for model in models}
    served = {
        blessing.get_int_custom_property(MODEL): blessing.get_int_custom_property("blessed") == 1
        for blessing in sorted(infra_blessings, key=lambda blessing: blessing.id)
    }
    # By blessing, not by model: one that came back from the cache was blessed later than made.
    for blessing in sorted(blessings, key=lambda blessing: blessing.id, reverse=True):
        if blessing.get_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY) != 1:
            continue
        model = by_id.get(blessing.get_int_custom_property(MODEL))
        if model is None or not served.get(model.id, True):
            continue
        if _layout(model) == layout:
            return model, blessing
    return None


def _layout(model: Any) -> tuple[Any, ...] | None:
    """What the model was trained on: classes, channels, dtype; None where its files are gone."""
    found = artifacts.layout(path_utils.serving_model_path(model.uri))
    return (found.classes, found.channels, found.dtype) if found else None
