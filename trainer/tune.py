"""The search for hyperparameters: `tuner_fn` is what the Tuner component calls."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import json
import logging
import shutil
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import keras_tuner
from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import Trial, TrialStatus
from keras_tuner.errors import FailedTrialError
from pydantic import ValidationError

from components.errors import InputError
from components.tuner import trials
from trainer import oracles, space, train
from trainer.settings import Settings, key
from trainer.statistics import Statistics, read
from trainer.tune_config import TuneConfig

progress = logging.getLogger("overtile.progress")

OBJECTIVE = keras_tuner.Objective("val_mean_iou", "max")

SPEC = "search.json"
"""What a worker needs to know, beside the state of the search."""

# Hyperband's own defaults: brackets of at most 9 rounds, a third of the trials survives each.
_HYPERBAND_EPOCHS, _HYPERBAND_FACTOR = 9, 3

_RESULT, _CHECKPOINTS = "result.json", "checkpoints"

# How fast and how far it is searched: a search goes on where these are changed.
_ELSEWHERE = {"parallel", "trials"}


def tuner_fn(fn_args: Any) -> Any:
    """Prepares the search. Called by TFX's Tuner (`tfx.v1.components.FnArgs`).

    `custom_config` has what `Settings.to_json` wrote, `tune` (the configuration's section) and
    `trials` (a folder that outlives the execution).
    """
    from tfx.components.tuner.component import TunerFnResult

    custom = fn_args.custom_config
    settings = Settings.from_json(custom)
    tune = TuneConfig(**custom["tune"])
    told = tune.model_dump(mode="json", exclude=_ELSEWHERE)
    # TFX gives a temporary directory; this one is found again after a kill.
    name = key(settings, told, fn_args.train_files, fn_args.eval_files)
    statistics = read(fn_args.transform_graph_path)
    data = Data(statistics, fn_args.train_files, fn_args.eval_files)
    tuner = Search(settings, tune, data, Path(custom["trials"]) / name)
    return TunerFnResult(tuner=tuner, fit_kwargs={})


@dataclasses.dataclass(frozen=True)
class Data:
    """What trials train on.

    Attributes:
      statistics: of the train split.
      train_files, eval_files: patterns of the TFRecord files of the two splits.
    """

    statistics: Statistics
    train_files: Sequence[str]
    eval_files: Sequence[str]


class Search(BaseTuner):
    """A search over the configured space, which goes on where a killed one stopped.

    A trial is a training as the Trainer's, by the same loop; it is looked at once, at its end
    (with Hyperband, after each ninth of its steps).
    """

    def __init__(self, settings: Settings, tune: TuneConfig, data: Data, folder: Path) -> None:
        """Makes the search, or takes up one that was stopped.

        Args:
          settings: what is not searched.
          tune: algorithm, number of trials, space.
          data: what trials train on.
          folder: of this search alone; made where it is missing.

        Raises:
          InputError: the state of the search in that folder is damaged.
        """
        self.settings, self.tune, self.data = settings, tune, data
        self.folder = folder
        self._asks_again = False
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(
            oracle=_oracle(settings, tune), directory=str(folder.parent), project_name=folder.name
        )
        if not self._is_worker() and self.oracle.end_order:
            done = len(self.oracle.end_order)
            note = f"The search goes on after {done} finished {'trial' if done == 1 else 'trials'}."
            progress.info(note, extra={"note": note})

    def search(self, *args: Any, **kwargs: Any) -> None:
        """Tries until the oracle has enough. Called by TFX's Tuner.

        Raises:
          InputError: too many trials failed, or all; the state cannot be written.
        """
        if self._is_worker():
            return super().search()
        self.oracle.verbose = 0
        if self.tune.parallel > 1:
            from trainer import parallel

            oracles.write(self.folder / SPEC, self.to_json())
            parallel.run(self.oracle, self.folder / SPEC, self.tune.parallel, self.trials_wanted)
        else:
            super().search()
        self._conclude()
        return None

    @property
    def trials_wanted(self) -> int | None:
        """How many there will be; Hyperband alone knows how many it makes."""
        return None if self.tune.algorithm == "hyperband" else self.tune.trials

    def run_trial(self, trial: Trial, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Trains with a trial's values; called by KerasTuner.

        Returns:
          The mean IoU on the eval split.

        Raises:
          FailedTrialError: whatever went wrong; the search goes on with other values.
        """
        folder = Path(self.get_trial_dir(trial.trial_id))
        values = trial.hyperparameters.values
        began = time.monotonic()
        try:
            with _named(self._name(trial)):
                trained = self._train(values, folder)
        except Exception as error:
            logging.getLogger(__name__).warning("trial %s: %s", trial.trial_id, _traceback(error))
            why = _sentence(error)
            _leave(folder, 0, began, why)
            raise FailedTrialError(why) from error
        _leave(folder, trained["steps"], began, None)
        if self.tune.algorithm != "hyperband":  # where another trial may go on from this one
            shutil.rmtree(folder / _CHECKPOINTS, ignore_errors=True)
        return {OBJECTIVE.name: trained["best_mean_iou"]}

    def _train(self, values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        """The summary of a training; it goes on where a killed one left checkpoints."""
        # The model before this one is in memory until then.
        keras.backend.clear_session()
        gc.collect()
        total, epochs, until = self.tune.steps, 1, None
        if "tuner/epochs" in values:
            epochs, until = _HYPERBAND_EPOCHS, int(values["tuner/epochs"])
        if before := values.get("tuner/trial_id"):
            _copy(Path(self.get_trial_dir(before)) / _CHECKPOINTS, folder / _CHECKPOINTS)
        # The schedule of a trial ends with the trial, or with the longest of Hyperband.
        plan = {
            "train.steps": total,
            "train.steps_per_epoch": -(-total // epochs),
            "train.early_stopping": None,
        }
        return train.train(
            self.settings.replaced({**values, **plan}),
            self.data.statistics,
            self.data.train_files,
            self.data.eval_files,
            folder / _CHECKPOINTS,
            until_epoch=until,
        ).summary

    def _name(self, trial: Trial) -> str:
        number = int(trial.trial_id) + 1
        return (
            f"trial {number} of {self.trials_wanted}" if self.trials_wanted else f"trial {number}"
        )

    def told(self) -> list[trials.Trial]:
        """What became of each trial that ended."""
        found = []
        for name in self.oracle.end_order:
            trial = self.oracle.trials[name]
            done = trial.status == TrialStatus.COMPLETED
            left = _left(Path(self.get_trial_dir(name)))
            values = trial.hyperparameters.values
            found.append(
                trials.Trial(
                    trial=int(name) + 1,
                    values={key: one for key, one in values.items() if "/" not in key},
                    status="completed" if done else "failed",
                    mean_iou=float(trial.score) if done else None,
                    steps=left.get("steps", 0),
                    seconds=round(left.get("seconds", 0.0), 1),
                    error=None if done else left.get("error") or trial.message,
                )
            )
        return found

    def _conclude(self) -> None:
        """Raises InputError where nothing came of the search."""
        told = self.told()
        failed = [trial for trial in told if trial.status == "failed"]
        if self.oracle.gave_up is None and len(failed) < len(told):
            shutil.rmtree(self.folder / SPEC, ignore_errors=True)
            for checkpoints in self.folder.glob(f"trial_*/{_CHECKPOINTS}"):
                shutil.rmtree(checkpoints, ignore_errors=True)
            return
        why = self.oracle.gave_up or f"All {len(failed)} trials failed"
        if failed and not why.endswith("."):
            last = failed[-1]
            values = ", ".join(f"{name} {value}" for name, value in last.values.items())
            why += f"; the last one, with {values}, because: {(last.error or '').rstrip('.')}"
            why += ". Narrow tune.space; the log has the tracebacks."
        raise InputError(why)

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON values from which `from_json` makes it again in another process."""
        return {
            "settings": self.settings.to_json(),
            "tune": self.tune.model_dump(mode="json"),
            "statistics": dataclasses.asdict(self.data.statistics),
            "train_files": list(self.data.train_files),
            "eval_files": list(self.data.eval_files),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any], folder: Path) -> Search:
        """See `to_json`; `folder` is the search's."""
        statistics = {
            name: tuple(one) if isinstance(one, list) else one
            for name, one in values["statistics"].items()
        }
        data = Data(Statistics(**statistics), values["train_files"], values["eval_files"])
        settings = Settings.from_json(values["settings"])
        return cls(settings, TuneConfig(**values["tune"]), data, folder)

    # What KerasTuner's tuners keep beside the oracle's state is nothing, in a file that is only
    # there once a trial has ended: a search killed in its first trial would be forgotten.

    def _get_tuner_fname(self) -> str:
        return str(self.folder / "oracle.json")

    def save(self) -> None:
        """Called by KerasTuner."""
        if not self._is_worker():
            self.oracle.save()

    def reload(self) -> None:
        """Called by KerasTuner."""
        if not self._is_worker():
            self.oracle.reload()

    # Where all others wait for an ongoing trial, KerasTuner's workers ask again without a pause.

    def pre_create_trial(self) -> None:
        """Called by KerasTuner."""
        if self._asks_again:
            time.sleep(1)
        self._asks_again = True

    def on_trial_begin(self, trial: Trial) -> None:
        """Called by KerasTuner."""
        self._asks_again = False


def _oracle(settings: Settings, tune: TuneConfig) -> Any:
    common: dict[str, Any] = {
        "objective": OBJECTIVE,
        "seed": 1 + settings.train.seed,
        "hyperparameters": space.declare(tune, settings.model),
    }
    if tune.algorithm == "hyperband":
        return oracles.Hyperband(max_epochs=_HYPERBAND_EPOCHS, factor=_HYPERBAND_FACTOR, **common)
    kind = oracles.Bayesian if tune.algorithm == "bayesian" else oracles.Random
    return kind(max_trials=tune.trials, **common)


@contextlib.contextmanager
def _named(trial: str) -> Iterator[None]:
    """Says of which trial the progress of a training is."""

    def name(record: logging.LogRecord) -> bool:
        if hasattr(record, "what"):
            record.what = f"{trial}, {record.what}"
        return True

    progress.addFilter(name)
    try:
        yield
    finally:
        progress.removeFilter(name)


def _copy(source: Path, target: Path) -> None:
    """Copies checkpoints in one step, if a trial that was killed has not done so before."""
    if target.exists():
        return
    half = target.with_name(target.name + ".part")
    shutil.rmtree(half, ignore_errors=True)
    shutil.copytree(source, half)
    half.rename(target)


def _leave(folder: Path, steps: int, began: float, error: str | None) -> None:
    """What the oracle does not ask for; in a file, since a worker may be another process."""
    told = {"steps": steps, "seconds": time.monotonic() - began, "error": error}
    oracles.write(folder / _RESULT, told)


def _left(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / _RESULT).read_text())
    except (OSError, ValueError):
        return {}


def _sentence(error: Exception) -> str:
    """Why a trial failed, for people."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{first['msg'].removeprefix('Value error, ')}."
    if isinstance(error, InputError):
        return str(error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    # TensorFlow tells first where in a traced function it was, and last what was wrong.
    told = lines[-1] if lines[0] == "in user code:" else lines[0]
    return f"{type(error).__name__}: {told[:300]}"


def _traceback(error: Exception) -> str:
    return "".join(traceback.format_exception(error))
