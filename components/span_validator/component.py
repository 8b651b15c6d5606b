"""What the DAG sees of the SpanValidator."""

from __future__ import annotations

import json
from typing import ClassVar

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, component_spec, standard_artifacts

from components.records import Layout
from components.span_validator.blessing import SpanBlessing
from components.span_validator.executor import Executor


class SpanValidatorSpec(component_spec.ComponentSpec):
    """What the component takes and gives."""

    PARAMETERS: ClassVar = {
        "layout": component_spec.ExecutionParameter(type=str),
        "min_agreement": component_spec.ExecutionParameter(type=float),
    }
    INPUTS: ClassVar = {
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "evaluation": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model, optional=True),
    }
    OUTPUTS: ClassVar = {"blessing": component_spec.ChannelParameter(type=SpanBlessing)}


class SpanValidator(base_component.BaseComponent):
    """Refuses spans whose labels the last blessed model cannot make sense of.

    Masks that were mixed up, shifted or exported with other class ids would otherwise go into
    training, and a model that learned from them may still pass the gate while good spans outweigh
    them.

    Outputs:
      blessing: one SpanBlessing, a verdict for each Examples artifact of this run; beside it
        `verdicts.json`, the same for people.
    """

    SPEC_CLASS = SpanValidatorSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        examples: channel.BaseChannel,
        evaluation: channel.BaseChannel,
        model: channel.BaseChannel,
        layout: Layout,
        min_agreement: float,
    ):
        """Makes the node.

        Args:
          examples: what this run ingested.
          evaluation: the frozen evaluation set.
          model: the last blessed model, or none.
          layout: of the records.
          min_agreement: see `agreement.judge`; 0 accepts every span.
        """
        super().__init__(
            SpanValidatorSpec(
                examples=examples,
                evaluation=evaluation,
                model=model,
                layout=json.dumps(layout.to_json()),
                min_agreement=min_agreement,
                blessing=channel.Channel(type=SpanBlessing),
            )
        )
