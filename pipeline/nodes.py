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
from tfx.orchestration.portable.mlmd import context_lib, execution_lib
from tfx.proto.orchestration import pipeline_pb2

from pipeline.outcome import Outcome

_State = metadata_store_pb2.Execution


class Dag:
    """A pipeline, compiled for one run.

    Args:
      pipeline: what `graph.build_pipeline` returned.
      run: an id that no other run of this workspace has.
      connection: to ML Metadata; by default the pipeline's own.

    Attributes:
      names: its components, in an order in which each comes after those it needs.
      upstream: the components that each comes after.
    """

    def __init__(
        self,
        pipeline: tfx_pipeline.Pipeline,
        run: str,
        connection: metadata.ConnectionConfigType | None = None,
    ):
        self._dag: pipeline_pb2.Pipeline = compiler.Compiler().compile(pipeline)
        runtime_parameter_utils.substitute_runtime_parameter(
            self._dag, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run}
        )
        self._root = Path(pipeline.pipeline_info.pipeline_root)
        self._deployment = runner_utils.extract_local_deployment_config(self._dag)
        own = self._deployment.metadata_connection_config
        self._connection = connection or getattr(own, own.WhichOneof("connection_config"))
        self._nodes = {
            node.pipeline_node.node_info.id: node.pipeline_node for node in self._dag.nodes
        }
        self.names = list(self._nodes)
        self.upstream = {name: tuple(node.upstream_nodes) for name, node in self._nodes.items()}

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
            if not execution_lib.is_execution_successful(execution):
                raise RuntimeError("its inputs are missing")
            return _outcome(store, execution)

    def outcome(self, name: str) -> Outcome | None:
        """What a component did in this run, in whichever process; None if it has not ended well."""
        with metadata.Metadata(self._connection) as store:
            ended = [
                execution
                for execution in self._executions(store, name)
                if execution_lib.is_execution_successful(execution)
            ]
            if not ended:
                return None
            return _outcome(store, max(ended, key=lambda execution: execution.id))

    def forget_unfinished(self, name: str | None = None) -> None:
        """Removes what was left half-written by a kill; checkpoints are elsewhere and stay.

        Args:
          name: of the component whose earlier attempts in this run are forgotten; others may be
            at work. Without it every unfinished execution is: call it while no other run is.
        """
        with metadata.Metadata(self._connection) as store:
            if name:
                # A third attempt finds the second's folders under an execution cancelled before.
                left = [
                    execution
                    for execution in self._executions(store, name)
                    if not execution_lib.is_execution_successful(execution)
                ]
            else:
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
            # Other pipelines push too, where several share one ML Metadata.
            ours = store.store.get_context_by_type_and_name(
                constants.PIPELINE_CONTEXT_TYPE_NAME, self._dag.pipeline_info.id
            )
            artifacts = store.store.get_artifacts_by_context(ours.id) if ours else []
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

    def _executions(
        self, store: metadata.Metadata, name: str
    ) -> list[metadata_store_pb2.Execution]:
        """A component's executions in this run; more than one where it was tried again."""
        contexts = context_lib.prepare_contexts(store, self._nodes[name].contexts)
        executions: list[metadata_store_pb2.Execution] = (
            execution_lib.get_executions_associated_with_all_contexts(store, contexts)
        )
        return executions


def _outcome(store: metadata.Metadata, execution: metadata_store_pb2.Execution) -> Outcome:
    """Of an execution that has ended well."""
    outputs = execution_lib.get_output_artifacts(store, execution.id)
    # Resolvers are published as cached, whatever they find.
    cached = execution.last_known_state == _State.CACHED and any(outputs.values())
    return Outcome("cached" if cached else "done", outputs)
