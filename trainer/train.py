"""Training: `run_fn` is what the Trainer component calls."""

from __future__ import annotations

import dataclasses
import functools
import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from components.errors import InputError
from components.records import parse
from components.superseded import of_files
from trainer import export, fitting, memory, schedules, starting, workers
from trainer import input as model_input
from trainer import strategy as devices
from trainer.averaging import WeightAverage
from trainer.callbacks import Progress
from trainer.checkpoints import Checkpoints
from trainer.losses import Loss
from trainer.metrics import MeanIoU
from trainer.models import pixels, registry
from trainer.settings import Settings, key
from trainer.statistics import Statistics, class_weights, read
from trainer.trainee import Trainee

progress = logging.getLogger("overtile.progress")

__all__ = ["Settings", "Trained", "build", "compiled", "key", "run_fn", "train"]


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
    inputs = (fn_args.train_files, fn_args.eval_files, directory, fn_args.base_model)
    if devices.cluster(settings.train.strategy):
        best, summary = workers.lead(settings, statistics, *inputs)
    else:
        trained = train(settings, statistics, *inputs)
        best, summary = trained.model.get_weights(), trained.summary

    # Built anew in float32: it may be served by a machine that computes bfloat16 slowly.
    with devices.policy("float32"):
        model = build(settings, statistics)
    model.set_weights(best)
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
        registry.refinement(
            settings.model.name,
            settings.model.options,
            pixels.grey_level(settings.layout.dtype, statistics.deviation),
        ),
        settings.model.average_over,
    )

    run = Path(fn_args.model_run_dir)
    shutil.copytree(directory / "logs", run / "logs", dirs_exist_ok=True)
    (run / "training.json").write_text(json.dumps(summary, indent=2))
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
    cluster: devices.Cluster | None = None,
    until_epoch: int | None = None,
) -> Trained:
    """Trains a model, or goes on with a training that was killed.

    Args:
      settings: the sections of the configuration.
      statistics: of the train split.
      train_files: patterns of its TFRecord files.
      eval_files: patterns of the eval split's.
      directory: checkpoints; the same one for the same inputs.
      base_model: folder of an exported model; where its weights fit, training starts from them.
      cluster: the machines that train together, each of which calls this, in a process in which
        TensorFlow has computed nothing yet.
      until_epoch: where to pause; another call with the same directory goes on.

    Returns:
      The model with the weights of its best epoch, by mean IoU on the eval split.

    Raises:
      InputError: memory, disk, devices or weights to start from are not what training needs.
    """
    plan = settings.train
    steps_per_epoch = min(plan.steps_per_epoch, plan.steps)
    epochs = -(-plan.steps // steps_per_epoch)
    epochs = min(epochs, until_epoch or epochs)
    at_a_time = plan.batch_size // plan.accumulate
    if cluster:
        strategy = devices.over_workers(at_a_time)
    else:
        strategy = devices.strategy(plan.strategy, at_a_time)
    precision = devices.precision(plan.precision)
    writes = cluster is None or cluster.is_chief

    def plain() -> keras.Model:
        with devices.policy("float32"):
            return build(settings, statistics)

    keras.utils.set_random_seed(1 + plan.seed)
    with devices.policy(precision), strategy.scope():
        model = compiled(settings, statistics)
        start = starting.weights(model, plain, settings, base_model)
        average = WeightAverage(model, plan.weight_average) if plan.weight_average else None
    # From here on a checkpoint, where there is one, has the last word on the weights.
    checkpoints = Checkpoints(model, directory, plan.early_stopping, average, writes)
    first_step = checkpoints.epoch * steps_per_epoch
    batches = functools.partial(training_batches, settings, statistics, train_files)
    if first_step:
        note = f"Training goes on from step {first_step} of {plan.steps}."
        progress.info(note, extra={"note": note})
    elif not start.path:
        prepare = registry.preparation(settings.model.name, settings.model.options)
        if prepare:
            with devices.policy(precision), strategy.scope():
                prepare(model, batches().map(lambda images, masks, weights: images))
                if average:
                    average.begin()

    if checkpoints.epoch < epochs and not checkpoints.out_of_patience:
        if not tf.config.list_physical_devices("GPU"):
            tile = _tile(settings, train_files)
            memory.warn(model, tile, plan.batch_size, plan.accumulate)
        validation = evaluation_batches(settings, eval_files)
        looks = None
        if strategy.num_replicas_in_sync > 1:
            looks = int(validation.reduce(0, lambda count, _: count + 1))
            validation = devices.spread(validation.repeat(), strategy)
        fitting.fit(
            model,
            settings,
            lambda batch_size, first: devices.spread(
                batches(first, batch_size=batch_size), strategy
            ),
            first_step,
            cluster is not None,
            epochs=epochs,
            initial_epoch=checkpoints.epoch,
            steps_per_epoch=steps_per_epoch,
            validation_data=validation,
            validation_steps=looks,
            callbacks=[
                Progress(epochs * steps_per_epoch, first_step),
                *([average] if average else []),
                checkpoints,  # after the average, which it saves
                *(
                    [keras.callbacks.TensorBoard(str(directory / "logs"), write_graph=False)]
                    * writes
                ),
            ],
        )
    if writes:
        checkpoints.load_best()
    return Trained(
        model,
        {
            "resumed_from_step": first_step,
            "warm_start_from": base_model if start.path == base_model else None,
            "started_from": start.told(),
            "steps": checkpoints.epoch * steps_per_epoch,
            "best_step": checkpoints.best_epoch * steps_per_epoch,
            "best_mean_iou": checkpoints.best_iou,
            "seconds": checkpoints.seconds,
            "precision": precision,
            "replicas": strategy.num_replicas_in_sync,
            "workers": cluster.workers if cluster else 1,
            "parameters": model.count_params(),
            "settings": settings.to_json(),
            "history": checkpoints.history,
        },
    )


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


def compiled(settings: Settings, statistics: Statistics) -> Trainee:
    """The model with its loss, optimizer and metric; call it in a strategy's scope.

    Raises:
      InputError: `train.jit` is asked for with several replicas.
    """
    plan = settings.train
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    with devices.saved_randomness():
        built = build(settings, statistics)
    model = Trainee(built, plan.accumulate, fitting.jits(settings, replicas))
    model.compile(
        optimizer=schedules.optimizer(plan),
        loss=Loss(plan.loss, plan),
        metrics=[MeanIoU(len(settings.layout.classes))],
    )
    return model


def training_batches(
    settings: Settings,
    statistics: Statistics,
    patterns: Sequence[str],
    first_step: int = 0,
    batch_size: int | None = None,
) -> tf.data.Dataset:
    """`trainer.input.training_batches` of these settings, or of another batch size."""
    files = _files(patterns)
    plan = settings.train
    if batch_size is not None:
        plan = plan.model_copy(update={"batch_size": batch_size})
    return model_input.training_batches(
        files,
        settings.layout,
        settings.geometry,
        plan,
        settings.augment,
        class_weights(statistics, plan.class_weights, plan.effective_number_beta),
        first_step,
        of_files(files),
    )


def evaluation_batches(settings: Settings, patterns: Sequence[str]) -> tf.data.Dataset:
    """`trainer.input.evaluation_batches` of these settings."""
    at_a_time = settings.train.batch_size // settings.train.accumulate
    return model_input.evaluation_batches(
        _files(patterns), settings.layout, settings.geometry, at_a_time
    )


def _tile(settings: Settings, patterns: Sequence[str]) -> tuple[int, int, int]:
    """Height, width and channels of what the model is given in training."""
    layout, side = settings.layout, settings.train.crop
    if side:
        height = width = side
    else:
        first = parse(next(iter(tf.data.TFRecordDataset(_files(patterns)))), layout)
        height, width, _ = first["image"].shape
    size = settings.geometry.input_size
    return size(height), size(width), layout.channels


def _files(patterns: Sequence[str]) -> list[str]:
    files = sorted(file for pattern in patterns for file in tf.io.gfile.glob(pattern))
    if not files:
        raise InputError(f"There are no records at {', '.join(patterns)}.")
    return files
