"""The search for hyperparameters: `tuner_fn` is what the Tuner component calls."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import keras_tuner

from trainer import strategy as devices
from trainer import train
from trainer.callbacks import Progress
from trainer.config import Range, TuneConfig
from trainer.statistics import Statistics, read

progress = logging.getLogger("overtile.progress")

OBJECTIVE = keras_tuner.Objective("val_mean_iou", "max")

# Hyperband's own defaults: brackets of at most 9 rounds, a third of the trials survives each.
_HYPERBAND_EPOCHS, _HYPERBAND_FACTOR = 9, 3


def tuner_fn(fn_args: Any) -> Any:
    """Prepares the search. Called by TFX's Tuner (`tfx.v1.components.FnArgs`).

    `custom_config` has what `Settings.to_json` wrote, `tune` (the configuration's section) and
    `trials` (a folder that outlives the execution).
    """
    from tfx.components.tuner.component import TunerFnResult

    custom = fn_args.custom_config
    settings = train.Settings.from_json(custom)
    tune = TuneConfig(**custom["tune"])
    statistics = read(fn_args.transform_graph_path)
    # TFX gives a temporary directory; this one is found again after a kill.
    key = train.key(settings, tune.model_dump(mode="json"), fn_args.train_files, fn_args.eval_files)
    tuner = search(settings, tune, statistics, fn_args.train_files, Path(custom["trials"]), key)
    return TunerFnResult(
        tuner=tuner,
        fit_kwargs={"validation_data": train.evaluation_batches(settings, fn_args.eval_files)},
    )


def search(
    settings: train.Settings,
    tune: TuneConfig,
    statistics: Statistics,
    train_files: list[str],
    directory: Path,
    name: str,
) -> keras_tuner.Tuner:
    """A tuner over the configured space, which goes on where a killed one stopped.

    Args:
      settings: what is not searched.
      tune: algorithm, number of trials, space.
      statistics: of the train split.
      train_files: patterns of its TFRecord files.
      directory: where searches are kept.
      name: of this search's folder there.
    """
    hypermodel = _HyperModel(settings, tune, statistics, train_files)
    common: dict[str, Any] = {
        "hypermodel": hypermodel,
        "objective": OBJECTIVE,
        "seed": 1 + settings.train.seed,
        "directory": str(directory),
        "project_name": name,
        "overwrite": False,
        "distribution_strategy": devices.strategy(),
    }
    if tune.algorithm == "hyperband":
        tuner = keras_tuner.Hyperband(
            max_epochs=_HYPERBAND_EPOCHS, factor=_HYPERBAND_FACTOR, **common
        )
        hypermodel.trials = None
    elif tune.algorithm == "bayesian":
        tuner = keras_tuner.BayesianOptimization(max_trials=tune.trials, **common)
    else:
        tuner = keras_tuner.RandomSearch(max_trials=tune.trials, **common)
    done = len(tuner.oracle.end_order)
    if done:
        note = f"The search goes on after {done} finished trials."
        progress.info(note, extra={"note": note})
    hypermodel.finished = done
    return tuner


class _HyperModel(keras_tuner.HyperModel):
    """Builds and trains one trial's model."""

    def __init__(
        self,
        settings: train.Settings,
        tune: TuneConfig,
        statistics: Statistics,
        train_files: list[str],
    ) -> None:
        super().__init__()
        self.settings, self.tune = settings, tune
        self.statistics, self.train_files = statistics, train_files
        self.trials: int | None = tune.trials
        self.finished = 0

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        settings = self._settings(hp)
        # Every trial begins with the same weights, in whichever process and after whichever kill.
        keras.utils.set_random_seed(1 + settings.train.seed)
        with devices.policy(devices.precision(settings.train.precision)):
            return train.compiled(settings, self.statistics)

    def fit(
        self, hp: keras_tuner.HyperParameters, model: keras.Model, *args: Any, **kwargs: Any
    ) -> Any:
        settings = self._settings(hp)
        # Hyperband says which epochs of a trial to train; the others train one long epoch.
        last = kwargs.pop("epochs", 1) if self.tune.algorithm == "hyperband" else 1
        of = _HYPERBAND_EPOCHS if self.tune.algorithm == "hyperband" else 1
        first = kwargs.pop("initial_epoch", 0)
        steps = -(-self.tune.steps // of)
        self.finished += 1
        count = f"{self.finished}" if self.trials is None else f"{self.finished} of {self.trials}"
        kwargs["callbacks"] = [
            *kwargs.get("callbacks", []),
            Progress(last * steps, first * steps, what=f"trial {count}, step"),
        ]
        return model.fit(
            train.training_batches(
                settings, self.statistics, self.train_files, first_step=first * steps
            ),
            *args,
            epochs=last,
            initial_epoch=first,
            steps_per_epoch=steps,
            verbose=0,
            **kwargs,
        )

    def _settings(self, hp: keras_tuner.HyperParameters) -> train.Settings:
        values = {name: _choose(hp, name, choices) for name, choices in self.tune.space.items()}
        # The schedule of a trial ends with the trial.
        return self.settings.replaced({**values, "train.steps": self.tune.steps})


def _choose(hp: keras_tuner.HyperParameters, name: str, choices: Range | list[Any]) -> Any:
    if isinstance(choices, list):
        return hp.Choice(name, choices)
    sampling: Mapping[str, Any] = {"sampling": choices.scale}
    if float(choices.min).is_integer() and float(choices.max).is_integer():
        return hp.Int(name, int(choices.min), int(choices.max), **sampling)
    return hp.Float(name, choices.min, choices.max, **sampling)
