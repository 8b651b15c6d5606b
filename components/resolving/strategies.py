"""What TFX's Resolvers call; each gives the same answer until something newer comes.

Were it otherwise, a run without new data could not be answered from the cache.
"""

from __future__ import annotations

import json
from typing import Any

from tfx.dsl.components.common import resolver

from components.evaluation.baseline import last_blessed
from components.image_example_gen import spans
from components.resolving import ledger


class LastBlessedStrategy(resolver.ResolverStrategy):
    """The model that was blessed last before the newest of `examples` was ingested.

    Blessed before, so that a model made of these examples never becomes its own starting point
    when the run is repeated. Ids of ML Metadata grow, so they tell before from after.

    The Resolver takes the channels `examples`, `model`, `model_blessing` and `infra_blessing`, and
    gives them back with what was resolved.

    Args:
      layout: JSON of the `Layout.to_json` that the model must be of; TFX passes no nested dicts.
    """

    def __init__(self, layout: str) -> None:
        values = json.loads(layout)
        self._layout = tuple(values["classes"]), values["channels"], values["dtype"]

    def resolve_artifacts(
        self, store: Any, input_dict: dict[str, list[Any]]
    ) -> dict[str, list[Any]] | None:
        """Called by TFX."""
        del store
        newest = max(artifact.id for artifact in input_dict["examples"])
        models, blessings, infra_blessings = (
            [artifact for artifact in input_dict[name] if artifact.id < newest]
            for name in ("model", "model_blessing", "infra_blessing")
        )
        found = last_blessed(models, blessings, infra_blessings, self._layout)
        model, blessing = found or (None, None)
        return {
            "examples": input_dict["examples"],
            "model": [model] if model else [],
            "model_blessing": [blessing] if blessing else [],
            "infra_blessing": [],
        }


class EvaluationSetStrategy(resolver.ResolverStrategy):
    """The frozen evaluation set: of this run if it is the first, else of the run that made it.

    The Resolver takes the channels `new`, what this run ingested, and `evaluation`, all Examples.
    """

    def resolve_artifacts(
        self, store: Any, input_dict: dict[str, list[Any]]
    ) -> dict[str, list[Any]] | None:
        """Called by TFX."""
        del store
        new = input_dict["new"]
        request = spans.Request.from_json(new[0].get_string_custom_property(spans.REQUEST))
        if request.frozen:
            found = [one for one in input_dict["evaluation"] if one.uri == request.frozen]
        else:
            kind = spans.KIND
            found = [one for one in new if one.get_string_custom_property(kind) == spans.EVALUATES]
        return {"new": new, "evaluation": found[-1:]}


class WindowStrategy(resolver.ResolverStrategy):
    """The records that train: of the last spans that were accepted.

    The Resolver takes the channels `examples`, all Examples, `evaluation`, the frozen set, and
    `blessings`, all SpanBlessings. It gives as `examples` the evaluation set, which has no record
    to train on, and the window's spans, which have none to evaluate.

    Args:
      window: how many spans.
    """

    def __init__(self, window: int) -> None:
        self._window = window

    def resolve_artifacts(
        self, store: Any, input_dict: dict[str, list[Any]]
    ) -> dict[str, list[Any]] | None:
        """Called by TFX."""
        del store
        by_id = {artifact.id: artifact for artifact in input_dict["examples"]}
        known = ledger.of(
            (artifact.mlmd_artifact for artifact in by_id.values()),
            (artifact.mlmd_artifact for artifact in input_dict["blessings"]),
            # Of the records that there are now, whatever the configuration was when the DAG was
            # compiled: on Kubeflow a run may be given other data.
            input_dict["evaluation"][0].get_string_custom_property(spans.RECIPE),
        )
        window = [by_id[artifact.id] for artifact in known.window(self._window)]
        return {
            "examples": [*input_dict["evaluation"], *window],
            "evaluation": input_dict["evaluation"],
            "blessings": [],
        }
