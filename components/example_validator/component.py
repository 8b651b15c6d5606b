"""What the DAG sees of the ExampleValidator, and which statistics it wants."""

from __future__ import annotations

import tensorflow_data_validation as tfdv
from tfx.components.example_validator import component
from tfx.dsl.components.base import executor_spec

from components.example_validator.executor import Executor
from components.records import DESCRIPTIVE_FEATURES


class ExampleValidator(component.ExampleValidator):
    """Stops the run where statistics contradict the schema; else as TFX's."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)


def stats_options() -> tfdv.StatsOptions:
    """For StatisticsGen: the descriptive features alone.

    It would take pixels for words and shuffle every image as a key
    (https://github.com/tensorflow/tfx/issues/505).
    """
    return tfdv.StatsOptions(feature_allowlist=list(DESCRIPTIVE_FEATURES))
