"""ServingValidator: what the DAG sees of it, and of what may stand in its place."""

from __future__ import annotations

from typing import Any, ClassVar

from tfx.components.infra_validator.component import InfraValidator
from tfx.dsl.components.base import base_component, executor_spec
from tfx.proto import infra_validator_pb2
from tfx.types import channel, component_spec, standard_artifacts

from components.serving_validator.config import ValidationConfig
from components.serving_validator.executor import Executor

# TensorFlow Serving of the version that the models are made with.
_IMAGE_TAG = "2.15.1"


class ServingValidatorSpec(component_spec.ComponentSpec):
    """What the component takes and gives."""

    PARAMETERS: ClassVar = {
        "name": component_spec.ExecutionParameter(type=str),
        "validation": component_spec.ExecutionParameter(type=str),
    }
    INPUTS: ClassVar = {
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
    }
    OUTPUTS: ClassVar = {
        "blessing": component_spec.ChannelParameter(type=standard_artifacts.InfraBlessing)
    }


class ServingValidator(base_component.BaseComponent):
    """Serves an exported model, asks it for masks of eval images, and checks the answers.

    Outputs:
      blessing: InfraBlessing, which the Pusher obeys; beside it `validation.json` (see `checks`).
    """

    SPEC_CLASS = ServingValidatorSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(self, model: Any, examples: Any, name: str, validation: ValidationConfig):
        """Makes the node.

        Args:
          model: channel of the exported model.
          examples: channel of the records.
          name: under which the model is served.
          validation: what is asked of it.
        """
        super().__init__(
            ServingValidatorSpec(
                model=model,
                examples=examples,
                name=name,
                validation=validation.model_dump_json(),
                blessing=channel.Channel(type=standard_artifacts.InfraBlessing),
            )
        )


def validator(
    model: Any, examples: Any, name: str, validation: ValidationConfig
) -> base_component.BaseComponent | None:
    """The node that `validation.by` names: ours, TFX's InfraValidator, or none.

    TFX's starts TensorFlow Serving's image in Docker or Kubernetes and sends records to the
    signature `evaluate`, the one that takes them.
    """
    if validation.by == "none":
        return None
    if validation.by == "embedded":
        return ServingValidator(model, examples, name, validation)
    serving = infra_validator_pb2.ServingSpec(
        tensorflow_serving=infra_validator_pb2.TensorFlowServing(tags=[_IMAGE_TAG]),
        model_name=name,
    )
    if validation.by == "docker":
        serving.local_docker.SetInParent()
    else:
        serving.kubernetes.SetInParent()
    request = infra_validator_pb2.TensorFlowServingRequestSpec(signature_names=["evaluate"])
    return InfraValidator(
        model=model,
        examples=examples,
        serving_spec=serving,
        validation_spec=infra_validator_pb2.ValidationSpec(
            max_loading_time_seconds=validation.max_loading_seconds
        ),
        request_spec=infra_validator_pb2.RequestSpec(
            tensorflow_serving=request, num_examples=validation.images
        ),
    )
