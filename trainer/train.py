"""Training: `run_fn` is what the Trainer component calls."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from components.errors import InputError
from components.records import Layout, parse
from components.superseded import of_files
from trainer import export, schedules, warm_start
from trainer import input as model_input
from trainer import strategy as devices
from trainer.averaging import WeightAverage
from trainer.callbacks import Checkpoints, Progress
from trainer.config import AugmentConfig, ModelConfig, TrainConfig
from trainer.losses import Loss
from trainer.metrics import MeanIoU
from trainer.models import registry
from trainer.statistics import Statistics, class_weights, read

progress = logging.getLogger("overtile.progress")


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the DAG tells the Trainer and the Tuner, as their `custom_config`.

    Attributes:
      layout: of the records.
      model, train, augment: sections of the configuration.
    """

    layout: Layout
    model: ModelConfig
    train: TrainConfig
    augment: AugmentConfig

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON values."""
        sections = {name: getattr(self, name) for name in ("model", "train", "augment")}
        return {
            "layout": self.layout.to_json(),
            **{name: section.model_dump(mode="json") for name, section in sections.items()},
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Settings:
        """The settings that `to_json` wrote; further keys are somebody else's."""
        return cls(
            Layout.from_json(values["layout"]),
            ModelConfig(**values["model"]),
            TrainConfig(**values["train"]),
            AugmentConfig(**values["augment"]),
        )

    def replaced(self, values: Mapping[str, Any]) -> Settings:
        """With hyperparameters `train.KEY` and `model.KEY`; others are left out."""
        train, options = dict(self.train), dict(self.model.options)
        for name, value in values.items():
            section, _, key = name.partition(".")
            if section == "train":
                train[key] = value
            elif section == "model":
                options[key] = value
        return dataclasses.replace(
            self,
            train=TrainConfig(**train),
            model=ModelConfig(**{**dict(self.model), "options": options}),
        )

    @property
    def geometry(self) -> registry.Geometry:
        """The model's."""
        return registry.geometry(self.model.name, self.model.options)


def run_fn(fn_args: Any) -> None:
    """Trains and exports. Called by TFX's Trainer (`tfx.v1.components.FnArgs`).

    `custom_config` has what `Settings.to_json` wrote, `checkpoints` (a folder that outlives the
    execution) and `description` (what the export says of itself).
    """
    custom = fn_args.custom_config
    settings = Settings.from_json(custom).replaced(
        (fn_args.hyperparameters or {}).get("values", {})
    )
    statistics = read(fn_args.transform_output)
    # The Trainer gets a new directory each time it is started. This one is the same for the same
    # inputs, so that a killed training is found again.
    directory = Path(custom["checkpoints"]) / key(
        settings,
        fn_args.train_files,
        fn_args.eval_files,
        fn_args.transform_output,
        fn_args.base_model,
    )
    trained = train(
        settings,
        statistics,
        fn_args.train_files,
        fn_args.eval_files,
        directory,
        fn_args.base_model,
    )

    # Built anew in float32: it may be served by a machine that computes bfloat16 slowly.
    with devices.policy("float32"):
        model = build(settings, statistics)
    model.set_weights(trained.model.get_weights())
    first = next(iter(tf.data.TFRecordDataset(_files(fn_args.eval_files))))
    export.export(
        model,
        settings.layout,
        settings.geometry,
        fn_args.serving_model_dir,
        {
            **custom["description"],
            "model": settings.model.model_dump(mode="json"),
            "statistics": dataclasses.asdict(statistics),
        },
        parse(first, settings.layout)["image"],
    )

    run = Path(fn_args.model_run_dir)
    shutil.copytree(directory / "logs", run / "logs", dirs_exist_ok=True)
    (run / "training.json").write_text(json.dumps(trained.summary, indent=2))
    # Last: until the export is whole, a second start must find the checkpoint.
    shutil.rmtree(directory)


@dataclasses.dataclass(frozen=True)
class Trained:
    """A trained model and what there is to tell of its training."""

    model: keras.Model
    summary: dict[str, Any]


def train(
    settings: Settings,
    statistics: Statistics,
    train_files: Sequence[str],
    eval_files: Sequence[str],
    directory: Path,
    base_model: str | None = None,
) -> Trained:
    """Trains a model, or goes on with a training that was killed.

    Args:
      settings: the sections of the configuration.
      statistics: of the train split.
      train_files: patterns of its TFRecord files.
      eval_files: patterns of the eval split's.
      directory: checkpoints; the same one for the same inputs.
      base_model: folder of an exported model; where its weights fit, training starts from them.

    Returns:
      The model with the weights of its best epoch, by mean IoU on the eval split.
    """
    plan = settings.train
    steps_per_epoch = min(plan.steps_per_epoch, plan.steps)
    epochs = -(-plan.steps // steps_per_epoch)
    precision = devices.precision(plan.precision)
    strategy = devices.strategy()

    keras.utils.set_random_seed(1 + plan.seed)
    with devices.policy(precision), strategy.scope():
        model = compiled(settings, statistics)
        is_warm = base_model is not None and _start_warm(model, base_model, settings, statistics)
        # From here on a checkpoint, where there is one, has the last word on the weights.
        average = WeightAverage(model, plan.weight_average) if plan.weight_average else None
        checkpoints = Checkpoints(model, directory, plan.early_stopping, average)
    first_step = checkpoints.epoch * steps_per_epoch
    if first_step:
        progress.info(
            "training goes on from step %d of %d",
            first_step,
            plan.steps,
            extra={"note": f"Training goes on from step {first_step} of {plan.steps}."},
        )

    if checkpoints.epoch < epochs and not checkpoints.out_of_patience:
        model.fit(
            training_batches(settings, statistics, train_files, first_step),
            epochs=epochs,
            initial_epoch=checkpoints.epoch,
            steps_per_epoch=steps_per_epoch,
            validation_data=evaluation_batches(settings, eval_files),
            callbacks=[
                Progress(epochs * steps_per_epoch, first_step),
                *([average] if average else []),
                checkpoints,  # after the average, which it saves
                keras.callbacks.TensorBoard(str(directory / "logs"), write_graph=False),
            ],
            verbose=0,
        )
    checkpoints.load_best()
    return Trained(
        model,
        {
            "resumed_from_step": first_step,
            "warm_start_from": base_model if is_warm else None,
            "steps": checkpoints.epoch * steps_per_epoch,
            "best_step": checkpoints.best_epoch * steps_per_epoch,
            "best_mean_iou": checkpoints.best_iou,
            "precision": precision,
            "replicas": strategy.num_replicas_in_sync,
            "parameters": model.count_params(),
            "settings": settings.to_json(),
            "history": checkpoints.history,
        },
    )


def _start_warm(
    model: keras.Model, base_model: str, settings: Settings, statistics: Statistics
) -> bool:
    """Gives the model the weights of an exported one; False where they do not fit."""
    with devices.policy("float32"):
        plain = build(settings, statistics)
    try:
        model.set_weights(warm_start.weights(base_model, settings.model, plain))
    except warm_start.OtherModelError as error:
        note = f"Training starts afresh, not from the last blessed model: {error}."
        progress.info(note, extra={"note": note})
        return False
    return True


def build(settings: Settings, statistics: Statistics) -> keras.Model:
    """The model that `settings` name, untrained."""
    return registry.build(
        settings.model.name,
        settings.model.options,
        len(settings.layout.classes),
        statistics.mean,
        statistics.deviation,
        settings.model.normalise,
    )


def compiled(settings: Settings, statistics: Statistics) -> keras.Model:
    """The model with its loss, optimizer and metric; call it in a strategy's scope."""
    model = build(settings, statistics)
    model.compile(
        optimizer=schedules.optimizer(settings.train),
        loss=Loss(settings.train.loss),
        metrics=[MeanIoU(len(settings.layout.classes))],
    )
    return model


def training_batches(
    settings: Settings, statistics: Statistics, patterns: Sequence[str], first_step: int = 0
) -> tf.data.Dataset:
    """`trainer.input.training_batches` of these settings."""
    files = _files(patterns)
    return model_input.training_batches(
        files,
        settings.layout,
        settings.geometry,
        settings.train,
        settings.augment,
        class_weights(
            statistics, settings.train.class_weights, settings.train.effective_number_beta
        ),
        first_step,
        of_files(files),
    )


def evaluation_batches(settings: Settings, patterns: Sequence[str]) -> tf.data.Dataset:
    """`trainer.input.evaluation_batches` of these settings."""
    return model_input.evaluation_batches(
        _files(patterns), settings.layout, settings.geometry, settings.train.batch_size
    )


def _files(patterns: Sequence[str]) -> list[str]:
    files = sorted(file for pattern in patterns for file in tf.io.gfile.glob(pattern))
    if not files:
        raise InputError(f"There are no records at {', '.join(patterns)}.")
    return files


def key(settings: Settings, *inputs: Any) -> str:
    """A name for a directory that is the same for the same settings and inputs."""
    told = json.dumps([settings.to_json(), inputs], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:16]
