from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.records import Layout
from trainer import train, tune
from trainer.config import AugmentConfig, ModelConfig, Range, TrainConfig, TuneConfig
from trainer.statistics import Statistics


@pytest.fixture
def search(record_files: dict[str, str], layout: Layout, statistics: Statistics, tmp_path: Path):
    def prepare(**changes: Any) -> tuple[Any, Any]:
        settings = train.Settings(
            layout,
            ModelConfig(options={"depth": 1}),
            TrainConfig(batch_size=4, precision="float32"),
            AugmentConfig(),
        )
        plan = TuneConfig(
            **{
                "algorithm": "random",
                "trials": 3,
                "steps": 9,
                "space": {
                    "train.learning_rate": Range(min=1e-3, max=1e-1, scale="log"),
                    "model.width": [2, 4],
                },
                **changes,
            }
        )
        tuner = tune.search(
            settings, plan, statistics, [record_files["train"]], tmp_path, plan.algorithm
        )
        return tuner, train.evaluation_batches(settings, [record_files["eval"]])

    return prepare


@pytest.mark.parametrize("algorithm", ["random", "bayesian"])
def test_the_best_trial_is_found(search, algorithm: str) -> None:
    tuner, validation = search(algorithm=algorithm)
    tuner.search(validation_data=validation)
    trials = tuner.oracle.trials.values()
    assert len(trials) == 3
    best = tuner.get_best_hyperparameters()[0].values
    assert set(best) == {"train.learning_rate", "model.width"}
    assert 1e-3 <= best["train.learning_rate"] <= 1e-1
    assert best["model.width"] in (2, 4)
    scores = {trial.score for trial in trials}
    assert tuner.oracle.get_best_trials()[0].score == max(scores)
    # What the Tuner hands the Trainer is what `replaced` takes.
    assert tuner.get_best_hyperparameters()[0].get_config()["values"] == best


def test_a_search_finds_the_same_again(search) -> None:
    def scores(algorithm: str) -> list[float]:
        tuner, validation = search(algorithm=algorithm, trials=2)
        tuner.search(validation_data=validation)
        return [trial.score for trial in tuner.oracle.trials.values()]

    # The folder is named by the algorithm: these are two searches, of the same two random points.
    assert scores("random") == pytest.approx(scores("bayesian"), abs=1e-9)


@pytest.mark.slow
def test_hyperband_runs(search) -> None:
    tuner, validation = search(algorithm="hyperband")
    tuner.search(validation_data=validation)
    assert tuner.get_best_hyperparameters()[0].values["model.width"] in (2, 4)


def test_a_killed_search_goes_on(search, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    trained: list[int] = []
    fit = tune._HyperModel.fit

    def kill(self: Any, *args: Any, **kwargs: Any) -> Any:
        trained.append(1)
        if len(trained) == 2:
            raise Killed
        return fit(self, *args, **kwargs)

    monkeypatch.setattr(tune._HyperModel, "fit", kill)
    tuner, validation = search()
    with pytest.raises(Killed):
        tuner.search(validation_data=validation)
    tuner, validation = search()
    tuner.search(validation_data=validation)
    # One whole trial before the kill, and only the two others after it.
    assert len(trained) == 2 + 2
    assert len(tuner.oracle.end_order) == 3
