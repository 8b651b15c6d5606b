"""KerasTuner's oracles, which decide what a search tries next, made to last.

KerasTuner writes its state over the file it had, so that a kill in between leaves half of it; and
between the files of a trial and of the oracle, which then disagree. An exception in one of its
oracles leaves a lock behind that no other thread ever gets. Here neither happens.
"""

from __future__ import annotations

import collections
import json
import os
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus
from keras_tuner.oracles import (
    BayesianOptimizationOracle,
    HyperbandOracle,
    RandomSearchOracle,
)

from components.errors import InputError

MOST_FAILURES = 3
"""So many trials in a row that fail end the search."""

_MOST_DEATHS = 2


def write(file: Path, values: Any) -> None:
    """Writes JSON in one step: whoever reads it, after whatever kill, reads all of it."""
    half = file.with_name(file.name + ".part")
    with half.open("w") as stream:
        json.dump(values, stream)
        stream.flush()
        os.fsync(stream.fileno())
    half.replace(file)


class _Lasting(keras_tuner.Oracle):
    """What the three have in common.

    Attributes:
      gave_up: why there is no sense in going on, in a sentence; None while there is.
    """

    gave_up: str | None = None
    end_order: list[str]
    _retry_queue: list[str]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._deaths: collections.Counter[str] = collections.Counter()

    @property
    def file(self) -> Path:
        """Where its state is kept."""
        return Path(self._get_oracle_fname())

    def save(self) -> None:
        """Called by KerasTuner."""
        self._write(self.file, self.get_state())

    def _save_trial(self, trial: Trial) -> None:
        folder = Path(self._get_trial_dir(trial.trial_id))
        self._write(folder / "trial.json", trial.get_state())

    def _write(self, file: Path, values: Any) -> None:
        try:
            write(file, values)
        except OSError as error:
            self.gave_up = f"The search stopped: {file} cannot be written: {error.strerror}."

    def reload(self) -> None:
        """Called by KerasTuner where there is a state from before.

        Raises:
          InputError: it is damaged; with the disk, since no kill does that.
        """
        try:
            super().reload()
        except (ValueError, KeyError, TypeError, RuntimeError) as error:
            raise InputError(
                f"The state of the search in {self.file.parent} is damaged "
                f"({type(error).__name__}: {str(error).splitlines()[0]}); delete that folder, and "
                "the search begins anew."
            ) from error
        # Killed after a trial had its file and before the oracle knew of it: it never began.
        for name in [name for name in self.trials if name not in self.start_order]:
            del self.trials[name]
        # KerasTuner tries again all that its state calls ongoing, also what ended after that was
        # written.
        ended = {TrialStatus.COMPLETED, TrialStatus.FAILED}
        queue = list(dict.fromkeys(self._retry_queue))
        for name in queue:
            if self.trials[name].status in ended and name not in self.end_order:
                self.end_order.append(name)
        self._retry_queue = [name for name in queue if self.trials[name].status not in ended]
        # What ended the search by failing may have been put right.
        failed = [one for one in self.end_order if self.trials[one].status == TrialStatus.FAILED]
        if failed and (self._too_many_failed() or len(failed) == len(self.end_order)):
            self.end_order = [name for name in self.end_order if name not in failed]
            self._retry_queue += failed[::-1]  # which is taken from its end

    @keras_tuner.synchronized
    def create_trial(self, tuner_id: str) -> Trial:
        """Called by KerasTuner."""
        if self.gave_up is None:
            try:
                return super().create_trial(tuner_id)
            except Exception as error:  # the lock must be let go
                self.gave_up = f"The search stopped: {type(error).__name__}: {error}."
        self.tuner_ids.discard(tuner_id)
        return Trial(self.get_space(), status=TrialStatus.STOPPED)

    @keras_tuner.synchronized
    def end_trial(self, trial: Trial) -> None:
        """Called by KerasTuner."""
        try:
            super().end_trial(trial)
        except Exception as error:  # the lock must be let go
            self.gave_up = f"The search stopped: {type(error).__name__}: {error}."

    @keras_tuner.synchronized
    def give_back(self, tuner_id: str, why: str) -> str | None:
        """Takes the trial of a worker that died, to be tried again by whoever asks next.

        KerasTuner's own oracle would call it ongoing for ever. A trial that its workers died of
        twice has failed.

        Args:
          tuner_id: the worker's.
          why: it died; a clause.

        Returns:
          The trial's id; None where the worker had none.
        """
        self.tuner_ids.discard(tuner_id)
        trial = self.ongoing_trials.pop(tuner_id, None)
        if trial is None:
            return None
        name = trial.trial_id
        self._deaths[name] += 1
        if self._deaths[name] < _MOST_DEATHS:
            self._retry_queue.append(name)
        else:
            trial.status, trial.message = TrialStatus.FAILED, why
            self.end_order.append(name)
            self._check_consecutive_failures()
            self._save_trial(trial)
        self.save()
        return name

    def _check_consecutive_failures(self) -> None:
        if self._too_many_failed():
            self.gave_up = f"{MOST_FAILURES} trials in a row failed"

    def _too_many_failed(self) -> bool:
        last = [self.trials[name] for name in self.end_order[-MOST_FAILURES:]]
        failed = [trial for trial in last if trial.status == TrialStatus.FAILED]
        return len(failed) == MOST_FAILURES


class Random(_Lasting, RandomSearchOracle):
    """Points drawn at random."""


class Bayesian(_Lasting, BayesianOptimizationOracle):
    """Points where a Gaussian process expects much."""


class Hyperband(_Lasting, HyperbandOracle):
    """Many short trials, of which the better ones go on."""
