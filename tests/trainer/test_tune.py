from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.errors import InputError
from components.records import Layout
from trainer import oracles, train, tune
from trainer.config import AugmentConfig, ModelConfig, TrainConfig
from trainer.statistics import Statistics
from trainer.tune_config import Range, TuneConfig

MakeSearch = Callable[..., tune.Search]


@pytest.fixture
def search(
    record_files: dict[str, str], layout: Layout, statistics: Statistics, tmp_path: Path
) -> MakeSearch:
    def prepare(**changes: Any) -> tune.Search:
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
        data = tune.Data(statistics, [record_files["train"]], [record_files["eval"]])
        return tune.Search(settings, plan, data, tmp_path / plan.algorithm)

    return prepare


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Trials that take no time: the wider and the slower a model learns, the better it is."""
    begun: list[dict[str, Any]] = []

    def summary(self: Any, values: dict[str, Any], folder: Path) -> dict[str, Any]:
        begun.append(dict(values))
        iou = values["model.width"] / 10 - values["train.learning_rate"]
        return {"best_mean_iou": iou, "steps": 9}

    monkeypatch.setattr(tune.Search, "_train", summary)
    return begun


def test_the_best_trial_is_found_and_found_again(search: MakeSearch) -> None:
    tuner = search(trials=2)
    tuner.search()
    told = tuner.told()
    assert [trial.trial for trial in told] == [1, 2]
    assert all(
        trial.status == "completed" and trial.steps == 9 and trial.seconds > 0 for trial in told
    )
    best = tuner.get_best_hyperparameters()[0].values
    assert set(best) == {"train.learning_rate", "model.width"}
    assert 1e-3 <= best["train.learning_rate"] <= 1e-1
    assert best["model.width"] in (2, 4)
    assert max(told, key=lambda trial: trial.mean_iou or 0).values == best
    # What the Tuner hands the Trainer is what `replaced` takes.
    assert tuner.get_best_hyperparameters()[0].get_config()["values"] == best
    # Weights of trials fill no disk.
    assert not list(tuner.folder.rglob("*.npz"))

    # The folder is named by the algorithm: another search, which begins with the same point.
    again = search(algorithm="bayesian", trials=1)
    again.search()
    assert again.told()[0].values == told[0].values
    assert again.told()[0].mean_iou == pytest.approx(told[0].mean_iou, abs=1e-9)


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the training loop was asked for, in place of training."""
    asked: list[dict[str, Any]] = []

    def pretend(settings: Any, statistics: Any, train_files: Any, eval_files: Any,
                directory: Path, until_epoch: int | None = None) -> train.Trained:  # fmt: skip
        found = sorted(file.name for file in directory.glob("*"))
        directory.mkdir(exist_ok=True, parents=True)
        (directory / f"epoch-{until_epoch}").touch()
        asked.append({"settings": settings, "until": until_epoch, "found": found})
        steps = settings.train.steps_per_epoch * (until_epoch or 1)
        iou = settings.train.learning_rate + steps / 100
        return train.Trained(None, {"best_mean_iou": iou, "steps": steps})  # type: ignore[arg-type]

    monkeypatch.setattr(train, "train", pretend)
    return asked


def test_a_model_and_its_own_options_are_searched(
    search: MakeSearch, trainings: list[dict[str, Any]]
) -> None:
    space = {"model.name": ["unet", "fcn8s"], "model.width": [2, 3], "model.alpha": [0.25, 0.5]}
    tuner = search(space=space, trials=4)
    tuner.search()
    assert len(trainings) == 4
    for trial, asked in zip(tuner.told(), trainings):
        assert trial.status == "completed", trial.error
        model = asked["settings"].model
        assert model.name == trial.values["model.name"]
        # The configured depth is the U-Net's alone.
        option = {"unet": "width", "fcn8s": "alpha"}[model.name]
        assert set(trial.values) == {"model.name", f"model.{option}"}
        others = {"depth": 1} if model.name == "unet" else {}
        assert model.options == {option: trial.values[f"model.{option}"], **others}
    assert {asked["settings"].model.name for asked in trainings} == {"unet", "fcn8s"}


def test_hyperband_goes_on_from_the_better_trials(
    search: MakeSearch, trainings: list[dict[str, Any]]
) -> None:
    tuner = search(algorithm="hyperband")
    tuner.search()
    # 9 steps are 9 epochs of one; the schedule is always that of all of them.
    assert {asked["settings"].train.steps for asked in trainings} == {9}
    assert {asked["settings"].train.steps_per_epoch for asked in trainings} == {1}
    # The first bracket has trials of 1 epoch, of which the better go on to 3, and of these to 9.
    found = {asked["until"]: asked["found"] for asked in trainings[:10]}
    assert [asked["until"] for asked in trainings[:9]] == [1] * 9
    later = [asked for asked in trainings if asked["found"]]
    assert {(one["until"], *one["found"]) for one in later} >= {
        (3, "epoch-1"),
        (9, "epoch-1", "epoch-3"),
    }
    assert found[1] == []
    told = tuner.told()
    assert {trial.steps for trial in told} == {1, 3, 9}
    assert all(set(trial.values) == {"train.learning_rate", "model.width"} for trial in told)
    assert not list(tuner.folder.rglob("epoch-*"))


def test_a_training_pauses_and_goes_on(
    record_files: dict[str, str], layout: Layout, statistics: Statistics, tmp_path: Path
) -> None:
    settings = train.Settings(
        layout,
        ModelConfig(options={"depth": 1, "width": 2}),
        TrainConfig(batch_size=4, precision="float32", steps=4, steps_per_epoch=2),
        AugmentConfig(),
    )
    files = [record_files["train"]], [record_files["eval"]]
    first = train.train(settings, statistics, *files, tmp_path / "run", until_epoch=1)
    assert first.summary["steps"] == 2
    rest = train.train(settings, statistics, *files, tmp_path / "run")
    assert (rest.summary["resumed_from_step"], rest.summary["steps"]) == (2, 4)


class Killed(BaseException):
    pass


@pytest.mark.parametrize("algorithm", ["random", "bayesian", "hyperband"])
def test_a_search_killed_at_any_write_goes_on(
    search: MakeSearch, quick: list[dict[str, Any]], algorithm: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def clean() -> list[Any]:
        tuner = search(algorithm=algorithm)
        tuner.search()
        told = [(trial.trial, trial.values, trial.mean_iou) for trial in tuner.told()]
        tuner.folder.rename(tmp_path / f"done-{len(list(tmp_path.iterdir()))}")
        return sorted(told, key=lambda one: one[0])

    expected = clean()
    replace = Path.replace
    writes: list[Path] = []
    whole = len(quick)
    # Hyperband makes many trials, and with them many writes.
    for last in range(1, 30, 4 if algorithm == "hyperband" else 1):
        writes.clear()

        def kill(self: Path, target: Any, last: int = last) -> Any:
            writes.append(self)
            if len(writes) == last:
                raise Killed  # the new file is whole beside the old one
            return replace(self, target)

        monkeypatch.setattr(Path, "replace", kill)
        quick.clear()
        try:
            search(algorithm=algorithm).search()
        except Killed:
            monkeypatch.setattr(Path, "replace", replace)
        else:
            break  # there were no more writes
        assert clean() == expected, f"killed at write {last}: {writes[-1]}"
        assert len(quick) <= whole + 1  # what was killed is tried once more, and nothing else
    assert last > 10


@pytest.mark.parametrize("name", ["oracle.json", "trial_0/trial.json"])
def test_a_damaged_state_is_named(
    search: MakeSearch, quick: list[dict[str, Any]], name: str
) -> None:
    tuner = search()
    tuner.search()
    file = tuner.folder / name
    file.write_text(file.read_text()[:100])
    with pytest.raises(InputError) as caught:
        search()
    assert f"The state of the search in {tuner.folder} is damaged" in str(caught.value)
    assert "delete that folder" in str(caught.value)


def test_a_trial_that_fails_does_not_end_the_search(
    search: MakeSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = tune.Search._train
    monkeypatch.setattr(
        tune.Search,
        "_train",
        lambda self, values, folder: (
            summary(self, {**values, "train.batch_size": 0}, folder)
            if folder.name == "trial_1"
            else {"best_mean_iou": 0.5, "steps": 9}
        ),
    )
    tuner = search()
    tuner.search()
    told = tuner.told()
    assert [trial.status for trial in told] == ["completed", "failed", "completed"]
    assert told[1].mean_iou is None
    assert told[1].error == "Input should be greater than 0."


def test_too_many_failures_end_it_with_one_sentence(
    search: MakeSearch, quick: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    works = tune.Search._train

    def fail(self: Any, values: dict[str, Any], folder: Path) -> Any:
        raise RuntimeError(f"no luck with {folder.name}\nand more")

    monkeypatch.setattr(tune.Search, "_train", fail)
    tuner = search(trials=9)
    with pytest.raises(InputError) as caught:
        tuner.search()
    assert len(tuner.told()) == oracles.MOST_FAILURES
    told = str(caught.value)
    assert told.startswith("3 trials in a row failed; the last one, with train.learning_rate 0.0")
    assert "because: RuntimeError: no luck with trial_2. Narrow tune.space" in told
    # Once the cause is put right, those that failed are tried again.
    monkeypatch.setattr(tune.Search, "_train", works)
    tuner = search(trials=9)
    tuner.search()
    assert [trial.trial for trial in tuner.told()] == list(range(1, 10))
    assert all(trial.status == "completed" for trial in tuner.told())
    # Fewer than that, but all of them.
    monkeypatch.setattr(tune.Search, "_train", fail)
    with pytest.raises(InputError, match="All 2 trials failed"):
        search(algorithm="bayesian", trials=2).search()


def test_a_full_disk_is_told(
    search: MakeSearch, quick: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    tuner = search()

    def full(file: Path, values: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(oracles, "write", full)
    with pytest.raises(InputError, match="cannot be written: No space left on device"):
        tuner.search()


def test_a_trial_goes_back_once_and_then_has_failed(
    search: MakeSearch, quick: list[dict[str, Any]]
) -> None:
    oracle = search().oracle
    oracle.verbose = 0
    first = oracle.create_trial("worker-0")
    assert oracle.give_back("worker-0", "it was killed") == first.trial_id
    again = oracle.create_trial("worker-1")
    assert (again.trial_id, again.status) == (first.trial_id, "RUNNING")
    assert oracle.give_back("worker-1", "it was killed") == first.trial_id
    assert oracle.trials[first.trial_id].status == "FAILED"
    assert oracle.end_order == [first.trial_id]
    assert oracle.create_trial("worker-1").trial_id != first.trial_id
    assert oracle.give_back("worker-7", "it was killed") is None
    state = json.loads(oracle.file.read_text())
    assert list(state["ongoing_trials"]) == ["worker-1"]
