from __future__ import annotations

from pathlib import Path

import pytest

from components.errors import InputError
from kubeflow import package
from kubeflow.runner import Compiled

# Two tasks, of which the second in the alphabet comes first; a number that the spec has as a float.
SPEC = """
pipelineInfo: {name: small}
components:
  comp-a: {executorLabel: exec-a}
  comp-b: {executorLabel: exec-b}
deploymentSpec:
  executors:
    exec-a:
      container:
        image: none
        command: [python, -m, it]
        args: [--run, "{{$.inputs.parameters['run']}}", --n, "n={{$.inputs.parameters['n']}}!"]
        env: [{name: COLOUR, value: red}]
    exec-b:
      container: {image: none, command: ["true"], args: []}
root:
  inputDefinitions:
    parameters:
      steps: {parameterType: NUMBER_INTEGER, defaultValue: 60.0}
  dag:
    tasks:
      a:
        componentRef: {name: comp-a}
        dependentTasks: [b]
        inputs:
          parameters:
            n: {componentInputParameter: steps}
            run: {runtimeValue: {constant: "{{$.pipeline_job_uuid}}"}}
        retryPolicy: {maxRetryCount: 2}
        taskInfo: {name: A}
      b:
        componentRef: {name: comp-b}
        inputs: {parameters: {}}
        taskInfo: {name: B}
"""


def test_tasks_come_after_those_they_need_and_get_their_inputs(tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(SPEC)
    read = package.read(file)
    assert [task.name for task in read.tasks] == ["B", "A"]
    assert read.parameters == {"steps": 60}
    task = read.tasks[1]
    assert task.command == ["python", "-m", "it"]
    assert task.filled({"steps": 60}, "run-7") == ["--run", "run-7", "--n", "n=60!"]
    assert task.environment == {"COLOUR": "red"}
    assert (read.tasks[0].retries, task.retries) == (0, 2)


def test_a_compiled_package(compiled: Compiled) -> None:
    read = package.read(compiled.package)
    assert read.parameters == compiled.parameters
    assert {task.name for task in read.tasks} == set(compiled.components)
    done: set[str] = set()
    for task in read.tasks:
        assert set(compiled.components[task.name]) <= done
        done.add(task.name)
        assert "{{" not in " ".join(task.filled(read.parameters, "run-7"))


def test_what_is_no_package(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="kubeflow compile` writes one"):
        package.read(tmp_path / "missing.yaml")
    (tmp_path / "overtile.yaml").write_text("data: {path: data}\n")
    with pytest.raises(InputError, match="is it the configuration"):
        package.read(tmp_path / "overtile.yaml")
    (tmp_path / "broken.yaml").write_text("a: [\n")
    with pytest.raises(InputError, match="cannot be read"):
        package.read(tmp_path / "broken.yaml")
