"""Where records come from and what they are for: the part of the DAG that `data.spans` changes."""

from __future__ import annotations

import dataclasses
import json

from tfx import types
from tfx.dsl.components.base.base_node import BaseNode
from tfx.dsl.components.common.resolver import Resolver
from tfx.types import standard_artifacts

from components.image_example_gen.config import layout as records_layout
from components.resolving.strategies import (
    EvaluationSetStrategy,
    LastBlessedStrategy,
    WindowStrategy,
)
from components.span_validator.blessing import SpanBlessing
from components.span_validator.component import SpanValidator
from pipeline.config import PipelineConfig


@dataclasses.dataclass(frozen=True)
class Flow:
    """Which records train and which evaluate.

    Attributes:
      training: Examples whose train split trains, and whose eval split stops training early.
      evaluation: Examples whose eval split the gate is about.
      base_model: what training starts from; None where it never does.
      nodes: that find these.
    """

    training: types.BaseChannel
    evaluation: types.BaseChannel
    base_model: types.BaseChannel | None = None
    nodes: tuple[BaseNode, ...] = ()


def flow(config: PipelineConfig, examples: BaseNode, validator: BaseNode) -> Flow:
    """Everything that was ingested, or with spans a window of them and the frozen evaluation set.

    Args:
      config: of the pipeline.
      examples: the ImageExampleGen.
      validator: the ExampleValidator.
    """
    new = examples.outputs["examples"]
    if config.data.spans is None:
        return Flow(new, new)
    layout = records_layout(config.data, config.ingest)
    question = json.dumps(layout.to_json())

    # The evaluation set that the first run made.
    evaluation = Resolver(
        strategy_class=EvaluationSetStrategy,
        new=new,
        evaluation=types.Channel(type=standard_artifacts.Examples),
    ).with_id("EvaluationSet")

    # The blessed model that the new labels are shown to.
    judge = Resolver(
        strategy_class=LastBlessedStrategy,
        config={"layout": question},
        examples=new,
        model=types.Channel(type=standard_artifacts.Model),
        model_blessing=types.Channel(type=standard_artifacts.ModelBlessing),
        infra_blessing=types.Channel(type=standard_artifacts.InfraBlessing),
    ).with_id("SpanJudge")

    # Refuses new spans whose labels make no sense to it.
    span_validator = SpanValidator(
        examples=new,
        evaluation=evaluation.outputs["evaluation"],
        model=judge.outputs["model"],
        layout=layout,
        min_agreement=config.data.spans.min_agreement,
    )
    span_validator.add_upstream_node(validator)

    # The last spans that were accepted, whenever they were ingested.
    window = Resolver(
        strategy_class=WindowStrategy,
        config={"window": config.data.spans.window},
        examples=types.Channel(type=standard_artifacts.Examples),
        evaluation=evaluation.outputs["evaluation"],
        blessings=types.Channel(type=SpanBlessing),
    ).with_id("Window")
    window.add_upstream_node(span_validator)

    nodes: tuple[BaseNode, ...] = (evaluation, judge, span_validator, window)
    base_model = None
    if config.train.warm_start:
        # The model that was blessed last before the newest of these spans came.
        warm_start = Resolver(
            strategy_class=LastBlessedStrategy,
            config={"layout": question},
            examples=window.outputs["examples"],
            model=types.Channel(type=standard_artifacts.Model),
            model_blessing=types.Channel(type=standard_artifacts.ModelBlessing),
            infra_blessing=types.Channel(type=standard_artifacts.InfraBlessing),
        ).with_id("WarmStart")
        nodes, base_model = (*nodes, warm_start), warm_start.outputs["model"]
    return Flow(window.outputs["examples"], window.outputs["evaluation"], base_model, nodes)
