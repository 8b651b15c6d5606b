"""ImageExampleGen: labelled images -> Examples."""

from __future__ import annotations

from typing import Any, ClassVar

from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import channel, component_spec, standard_artifacts

from components.image_example_gen import driver, executor
from components.image_example_gen.config import DataConfig
from components.image_example_gen.ingest_config import IngestConfig


class ImageExampleGenSpec(component_spec.ComponentSpec):
    """What the component takes and gives."""

    PARAMETERS: ClassVar = {
        "data": component_spec.ExecutionParameter(type=str),
        "ingest": component_spec.ExecutionParameter(type=str),
        "span": component_spec.ExecutionParameter(type=int),
        "spans": component_spec.ExecutionParameter(type=str),
    }
    INPUTS: ClassVar[dict[str, Any]] = {}
    OUTPUTS: ClassVar = {
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples)
    }


class ImageExampleGen(base_beam_component.BaseBeamComponent):
    """Reads labelled images and writes records, split into train and eval.

    Outputs:
      examples: Examples with the splits train and eval; beside them `counts.json` and
        `set_aside.jsonl` (see `integrity`). With `data.spans` one artifact a new span, whose eval
        split is empty, and before them, in the first run, the evaluation set, whose train split is.
    """

    SPEC_CLASS = ImageExampleGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)
    DRIVER_CLASS = driver.Driver

    def __init__(self, data: DataConfig, ingest: IngestConfig, span: int = 0):
        """Makes the node.

        Args:
          data: complete: path, channels, dtype and classes are given.
          ingest: how images become records.
          span: number of this delivery of images.
        """
        assert data.path is not None, "a pipeline needs data.path"
        data = data.model_copy(update={"path": data.path.absolute()})
        super().__init__(
            ImageExampleGenSpec(
                # A colour changes no record, so changing one must not ingest anew.
                data=data.model_dump_json(exclude={"colours", "spans"}),
                ingest=ingest.model_dump_json(),
                span=span,
                # The driver puts those to be ingested in its place.
                spans=data.spans.model_dump_json() if data.spans else "",
                examples=channel.Channel(type=standard_artifacts.Examples),
            )
        )
