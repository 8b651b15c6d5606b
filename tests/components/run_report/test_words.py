import doctest

import pytest

from components.evaluation.gate import Rule
from components.run_report import curves, words


@pytest.mark.parametrize("module", [words, curves])
def test_examples(module: object) -> None:
    found = doctest.testmod(module)  # type: ignore[arg-type]
    assert found.attempted
    assert not found.failed


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        (Rule("min_mean_iou", "mean_iou", 0.4123, 0.5, False),
         "mean IoU 0.412 is below the floor of 0.500"),
        (Rule("min_iou.cell", "iou/cell", None, 0.25, False),
         "IoU of cell is undefined, where 0.25 is asked"),
        (Rule("max_drop", "mean_iou", 0.7, 0.75, False),
         "mean IoU 0.700 is below 0.750, the least that the last blessed model leaves"),
        # Three digits would say that 0.780 is below 0.780.
        (Rule("min_mean_iou", "mean_iou", 0.77996, 0.78, False),
         "mean IoU 0.77996 is below the floor of 0.78000"),
    ],
)  # fmt: skip
def test_a_shortfall_names_both_numbers(rule: Rule, sentence: str) -> None:
    assert words.shortfall(rule) == sentence


def test_settings_say_what_the_search_chose_and_leave_out_what_has_no_effect() -> None:
    used = {
        "train": {
            "learning_rate": 0.00316,
            "steps": 200,
            "optimizer": "adam",
            "momentum": 0.99,
            "effective_number_beta": 0.999999,
            "crop": None,
            "warmup_steps": 0,
            "precision": "auto",
            "loss": {"cross_entropy": 1.0, "dice": 0.5},
            "warm_start": True,
        }
    }
    asked = {"train": {**used["train"], "learning_rate": 0.001}}
    assert words.used(used, asked, "train") == [
        ("learning rate", "0.00316", True),
        ("steps", "200", False),
        ("optimizer", "adam", False),
        ("loss", "cross entropy 1, dice 0.5", False),
    ]  # fmt: skip
    # Only of a loss or a schedule that is used.
    idle = {"schedule": "cosine", "power": 0.9, "step_at": [0.5], "tversky_beta": 0.7}
    told = words.used({"train": {**used["train"], **idle, "focal_gamma": 2.0}}, asked, "train")
    assert [name for name, _, _ in told[4:]] == ["schedule"]
    focal = {**used["train"], "loss": {"focal": 1.0}, "focal_gamma": 2.0}
    assert ("focal gamma", "2", False) in words.used({"train": focal}, asked, "train")
    rare = {**used["train"], "class_weights": "effective_number"}
    told = words.used({"train": rare}, {"train": rare}, "train")
    assert ("effective number beta", "0.999999", False) in told
