"""What the DAG sees of the StatisticsGen."""

from __future__ import annotations

from tfx.components.statistics_gen import component
from tfx.dsl.components.base import executor_spec

from components.statistics_gen.executor import Executor


class StatisticsGen(component.StatisticsGen):
    """As TFX's, but of several Examples artifacts at once.

    Outputs:
      statistics: of one artifact, its splits; of several, splits named `train-span-3`.
    """

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
