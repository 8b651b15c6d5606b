"""RunReport: what a run did, as a page. The last node of the DAG."""

from __future__ import annotations

from typing import Any, ClassVar

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import artifact, channel, component_spec, standard_artifacts

from components.run_report import executor


class Report(artifact.Artifact):
    """A folder with `report.html`; the custom property `run` names the run that it tells of."""

    TYPE_NAME = "OvertileReport"


class RunReportSpec(component_spec.ComponentSpec):
    """What the component takes and gives."""

    PARAMETERS: ClassVar = {"configuration": component_spec.ExecutionParameter(type=str)}
    INPUTS: ClassVar[dict[str, Any]] = {
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "model_run": component_spec.ChannelParameter(type=standard_artifacts.ModelRun),
        "evaluation": component_spec.ChannelParameter(type=standard_artifacts.ModelEvaluation),
        "blessing": component_spec.ChannelParameter(type=standard_artifacts.ModelBlessing),
        "pushed_model": component_spec.ChannelParameter(type=standard_artifacts.PushedModel),
        "infra_blessing": component_spec.ChannelParameter(
            type=standard_artifacts.InfraBlessing, optional=True
        ),
        "train_examples": component_spec.ChannelParameter(
            type=standard_artifacts.Examples, optional=True
        ),
        "anomalies": component_spec.ChannelParameter(
            type=standard_artifacts.ExampleAnomalies, optional=True
        ),
        "tuner_results": component_spec.ChannelParameter(
            type=standard_artifacts.TunerResults, optional=True
        ),
    }
    OUTPUTS: ClassVar = {"report": component_spec.ChannelParameter(type=Report)}


class RunReport(base_component.BaseComponent):
    """Writes one HTML file that needs nothing else, whether the model was pushed or refused.

    Outputs:
      report: a `Report`.
    """

    SPEC_CLASS = RunReportSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        examples: channel.BaseChannel,
        model: channel.BaseChannel,
        model_run: channel.BaseChannel,
        evaluation: channel.BaseChannel,
        blessing: channel.BaseChannel,
        pushed_model: channel.BaseChannel,
        configuration: str,
        infra_blessing: channel.BaseChannel | None = None,
        train_examples: channel.BaseChannel | None = None,
        anomalies: channel.BaseChannel | None = None,
        tuner_results: channel.BaseChannel | None = None,
    ):
        """Makes the node.

        Args:
          examples: that the Evaluator had.
          model: the Trainer's.
          model_run: the Trainer's, with the history of the training.
          evaluation: the Evaluator's.
          blessing: the Evaluator's.
          pushed_model: the Pusher's output.
          configuration: the whole of it as YAML, with the data set's classes.
          infra_blessing: of whoever asked the model as a server would.
          train_examples: that the Trainer had, where they are not `examples`.
          anomalies: the ExampleValidator's, with what is worth a look in the data.
          tuner_results: the Tuner's, with all trials of the search.
        """
        super().__init__(
            RunReportSpec(
                examples=examples,
                model=model,
                model_run=model_run,
                evaluation=evaluation,
                blessing=blessing,
                pushed_model=pushed_model,
                infra_blessing=infra_blessing,
                train_examples=train_examples,
                anomalies=anomalies,
                tuner_results=tuner_results,
                configuration=configuration,
                report=channel.Channel(type=Report),
            )
        )
