from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.errors import InputError
from kubeflow import entrypoint, runner
from kubeflow.runner import Compiled
from pipeline.config import PipelineConfig, parse
from tests.kubeflow.conftest import VALUES


@pytest.fixture(scope="module")
def spec(package_file: Path) -> dict[str, Any]:
    """The pipeline spec."""
    return next(iter(yaml.safe_load_all(package_file.read_text())))


@pytest.fixture(scope="module")
def platform(package_file: Path) -> dict[str, Any]:
    """What Kubernetes gets, by executor."""
    documents = list(yaml.safe_load_all(package_file.read_text()))
    return documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]


def tasks(spec: dict[str, Any]) -> dict[str, Any]:
    """By the node's id."""
    return {task["taskInfo"]["name"]: task for task in spec["root"]["dag"]["tasks"].values()}


def container(spec: dict[str, Any], node: str) -> dict[str, Any]:
    component = tasks(spec)[node]["componentRef"]["name"]
    label = spec["components"][component]["executorLabel"]
    return spec["deploymentSpec"]["executors"][label]["container"]


def environment(spec: dict[str, Any], node: str) -> dict[str, str]:
    return {one["name"]: one["value"] for one in container(spec, node)["env"]}


def given(spec: dict[str, Any], node: str) -> dict[str, str]:
    """The options of a node's command."""
    words = container(spec, node)["args"]
    return dict(zip(words[::2], words[1::2]))


def test_kfp_loads_it(compiled: Compiled) -> None:
    from kfp import components

    loaded = components.load_component_from_file(str(compiled.package))
    assert loaded.name == "two-discs"  # KFP has no underscores
    types = {name: one.type for name, one in loaded.component_spec.inputs.items()}
    assert types == {
        "data_path": "String",
        "train_steps": "Integer",
        "min_mean_iou": "Float",
        "workspace": "String",
        "metadata": "String",
    }


def test_parameters_have_the_configurations_values_by_default(spec: dict[str, Any]) -> None:
    defined = spec["root"]["inputDefinitions"]["parameters"]
    assert {name: one["defaultValue"] for name, one in defined.items()} == {
        "data_path": "/labels/discs",
        "train_steps": 2000,
        "min_mean_iou": 0.6,
        "workspace": "/overtile/work",
        "metadata": "mysql://root@mysql.kubeflow:3306/metadb",
    }


def test_one_executor_a_node_and_the_dags_dependencies(
    config: PipelineConfig, compiled: Compiled, spec: dict[str, Any], tmp_path: Path
) -> None:
    from tfx.dsl.compiler.compiler import Compiler

    from pipeline.graph import build_pipeline

    here = config.model_copy(update={"workspace": tmp_path})
    ir = Compiler().compile(build_pipeline(here))
    dag = {
        node.pipeline_node.node_info.id: set(node.pipeline_node.upstream_nodes) for node in ir.nodes
    }
    assert len(dag) > 9
    assert len(spec["deploymentSpec"]["executors"]) == len(dag)
    names = {key: task["taskInfo"]["name"] for key, task in spec["root"]["dag"]["tasks"].items()}
    found = {
        node: {names[key] for key in task.get("dependentTasks", [])}
        for node, task in tasks(spec).items()
    }
    assert found == dag
    assert {name: set(before) for name, before in compiled.components.items()} == dag


def test_every_command_runs_its_own_node(compiled: Compiled, spec: dict[str, Any]) -> None:
    for node in compiled.components:
        assert container(spec, node)["command"] == ["python", "-m", "kubeflow.entrypoint"]
        options = given(spec, node)
        assert options["--node"] == node
        assert options["--run"] == "{{$.inputs.parameters['run']}}"
        source = tasks(spec)[node]["inputs"]["parameters"]["run"]
        assert source == {"runtimeValue": {"constant": "{{$.pipeline_job_uuid}}"}}


def test_commands_carry_the_configuration_safely(
    config: PipelineConfig, compiled: Compiled, spec: dict[str, Any]
) -> None:
    for node in compiled.components:
        text = given(spec, node)["--config"]
        assert "$" not in text
        assert "{{" not in text
        # A single argument has 128 KiB on Linux; an Argo workflow of all of them 1 MiB.
        assert len(text) < 16_000
        values = json.loads(text)
        assert values["data"]["group"] == config.data.group
        assert "hunter" not in text
    words = [word.replace("{{$.inputs.parameters['run']}}", "r") for word in arguments(spec)]
    there = entrypoint.configured(entrypoint.parse(words))
    assert there.data.path == Path("/labels/discs")
    assert there.workspace == Path("/overtile/work")
    assert there.kubeflow.metadata == "mysql://root@mysql.kubeflow:3306/metadb"
    assert there.beam.workers == 2  # 1.5 cores, rounded up
    ours = config.model_dump(exclude={"kubeflow", "workspace", "beam", "data"})
    assert there.model_dump(exclude={"kubeflow", "workspace", "beam", "data"}) == ours


def arguments(spec: dict[str, Any]) -> list[str]:
    """Of ImageExampleGen, with the parameters' defaults."""
    words = list(container(spec, "ImageExampleGen")["args"])
    for name, one in spec["root"]["inputDefinitions"]["parameters"].items():
        value = one["defaultValue"]
        value = int(value) if name == "train_steps" else value
        words = [
            word.replace(f"{{{{$.inputs.parameters['{name}']}}}}", str(value)) for word in words
        ]
    return words


def test_resources(spec: dict[str, Any]) -> None:
    # 4 Gi are 4 x 1024^3 = 4.294967296e9 bytes, and KFP counts in billions.
    assert container(spec, "Evaluator")["resources"] == {
        "cpuLimit": 1.5,
        "memoryLimit": 4.294967296,
    }
    assert container(spec, "Trainer")["resources"] == {
        "cpuLimit": 6.0,
        "memoryLimit": 34.359738368,
        "accelerator": {"type": "nvidia.com/gpu", "count": "2"},
    }
    assert environment(spec, "Trainer") == {"TF_NUM_INTRAOP_THREADS": "6"}
    assert environment(spec, "Evaluator") == {
        "TF_NUM_INTRAOP_THREADS": "2",
        "CUDA_VISIBLE_DEVICES": "-1",
    }


def test_retries_and_cache(spec: dict[str, Any]) -> None:
    assert tasks(spec)["Trainer"]["retryPolicy"] == {
        "maxRetryCount": 3,
        "backoffDuration": "30s",
        "backoffFactor": 2.0,
        "backoffMaxDuration": "600s",
    }
    assert "retryPolicy" not in tasks(spec)["ImportSchemaGen"]
    assert not any(
        task.get("cachingOptions", {}).get("enableCache") for task in tasks(spec).values()
    )


def test_volumes_and_the_secret(platform: dict[str, Any], spec: dict[str, Any]) -> None:
    assert platform.keys() == spec["deploymentSpec"]["executors"].keys()
    for one in platform.values():
        assert one["pvcMount"] == [
            {"constant": "overtile", "mountPath": "/overtile"},
            {"constant": "labels", "mountPath": "/labels"},
        ]
        assert one["secretAsEnv"] == [
            {
                "secretName": "mysql-secret",
                "keyToEnv": [{"secretKey": "password", "envVar": "OVERTILE_METADATA_PASSWORD"}],
            }
        ]


def test_compiling_makes_nothing_where_the_components_work(compiled: Compiled) -> None:
    del compiled
    assert not Path("/overtile").exists()


def test_resolvers_of_spans_are_nodes_too(tmp_path: Path) -> None:
    values = {**VALUES, "data": {**VALUES["data"], "spans": {}}}
    done = runner.compile_package(parse(values, tmp_path), tmp_path / "spans.yaml")
    assert {"Window", "SpanValidator", "Baseline", "Pusher"} <= set(done.components)
    assert "Window" in done.components["Transform"]


def changed(**section: Any) -> PipelineConfig:
    return parse({**VALUES, "kubeflow": {**VALUES["kubeflow"], **section}}, Path("/home/me"))


def test_an_image_is_needed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"kubeflow\.image is not set"):
        runner.compile_package(changed(image=None), tmp_path / "p.yaml")


def test_a_workspace_that_is_on_no_volume(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"kubeflow\.workspace: /home/me/work is on none"):
        runner.compile_package(changed(workspace=None), tmp_path / "p.yaml")


def test_a_data_set_that_cannot_be_looked_at_must_be_described(tmp_path: Path) -> None:
    config = changed()
    vague = config.model_copy(update={"data": config.data.model_copy(update={"channels": None})})
    with pytest.raises(InputError, match=r"data\.channels, data\.dtype and data\.classes"):
        runner.compile_package(vague, tmp_path / "p.yaml")


def test_without_kfp_the_extra_is_named(
    config: PipelineConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name == "kfp" or name.startswith("kfp.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "kfp", None)
    with pytest.raises(InputError, match="extra `kubeflow`"):
        runner.compile_package(config, tmp_path / "p.yaml")


def test_notes_tell_of_oversights(compiled: Compiled) -> None:
    assert compiled.notes == []
    config = changed(volumes={}, metadata="sqlite", components={"Trianer": {"gpu": 1}})
    notes = runner.notes(config, compiled.components)
    assert len(notes) == 3
    assert "Trianer" in notes[0]
    assert "Trainer" in notes[0]
