"""What a run of the package may be given in place of what it was compiled with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from components.errors import InputError

if TYPE_CHECKING:
    from pipeline.config import PipelineConfig


class Parameter(NamedTuple):
    """One parameter of the pipeline.

    Attributes:
      key: of the configuration that it replaces.
      type: of its values.
    """

    key: str
    type: type


PARAMETERS = {
    "data_path": Parameter("data.path", str),
    "train_steps": Parameter("train.steps", int),
    "min_mean_iou": Parameter("evaluate.min_mean_iou", float),
    "workspace": Parameter("workspace", str),
    "metadata": Parameter("kubeflow.metadata", str),
}
"""By name. None of them changes which components there are."""


def defaults(config: PipelineConfig) -> dict[str, Any]:
    """What the configuration has for each parameter."""
    values = {}
    for name, parameter in PARAMETERS.items():
        value: Any = config
        for key in parameter.key.split("."):
            value = getattr(value, key)
        values[name] = parameter.type(value)
    return values


def overrides(values: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as `pipeline.config.parse` takes them: by the keys that they replace."""
    return {PARAMETERS[name].key: value for name, value in values.items()}


def parse(settings: list[str]) -> dict[str, Any]:
    """Reads `NAME=VALUE` as the command line gives them.

    Raises:
      InputError: there is no such parameter, or it is of another type.
    """
    values = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or name not in PARAMETERS:
            raise InputError(
                f"-p {setting}: write it as NAME=VALUE, where NAME is one of "
                f"{', '.join(PARAMETERS)}; other keys are set when the package is compiled."
            )
        wanted = PARAMETERS[name].type
        try:
            values[name] = wanted(value)
        except ValueError:
            raise InputError(f"-p {setting}: {value!r} is no {wanted.__name__}.") from None
    return values
