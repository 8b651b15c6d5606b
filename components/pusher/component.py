"""What the DAG sees of the Pusher."""

from tfx.components.pusher import component
from tfx.dsl.components.base import executor_spec

from components.pusher.executor import Executor


class Pusher(component.Pusher):
    """As TFX's, but a version is complete from the moment it can be seen."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
