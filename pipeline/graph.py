"""The DAG.

From TFX's own modules: `tfx.v1` imports Google Cloud's AI Platform too, which takes seconds.
"""

from __future__ import annotations

import yaml
from tfx import types
from tfx.components.evaluator.component import Evaluator
from tfx.components.schema_gen.import_schema_gen.component import ImportSchemaGen
from tfx.components.trainer.component import Trainer
from tfx.dsl.components.common.resolver import Resolver
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import pusher_pb2, trainer_pb2, transform_pb2
from tfx.types import standard_artifacts

from components import schema
from components.evaluation.baseline import BaselineStrategy
from components.evaluation.gate import eval_config
from components.example_validator.component import ExampleValidator, stats_options
from components.image_example_gen.component import ImageExampleGen
from components.image_example_gen.config import layout as records_layout
from components.pusher.component import Pusher
from components.records import EVAL, SPLITS, TRAIN
from components.run_report.component import RunReport
from components.serving_validator.component import validator as serving_validator
from components.statistics_gen.component import StatisticsGen
from components.transform.component import Transform
from components.tuner.component import Tuner
from pipeline import engines
from pipeline.config import PipelineConfig
from pipeline.flow import flow
from trainer.train import Settings


def build_pipeline(config: PipelineConfig) -> Pipeline:
    """From labelled images to a pushed model.

    Args:
      config: with a data set whose classes, channels and dtype are known.
    """
    layout = records_layout(config.data, config.ingest)
    settings = Settings(layout, config.model, config.train, config.augment).to_json()

    # Labelled images become records of tiles, split by group; bad input is set aside by name.
    examples = ImageExampleGen(data=config.data, ingest=config.ingest)
    examples.with_beam_pipeline_args(engines.for_images(config))

    # What the records look like, without their pixels.
    statistics = StatisticsGen(examples=examples.outputs["examples"], stats_options=stats_options())

    # What records must look like; curated, not inferred.
    expected = ImportSchemaGen(schema_file=str(schema.FILE))

    # Stops the run where the two disagree, and says what images and labels are worth a look.
    validator = ExampleValidator(
        statistics=statistics.outputs["statistics"],
        schema=expected.outputs["schema"],
        examples=examples.outputs["examples"],
        checks=config.checks,
        classes=layout.classes,
    )

    # Which records train and which evaluate: all of these, or with spans a window of them.
    records = flow(config, examples, validator)

    # Channel means and deviations, class frequencies and weights, from the records' sums.
    transform = Transform(
        examples=records.training,
        schema=expected.outputs["schema"],
        preprocessing_fn="trainer.statistics.preprocessing_fn",
        materialize=False,
        disable_statistics=True,
        splits_config=transform_pb2.SplitsConfig(analyze=[TRAIN], transform=list(SPLITS)),
    )
    transform.add_upstream_node(validator)
    inputs = {
        "examples": records.training,
        "transform_graph": transform.outputs["transform_graph"],
    }

    # The best hyperparameters of a few short trainings.
    tuner = None
    if config.tune.trials:
        tuner = Tuner(
            tuner_fn="trainer.tune.tuner_fn",
            train_args=trainer_pb2.TrainArgs(splits=[TRAIN]),
            eval_args=trainer_pb2.EvalArgs(splits=[EVAL]),
            custom_config={
                **settings,
                "tune": config.tune.model_dump(mode="json"),
                "trials": str(config.workspace / "trials"),
            },
            **inputs,
        )

    # A model, exported with its signatures and warm-up requests.
    trainer = Trainer(
        run_fn="trainer.train.run_fn",
        train_args=trainer_pb2.TrainArgs(splits=[TRAIN]),
        eval_args=trainer_pb2.EvalArgs(splits=[EVAL]),
        hyperparameters=tuner.outputs["best_hyperparameters"] if tuner else None,
        base_model=records.base_model,
        custom_config={
            **settings,
            "checkpoints": str(config.workspace / "checkpoints"),
            "description": {"name": config.name},
        },
        **inputs,
    )

    # The blessed model before this one.
    baseline = Resolver(
        strategy_class=BaselineStrategy,
        candidate=trainer.outputs["model"],
        model=types.Channel(type=standard_artifacts.Model),
        model_blessing=types.Channel(type=standard_artifacts.ModelBlessing),
        infra_blessing=types.Channel(type=standard_artifacts.InfraBlessing),
    ).with_id("Baseline")

    # IoU a class against the gate and the baseline: a blessing, or none.
    evaluator = Evaluator(
        examples=records.evaluation,
        example_splits=[EVAL],
        model=trainer.outputs["model"],
        baseline_model=baseline.outputs["model"],
        eval_config=eval_config(config.evaluate, layout.classes),
    )

    # Serves the exported model in a process of its own, and asks it for masks of eval images.
    served = serving_validator(
        trainer.outputs["model"], records.evaluation, config.name, config.push.validation
    )
    serves = served.outputs["blessing"] if served else None

    # A blessed model becomes the next version that is served.
    pusher = Pusher(
        model=trainer.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        infra_blessing=serves,
        push_destination=pusher_pb2.PushDestination(
            filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=str(config.serving))
        ),
    )

    # What a person looks at, whether the model was pushed or not.
    report = RunReport(
        examples=records.evaluation,
        train_examples=records.training,
        model=trainer.outputs["model"],
        model_run=trainer.outputs["model_run"],
        evaluation=evaluator.outputs["evaluation"],
        blessing=evaluator.outputs["blessing"],
        infra_blessing=serves,
        pushed_model=pusher.outputs["pushed_model"],
        anomalies=validator.outputs["anomalies"],
        tuner_results=tuner.outputs["tuner_results"] if tuner else None,
        configuration=_as_yaml(config),
    )

    nodes = [examples, statistics, expected, validator, *records.nodes, transform, tuner, trainer]
    return Pipeline(
        pipeline_name=config.name,
        pipeline_root=str(config.workspace / "artifacts"),
        components=[node for node in [*nodes, baseline, evaluator, served, pusher, report] if node],
        enable_cache=True,
        metadata_connection_config=sqlite_metadata_connection_config(
            str(config.workspace / "metadata.sqlite")
        ),
        beam_pipeline_args=list(engines.IN_PROCESS),
    )


def _as_yaml(config: PipelineConfig) -> str:
    """What decides what a run comes to; where and by how many workers it ran does not."""
    values = config.model_dump(mode="json", exclude={"beam", "kubeflow"})
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
