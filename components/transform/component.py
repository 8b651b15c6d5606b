"""What the DAG sees of the Transform."""

from __future__ import annotations

from tfx.components.transform import component
from tfx.dsl.components.base import executor_spec

from components.transform.executor import Executor


class Transform(component.Transform):
    """As TFX's; its `preprocessing_fn` is told which sources must not train."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
