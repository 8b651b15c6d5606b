"""Reads a compiled package as Kubeflow Pipelines does: tasks, their order, and their commands."""

from __future__ import annotations

import dataclasses
import graphlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from components.errors import InputError

_INPUT = re.compile(r"\{\{\$\.inputs\.parameters\['(\w+)'\]\}\}")
_RUN = "{{$.pipeline_job_uuid}}"
_TYPES = {"NUMBER_INTEGER": int, "NUMBER_DOUBLE": float, "STRING": str}


@dataclasses.dataclass(frozen=True)
class Task:
    """One task of a package.

    Attributes:
      name: that people see; here the node's id.
      command: what the container starts.
      arguments: for it, with placeholders for the task's inputs.
      inputs: of each input where it comes from, as the pipeline spec has it.
      environment: variables that the container gets.
      retries: how often it is tried again.
    """

    name: str
    command: list[str]
    arguments: list[str]
    inputs: Mapping[str, Any]
    environment: Mapping[str, str]
    retries: int

    def filled(self, parameters: Mapping[str, Any], run: str) -> list[str]:
        """The arguments of a run."""
        values = {}
        for name, source in self.inputs.items():
            if "componentInputParameter" in source:
                values[name] = str(parameters[source["componentInputParameter"]])
            else:
                values[name] = str(source["runtimeValue"]["constant"]).replace(_RUN, run)
        return [_INPUT.sub(lambda found: values[found[1]], word) for word in self.arguments]


@dataclasses.dataclass(frozen=True)
class Package:
    """A compiled pipeline.

    Attributes:
      name: of the pipeline.
      tasks: in an order in which each comes after those that it depends on.
      parameters: each with its default.
    """

    name: str
    tasks: list[Task]
    parameters: Mapping[str, Any]


def read(file: Path) -> Package:
    """Reads a package that `overtile kubeflow compile` wrote.

    Raises:
      InputError: it is missing, or is something else.
    """
    try:
        spec = next(yaml.safe_load_all(file.read_text()))
        return _package(spec)
    except FileNotFoundError:
        raise InputError(f"There is no {file}; `overtile kubeflow compile` writes one.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError, StopIteration) as error:
        raise InputError(f"{file} cannot be read: {' '.join(str(error).split())}.") from None
    except (KeyError, TypeError, AttributeError, graphlib.CycleError):
        raise InputError(
            f"{file} is no package of `overtile kubeflow compile`; is it the configuration?"
        ) from None


def _package(spec: Mapping[str, Any]) -> Package:
    tasks = spec["root"]["dag"]["tasks"]
    order = graphlib.TopologicalSorter(
        {key: task.get("dependentTasks", []) for key, task in tasks.items()}
    )
    defined = spec["root"]["inputDefinitions"]["parameters"]
    return Package(
        name=spec["pipelineInfo"]["name"],
        tasks=[_task(spec, tasks[key]) for key in order.static_order()],
        # The spec has all numbers as floats.
        parameters={
            name: _TYPES[one["parameterType"]](one["defaultValue"]) for name, one in defined.items()
        },
    )


def _task(spec: Mapping[str, Any], task: Mapping[str, Any]) -> Task:
    label = spec["components"][task["componentRef"]["name"]]["executorLabel"]
    container = spec["deploymentSpec"]["executors"][label]["container"]
    return Task(
        name=task["taskInfo"]["name"],
        command=container["command"],
        arguments=container["args"],
        inputs=task["inputs"]["parameters"],
        environment={one["name"]: one["value"] for one in container.get("env", [])},
        retries=task.get("retryPolicy", {}).get("maxRetryCount", 0),
    )
