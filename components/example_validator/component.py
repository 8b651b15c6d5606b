"""What the DAG sees of the ExampleValidator, and which statistics it wants."""

from __future__ import annotations

from typing import ClassVar

import tensorflow_data_validation as tfdv
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, component_spec, standard_artifacts, standard_component_specs
from tfx.utils import json_utils

from components.example_validator.config import ChecksConfig
from components.example_validator.executor import Executor
from components.records import DESCRIPTIVE_FEATURES


class ExampleValidatorSpec(standard_component_specs.ExampleValidatorSpec):
    """As TFX's, with the records' tables of images."""

    PARAMETERS: ClassVar = {
        **standard_component_specs.ExampleValidatorSpec.PARAMETERS,
        "checks": component_spec.ExecutionParameter(type=str),
        "classes": component_spec.ExecutionParameter(type=str),
    }
    INPUTS: ClassVar = {
        **standard_component_specs.ExampleValidatorSpec.INPUTS,
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
    }


class ExampleValidator(base_component.BaseComponent):
    """Stops the run where statistics contradict the schema, and says what images are worth a look.

    Outputs:
      anomalies: as of TFX's ExampleValidator; beside the splits `checks.json`, see `checks`.
    """

    SPEC_CLASS = ExampleValidatorSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        statistics: channel.BaseChannel,
        schema: channel.BaseChannel,
        examples: channel.BaseChannel,
        checks: ChecksConfig,
        classes: tuple[str, ...],
    ):
        """Makes the node.

        Args:
          statistics: of the records.
          schema: what they must look like.
          examples: the records, with `images.parquet` beside them.
          checks: the limits.
          classes: by id.
        """
        super().__init__(
            ExampleValidatorSpec(
                statistics=statistics,
                schema=schema,
                examples=examples,
                exclude_splits=json_utils.dumps([]),
                checks=checks.model_dump_json(),
                classes=json_utils.dumps(list(classes)),
                anomalies=channel.Channel(type=standard_artifacts.ExampleAnomalies),
            )
        )


def stats_options() -> tfdv.StatsOptions:
    """For StatisticsGen: the descriptive features alone.

    It would take pixels for words and shuffle every image as a key
    (https://github.com/tensorflow/tfx/issues/505).
    """
    return tfdv.StatsOptions(feature_allowlist=list(DESCRIPTIVE_FEATURES))
