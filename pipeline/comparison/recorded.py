"""What a run left: its model, its training and the records that it was evaluated on."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2
from tfx.components.example_gen import utils as example_gen
from tfx.types import artifact as tfx_artifact
from tfx.types import artifact_utils
from tfx.utils import path_utils

from components import artifacts
from components.errors import InputError
from components.places import place
from components.records import EVAL, TRAIN, Layout
from pipeline.runs import Result

_CONTEXT = "pipeline_run"
_Event = metadata_store_pb2.Event
_OUTPUTS = (_Event.OUTPUT, _Event.INTERNAL_OUTPUT)
_INPUTS = (_Event.INPUT, _Event.INTERNAL_INPUT)

Outputs = Mapping[str, Sequence[tfx_artifact.Artifact]]


@dataclasses.dataclass(frozen=True)
class Recorded:
    """A run whose model is still there.

    Attributes:
      run: its id.
      workspace: where it ran.
      file: the configuration that it was read from; None where it had none.
      configuration: the whole of it; empty where the run left none.
      model: folder of the exported SavedModel.
      layout: of the records.
      training: what `training.json` tells.
      seconds: of training. Without evaluation where the history says it, else of the whole
        component, and None where a training that was killed took more than is known of.
      train_files, eval_files: TFRecord files of the two splits.
      fingerprints: of the data set.
    """

    run: str
    workspace: Path
    file: str | None
    configuration: Mapping[str, Any]
    model: str
    layout: Layout
    training: Mapping[str, Any]
    seconds: float | None
    train_files: tuple[str, ...]
    eval_files: tuple[str, ...]
    fingerprints: frozenset[str]


def read(result: Result, workspace: Path) -> Recorded:
    """What ML Metadata knows of a run.

    Args:
      result: the run.
      workspace: its own.

    Raises:
      InputError: it came to no model, or its files are gone.
    """
    store = _store(workspace)
    context = store.get_context_by_type_and_name(_CONTEXT, result.run)
    if context is None:
        raise InputError(
            f"Run {result.run} ({result.status}) ended before its first component, and has no "
            "model: compare takes runs that came to a verdict."
        )
    nodes = _Nodes(store, context)
    trainer, evaluator = nodes.outputs("Trainer"), nodes.inputs("Evaluator")
    if not trainer.get("model") or not evaluator.get("examples"):
        raise InputError(
            f"Run {result.run} ({result.status}) has no model that was evaluated: compare takes "
            "runs that came to a verdict."
        )
    model = path_utils.serving_model_path(trainer["model"][0].uri)
    layout = artifacts.layout(model)
    file = place(trainer["model_run"][0].uri) / "training.json"
    evaluation = artifacts.split_files(evaluator["examples"], EVAL)
    if layout is None or not file.exists() or not evaluation:
        raise InputError(
            f"The model of run {result.run} or its records are gone from {workspace}: run its "
            "configuration again."
        )
    training = json.loads(file.read_text())
    train_examples = nodes.inputs("Trainer")["examples"]
    return Recorded(
        run=result.run,
        workspace=workspace,
        file=result.config,
        configuration=yaml.safe_load(nodes.property("RunReport", "configuration") or "") or {},
        model=model,
        layout=layout,
        training=training,
        seconds=seconds(training, nodes.seconds(trainer["model"][0].id)),
        train_files=tuple(artifacts.split_files(train_examples, TRAIN)),
        eval_files=tuple(evaluation),
        fingerprints=frozenset(
            one.get_string_custom_property(example_gen.FINGERPRINT_PROPERTY_NAME)
            for one in (*train_examples, *evaluator["examples"])
        ),
    )


def seconds(training: Mapping[str, Any], of_component: float | None) -> float | None:
    """How long training took, as well as it is known.

    Args:
      training: what `training.json` tells; its history has `seconds` unless an older version of
        Overtile trained.
      of_component: what the whole Trainer took, evaluation and export included.
    """
    history = training["history"]
    if history and "seconds" in history[-1]:
        return float(history[-1]["seconds"])
    return None if training.get("resumed_from_step") else of_component


class _Nodes:
    """The executions of one run, by the component's name."""

    def __init__(
        self, store: metadata_store.MetadataStore, context: metadata_store_pb2.Context
    ) -> None:
        self._store = store
        self._executions: dict[str, metadata_store_pb2.Execution] = {}
        good = (metadata_store_pb2.Execution.COMPLETE, metadata_store_pb2.Execution.CACHED)
        for execution in store.get_executions_by_context(context.id):
            if execution.last_known_state in good:
                (kind,) = store.get_execution_types_by_id([execution.type_id])
                name = kind.name.rsplit(".", 1)[-1]
                known = self._executions.get(name)
                if known is None or known.id < execution.id:
                    self._executions[name] = execution

    def outputs(self, name: str) -> Outputs:
        return self._artifacts(name, _OUTPUTS)

    def inputs(self, name: str) -> Outputs:
        return self._artifacts(name, _INPUTS)

    def property(self, name: str, key: str) -> str:
        execution = self._executions.get(name)
        return execution.custom_properties[key].string_value if execution else ""

    def seconds(self, artifact: int) -> float | None:
        """What the execution took that made an artifact, perhaps in an earlier run."""
        made = [
            event.execution_id
            for event in self._store.get_events_by_artifact_ids([artifact])
            if event.type == _Event.OUTPUT
        ]
        for execution in self._store.get_executions_by_id(made):
            if execution.last_known_state == metadata_store_pb2.Execution.COMPLETE:
                return (
                    execution.last_update_time_since_epoch - execution.create_time_since_epoch
                ) / 1000
        return None

    def _artifacts(self, name: str, kinds: Sequence[int]) -> Outputs:
        execution = self._executions.get(name)
        if execution is None:
            return {}
        events = [
            event
            for event in self._store.get_events_by_execution_ids([execution.id])
            if event.type in kinds
        ]
        protos, types = self._store.get_artifacts_and_types_by_artifact_ids(
            sorted({event.artifact_id for event in events})
        )
        kind_of = {kind.id: kind for kind in types}
        found = {
            one.id: artifact_utils.deserialize_artifact(kind_of[one.type_id], one) for one in protos
        }
        named: dict[str, list[tfx_artifact.Artifact]] = {}
        for event in sorted(events, key=lambda event: event.path.steps[-1].index):
            named.setdefault(event.path.steps[0].key, []).append(found[event.artifact_id])
        return named


def _store(workspace: Path) -> metadata_store.MetadataStore:
    file = workspace / "metadata.sqlite"
    if not file.is_file():
        raise InputError(f"There is no {file}: nothing was run in {workspace} yet.")
    connection = metadata_store_pb2.ConnectionConfig()
    connection.sqlite.filename_uri = str(file)
    connection.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READONLY
    return metadata_store.MetadataStore(connection)
