"""What the DAG sees of the Pusher."""

from tfx import v1 as tfx
from tfx.dsl.components.base import executor_spec

from components.pusher.executor import Executor


class Pusher(tfx.components.Pusher):
    """As TFX's, but a version is complete from the moment it can be seen."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
