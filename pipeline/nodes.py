"""Launches the components of a compiled DAG by TFX's launcher, and asks ML Metadata about them."""

from __future__ import annotations

import shutil
from pathlib import Path

from ml_metadata.proto import metadata_store_pb2
from tfx.dsl.compiler import compiler, constants
from tfx.orchestration import metadata
from tfx.orchestration import pipeline as tfx_pipeline
from tfx.orchestration.local import runner_utils
from tfx.orchestration.portable import launcher, runtime_parameter_utils
from tfx.orchestration.portable.mlmd import execution_lib
from tfx.proto.orchestration import pipeline_pb2

from pipeline.outcome import Outcome

_State = metadata_store_pb2.Execution


class Dag:
    """A pipeline, compiled for one run.

    Args:
      pipeline: what `graph.build_pipeline` returned.
      run: an id that no other run of this workspace has.

    Attributes:
      names: its components, in an order in which each comes after those it needs.
    """

    def __init__(self, pipeline: tfx_pipeline.Pipeline, run: str):
        self._dag: pipeline_pb2.Pipeline = compiler.Compiler().compile(pipeline)
        runtime_parameter_utils.substitute_runtime_parameter(
            self._dag, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run}
        )
        self._root = Path(pipeline.pipeline_info.pipeline_root)
        self._deployment = runner_utils.extract_local_deployment_config(self._dag)
        connection = self._deployment.metadata_connection_config
        self._connection = getattr(connection, connection.WhichOneof("connection_config"))
        self._nodes = {
            node.pipeline_node.node_info.id: node.pipeline_node for node in self._dag.nodes
        }
        self.names = list(self._nodes)

    def launch(self, name: str) -> Outcome:
        """Runs a component, or has it answered from the cache.

        Raises:
          RuntimeError: its inputs are not there; TFX's launcher says this in the log alone.
          Exception: whatever the component raises.
        """
        info = launcher.Launcher(
            pipeline_node=self._nodes[name],
            mlmd_connection=metadata.Metadata(self._connection),
            pipeline_info=self._dag.pipeline_info,
            pipeline_runtime_spec=self._dag.runtime_spec,
            executor_spec=runner_utils.extract_executor_spec(self._deployment, name),
            custom_driver_spec=runner_utils.extract_custom_driver_spec(self._deployment, name),
        ).launch()
        if info is None or not info.execution_id:
            return Outcome("done", {})
        with metadata.Metadata(self._connection) as store:
            (execution,) = store.store.get_executions_by_id([info.execution_id])
            outputs = execution_lib.get_output_artifacts(store, info.execution_id)
        if not execution_lib.is_execution_successful(execution):
            raise RuntimeError("its inputs are missing")
        # Resolvers are published as cached, whatever they find.
        cached = execution.last_known_state == _State.CACHED and info.output_dict
        return Outcome("cached" if cached else "done", outputs)

    def forget_unfinished(self) -> None:
        """Removes what killed runs left half-written; checkpoints are elsewhere and stay.

        Call it while no other run is at work.
        """
        with metadata.Metadata(self._connection) as store:
            left = [
                execution
                for execution in store.store.get_executions()
                if execution_lib.is_execution_active(execution)
            ]
            for execution in left:
                for depth in ("*/*", "*/.system/*"):
                    for folder in self._root.glob(f"{depth}/{execution.id}"):
                        shutil.rmtree(folder, ignore_errors=True)
                execution.last_known_state = _State.CANCELED
            if left:
                store.store.put_executions(left)

    def push_again_if_gone(self) -> None:
        """Keeps the cache from answering for the Pusher where its last version was deleted."""
        with metadata.Metadata(self._connection) as store:
            artifacts = store.store.get_artifacts()
        models = [artifact for artifact in artifacts if artifact.type == "PushedModel"]
        if not models:
            return
        last = max(models, key=lambda model: model.id).custom_properties
        gone = (
            last["pushed"].int_value and not Path(last["pushed_destination"].string_value).exists()
        )
        if gone:
            caching = self._nodes["Pusher"].execution_options.caching_options
            caching.enable_cache = False
