# No `from __future__ import annotations`: TFX's decorator reads a function's types as they are.
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ml_metadata.proto import metadata_store_pb2
from tfx.dsl.component.experimental.annotations import OutputArtifact
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.components.common.resolver import Resolver
from tfx.dsl.input_resolution.strategies.latest_artifact_strategy import LatestArtifactStrategy
from tfx.orchestration import metadata as tfx_metadata
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.orchestration.pipeline import Pipeline
from tfx.types import standard_artifacts

from components.errors import InputError
from kubeflow import entrypoint, metadata, package
from kubeflow.runner import Compiled
from pipeline.config import PipelineConfig, parse
from pipeline.nodes import Dag
from tests.kubeflow import metadata_server
from tests.kubeflow.conftest import VALUES


@pytest.fixture
def here(tmp_path: Path) -> PipelineConfig:
    """Of a pipeline whose ML Metadata is a file."""
    return parse({**VALUES, "kubeflow": {"metadata": "sqlite"}}, tmp_path)


def executions(config: PipelineConfig) -> list[metadata_store_pb2.Execution]:
    connection = metadata.connection(config.kubeflow.metadata, config.workspace)
    with tfx_metadata.Metadata(connection) as store:
        return store.store.get_executions()


def test_the_digest_is_of_nodes_and_edges() -> None:
    dag = {"A": (), "B": ("A",), "C": ("A", "B")}
    assert entrypoint.digest(dag) == entrypoint.digest({"C": ("B", "A"), "B": ("A",), "A": ()})
    assert entrypoint.digest(dag) != entrypoint.digest({**dag, "C": ("B",)})
    assert entrypoint.digest(dag) != entrypoint.digest({**dag, "D": ()})


def test_an_image_of_another_dag_is_refused(here: PipelineConfig) -> None:
    with pytest.raises(InputError, match="builds another DAG"):
        entrypoint.run(here, "ImportSchemaGen", "run-1", "0123456789ab")


def test_a_cluster_too_old_to_name_the_run_is_refused(here: PipelineConfig) -> None:
    with pytest.raises(InputError, match=r"2\.4 or newer"):
        entrypoint.run(here, "ImportSchemaGen", "{{$.pipeline_job_uuid}}", "0123456789ab")


def test_nodes_of_a_run_share_ml_metadata_over_grpc(tmp_path: Path, compiled: Compiled) -> None:
    expected = entrypoint.digest(compiled.components)
    with metadata_server.serve(tmp_path / "metadata.sqlite") as address:
        remote = parse({**VALUES, "kubeflow": {"metadata": address}}, tmp_path)
        first = entrypoint.run(remote, "ImportSchemaGen", "run-1", expected)
        # What a pod does that was lost after it had ended, and is started again.
        again = entrypoint.run(remote, "ImportSchemaGen", "run-1", expected)
        assert again.folder("schema") == first.folder("schema")
        assert len(executions(remote)) == 1
        other = entrypoint.run(remote, "ImportSchemaGen", "run-2", expected)
        assert other.state == "cached"
        assert len(executions(remote)) == 2
    assert (first.folder("schema") / "schema.pbtxt").is_file()


def test_an_ml_metadata_that_does_not_answer_is_named(tmp_path: Path, compiled: Compiled) -> None:
    with metadata_server.serve(tmp_path / "metadata.sqlite") as address:
        pass
    gone = parse({**VALUES, "kubeflow": {"metadata": address}}, tmp_path)
    with pytest.raises(ConnectionError, match=f"does not answer at {address}"):
        entrypoint.run(gone, "ImportSchemaGen", "run-1", entrypoint.digest(compiled.components))


def test_a_wrong_parameter_ends_with_a_sentence(compiled: Compiled) -> None:
    read = package.read(compiled.package)
    task = read.tasks[0]
    arguments = task.filled({**read.parameters, "min_mean_iou": 7.5}, "run-1")
    done = subprocess.run(
        [sys.executable, "-m", "kubeflow.entrypoint", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    last = done.stdout.splitlines()[-1]
    assert "evaluate.min_mean_iou: 7.5 is not allowed" in last
    assert "Traceback" in done.stderr
    assert "Traceback" not in done.stdout


KILL: list[str] = []
"""Holds something where the next execution of Writer is to be killed."""


@component
def Writer(examples: OutputArtifact[standard_artifacts.Examples]) -> None:
    """Writes its output, or is killed when it has written half of it."""
    folder = Path(examples.uri)
    if KILL:
        KILL.clear()
        (folder / "half").touch()
        raise KeyboardInterrupt  # which the launcher lets pass: to ML Metadata it still runs
    (folder / "whole").touch()


def small(folder: Path, run: str) -> Dag:
    """A component and a resolver."""
    writer = Writer()
    latest = Resolver(
        strategy_class=LatestArtifactStrategy, examples=writer.outputs["examples"]
    ).with_id("Latest")
    connection = sqlite_metadata_connection_config(str(folder / "metadata.sqlite"))
    pipeline = Pipeline(
        "small", str(folder / "root"), connection, [writer, latest], enable_cache=True
    )
    return Dag(pipeline, run)


def states(folder: Path) -> list[Any]:
    connection = sqlite_metadata_connection_config(str(folder / "metadata.sqlite"))
    with tfx_metadata.Metadata(connection) as store:
        return [execution.last_known_state for execution in store.store.get_executions()]


def test_a_node_that_was_killed_in_the_middle_starts_anew(tmp_path: Path) -> None:
    running, complete = metadata_store_pb2.Execution.RUNNING, metadata_store_pb2.Execution.COMPLETE
    KILL.append("now")
    with pytest.raises(KeyboardInterrupt):
        small(tmp_path, "run-1").launch("Writer")
    KILL.append("now")
    with pytest.raises(KeyboardInterrupt):
        small(tmp_path, "run-2").launch("Writer")
    assert states(tmp_path) == [running, running]
    assert len(list(tmp_path.glob("root/Writer/examples/*/half"))) == 2

    dag = small(tmp_path, "run-1")
    assert dag.outcome("Writer") is None
    dag.forget_unfinished("Writer")
    # The other run may be at work.
    (left,) = tmp_path.glob("root/Writer/examples/*/half")
    assert dag.launch("Writer").state == "done"
    assert states(tmp_path) == [complete, running]
    done = dag.outcome("Writer")
    assert done is not None
    assert [path.name for path in done.folder("examples").iterdir()] == ["whole"]
    assert left.exists()


def test_a_resolver_that_was_killed_finds_the_same_once(tmp_path: Path) -> None:
    dag = small(tmp_path, "run-1")
    written = dag.launch("Writer")
    dag.launch("Latest")
    dag.launch("Latest")  # what a retry does whose first attempt was killed after it had ended
    found = small(tmp_path, "run-1").outcome("Latest")
    assert found is not None
    (artifact,) = found.outputs["examples"]
    assert artifact.uri == str(written.folder("examples"))
