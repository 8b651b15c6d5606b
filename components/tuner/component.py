"""What the DAG sees of the Tuner."""

from __future__ import annotations

from tfx.components.tuner import component
from tfx.dsl.components.base import executor_spec

from components.tuner.executor import Executor


class Tuner(component.Tuner):
    """As TFX's; `tuner_results` has `trials.json` as well."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
