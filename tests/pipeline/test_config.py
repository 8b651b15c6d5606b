from __future__ import annotations

from pathlib import Path

import pytest

from components.errors import InputError
from pipeline import config


def message(tmp_path: Path, text: str) -> str:
    file = tmp_path / "overtile.yaml"
    file.write_text(text)
    with pytest.raises(InputError) as error:
        config.load(file)
    return str(error.value).removeprefix(f"{file}: ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("train: {stepz: 3}", "unknown key train.stepz; did you mean steps?"),
        ("trane: {steps: 3}", "unknown key trane; did you mean train?"),
        ("train: {steps: -3}", "train.steps: -3 is not allowed: input should be greater than 0."),
        (
            "train: {optimizer: adagrad}",
            "train.optimizer: 'adagrad' is not allowed: input should be 'adam', 'adamw', 'sgd' or "
            "'lamb'.",
        ),
        ("model: {name: resnet}", "model: there is no model 'resnet'; there are unet, fcn32s, "),
        (
            "data: {classes: {a: [0], b: [0]}}",
            "data: mask value 0 is given to both a and b.",
        ),
        ("data: {classes: {a: [0]}}", "name the background too"),
        ("data: {split: {train: ['a*']}}", "give both train and eval lists"),
        ("data: {group: 'slide'}", "has no bracket that says which part of the key is the group"),
        ("data: {classes: {a: [0], b: [1]}, colours: {c: '#000000'}}", "colours names ['c']"),
        ("tune: {space: {train.stepz: [1]}}", "train has no 'stepz'"),
        (
            "tune: {space: {train.learning_rate: {min: 2, max: 1}}}",
            "min 2 is not below max 1",
        ),
        ("name: My Model", "name: 'My Model' is not allowed"),
        ("- a\n- b", "holds a list, not sections such as `data:`"),
        ("a: [", "is not YAML"),
    ],
)
def test_each_mistake_is_named(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in message(tmp_path, text)


def test_two_mistakes_are_both_named(tmp_path: Path) -> None:
    told = message(tmp_path, "train: {stepz: 3}\npush: {pth: x}")
    assert "train.stepz" in told
    assert "push.pth" in told


@pytest.mark.parametrize(
    ("over", "augment", "missing"),
    [
        ("none", "{flip: false, quarter_turns: false}", None),
        ("left_right", "{flip: left_right, quarter_turns: false}", None),
        ("left_right", "{flip: up_down}", "augment.flip: left_right"),
        ("flips", "{flip: left_right}", "augment.flip: true"),
        ("flips", "{quarter_turns: false}", None),
        ("flips_and_turns", "{}", None),
        ("flips_and_turns", "{quarter_turns: false}", "augment.quarter_turns: true"),
        (
            "flips_and_turns",
            "{flip: false, quarter_turns: false}",
            "augment.flip: true and augment.quarter_turns: true",
        ),
    ],
)
def test_copies_that_a_model_never_saw_are_not_averaged(
    tmp_path: Path, over: str, augment: str, missing: str | None
) -> None:
    file = tmp_path / "overtile.yaml"
    file.write_text(f"model: {{average_over: {over}}}\naugment: {augment}\n")
    if missing is None:
        assert config.load(file).model.average_over == over
        return
    with pytest.raises(InputError, match=f"model.average_over: {over} needs {missing}: "):
        config.load(file)


def test_an_option_of_the_model_is_checked(tmp_path: Path) -> None:
    told = message(tmp_path, "model: {options: {widht: 3}}")
    assert "unknown key model.options.widht; did you mean width?" in told
    told = message(tmp_path, "model: {name: fcn8s, options: {alpha: 2}}")
    assert "model.options.alpha: 2 is not allowed: input should be less than or equal to 1" in told
    told = message(
        tmp_path, "model: {name: fcn8s, options: {backbone: alexnet, weights: imagenet}}"
    )
    assert "model.options: weights: Keras has none of ImageNet for alexnet" in told


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="`overtile init DATA` writes one"):
        config.load(tmp_path / "none.yaml")


def test_paths_start_at_the_file(tmp_path: Path) -> None:
    (tmp_path / "overtile.yaml").write_text(
        "data: {path: ../images}\npush: {path: served}\n"
        "model: {name: fcn8s, options: {weights: ../mobilenet.h5, alpha: 0.25}}"
    )
    loaded = config.load(tmp_path / "overtile.yaml")
    assert loaded.data.path == tmp_path.parent / "images"
    assert loaded.workspace == tmp_path / "overtile-work"
    assert loaded.serving == tmp_path / "served" / "overtile"
    weights = tmp_path.parent / "mobilenet.h5"
    assert loaded.model.options == {"weights": str(weights), "alpha": 0.25}
    named = config.load(tmp_path / "overtile.yaml", {"model.options.weights": "imagenet"})
    assert named.model.options["weights"] == "imagenet"


def test_everything_has_a_default(tmp_path: Path) -> None:
    (tmp_path / "overtile.yaml").write_text("")
    assert config.load(tmp_path / "overtile.yaml").train.steps == 2000


def test_overrides_replace_single_keys(tmp_path: Path) -> None:
    file = tmp_path / "overtile.yaml"
    file.write_text("train: {steps: 5, seed: 3}")
    loaded = config.load(file, {"train.steps": 7, "model.options.width": 4})
    assert (loaded.train.steps, loaded.train.seed) == (7, 3)
    assert loaded.model.options == {"width": 4}
    with pytest.raises(InputError, match=r"train holds a value, so train\.steps cannot be set"):
        config.parse({"train": 3}, tmp_path, overrides={"train.steps": 7})
