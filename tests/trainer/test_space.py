from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import ValidationError

from trainer import space
from trainer.config import AugmentConfig, ModelConfig, TrainConfig
from trainer.tune_config import TuneConfig

UNET = ModelConfig(options={"width": 8, "depth": 2})


def tune(**searched: Any) -> TuneConfig:
    return TuneConfig(
        trials=1, space={key.replace("__", "."): one for key, one in searched.items()}
    )


def chosen(values: dict[str, Any], model: ModelConfig = UNET) -> dict[str, Any]:
    return space.chosen(model, TrainConfig(), AugmentConfig(), values)


def test_values_reach_their_sections() -> None:
    made = chosen(
        {"train.learning_rate": 0.01, "augment.strength": 0.5, "model.width": 4, "tuner/epochs": 3}
    )
    assert made["train"].learning_rate == 0.01
    assert made["augment"].strength == 0.5
    assert made["model"].options == {"width": 4, "depth": 2}


def test_another_model_gets_the_options_that_it_has() -> None:
    # fcn8s has alpha, and neither width nor depth.
    made = chosen({"model.name": "fcn8s", "model.alpha": 0.25, "model.width": 4})
    assert made["model"] == ModelConfig(name="fcn8s", options={"alpha": 0.25})
    made = chosen({"model.name": "unet", "model.alpha": 0.25, "model.width": 4})
    assert made["model"] == ModelConfig(options={"width": 4, "depth": 2})


@pytest.mark.parametrize(
    ("key", "word", "meant"),
    [
        ("train.loss", "dice", {"dice": 1.0}),
        ("train.loss", '{"cross_entropy": 1, "dice": 0.5}', {"cross_entropy": 1, "dice": 0.5}),
        ("augment.flip", "false", False),
        ("train.crop", "null", None),
        ("train.optimizer", "sgd", "sgd"),
        ("train.learning_rate", 0.5, 0.5),
    ],
)
def test_what_a_value_means(key: str, word: Any, meant: Any) -> None:
    assert space.meaning(key, word) == meant


def test_choices_survive_the_way_through_keras_tuner() -> None:
    losses = ["dice", {"cross_entropy": 1.0, "dice": 1.0}]
    searched = tune(
        train__loss=losses, augment__flip=[True, False], train__crop=[None, 32],
        train__learning_rate=[1, 0.5], train__optimizer=["adam", "sgd"],
    )  # fmt: skip
    hp = space.declare(searched, UNET)
    # Of each the first, which is KerasTuner's default.
    made = chosen(hp.values)
    assert made["train"].loss == {"dice": 1.0}
    assert made["augment"].flip is True
    assert made["train"].crop is None
    assert made["train"].learning_rate == 1.0
    by_name = {one.name: one.values for one in hp.space}
    assert [space.meaning("train.loss", one) for one in by_name["train.loss"]] == [
        {"dice": 1.0},
        losses[1],
    ]
    assert [space.meaning("augment.flip", one) for one in by_name["augment.flip"]] == [True, False]
    assert by_name["train.learning_rate"] == [1.0, 0.5]


def test_options_are_searched_beside_the_models_that_have_them() -> None:
    searched = tune(model__width={"min": 4, "max": 8}, model__alpha=[0.25, 0.5],
                    model__name=["unet", "fcn8s"])  # fmt: skip
    hp = space.declare(searched, UNET)
    assert set(hp.values) == {"model.name", "model.width"}
    hp.values["model.name"] = "fcn8s"
    hp.ensure_active_values()
    assert set(hp.values) == {"model.name", "model.alpha"}


def test_ranges_of_whole_numbers_give_whole_numbers() -> None:
    searched = tune(
        model__width={"min": 4, "max": 8}, train__batch_size={"min": 1, "max": 4},
        augment__brightness={"min": 0, "max": 1},
    )  # fmt: skip
    kinds = {one.name: type(one).__name__ for one in space.declare(searched, UNET).space}
    assert kinds == {"model.width": "Int", "train.batch_size": "Int", "augment.brightness": "Float"}


@pytest.mark.parametrize(
    ("searched", "told"),
    [
        ({"model__name": ["unet", "vnet"]}, "tune.space: model.name: there is no model 'vnet'"),
        ({"model__widht": [4]}, "tune.space: model.widht: no model that is searched has"),
        ({"model__alpha": [0.5]}, "no model that is searched has the option 'alpha'"),
        ({"model__width": [0]}, "tune.space: model.width: 0 is not allowed: width: "),
        ({"train__optimizer": ["adam", "sdg"]}, "tune.space: train.optimizer: 'sdg' is not "),
        ({"augment__contrast": {"min": 0, "max": 2}}, "augment.contrast: 2.0 is not allowed"),
        ({"train__loss": ["dise"]}, "tune.space: train.loss: 'dise' is not allowed"),
    ],
)
def test_values_that_are_not_allowed_are_named(searched: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        space.check(tune(**searched), UNET)


@pytest.mark.parametrize(
    ("searched", "told"),
    [
        ({"data__path": ["x"]}, "'data.path' is not train.KEY, augment.KEY, model.name"),
        ({"augment__flop": [True]}, "augment has no 'flop'; it has strength, flip"),
        ({"train__steps": [1]}, "tune.steps"),
        ({"model__name": {"min": 0, "max": 1}}, "model.name needs a list of names"),
        ({"train__crop": []}, "train.crop has no value to choose from"),
    ],
)
def test_keys_that_cannot_be_searched_are_named(searched: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        tune(**searched)


def test_what_may_be_searched_passes() -> None:
    space.check(
        tune(
            model__name=["unet", "fcn8s"], model__width=[4, 8], model__alpha=[0.25],
            train__loss=["cross_entropy", {"cross_entropy": 1, "dice": 1}],
            train__learning_rate={"min": 1e-4, "max": 1e-2, "scale": "log"},
            augment__strength={"min": 0, "max": 2}, train__crop=[None, 32],
        ),
        UNET,
    )  # fmt: skip
