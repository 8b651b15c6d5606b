from __future__ import annotations

import dataclasses

import pytest

from components.errors import InputError
from pipeline.comparison import charts, comparing, settings, telling
from tests.pipeline.comparison.conftest import Make


def test_a_clear_difference_is_said(make_entry: Make) -> None:
    entries = [make_entry("good", [1, 1, 1, 1]), make_entry("bad", [4, 4, 4, 4])]
    apart = comparing.differences(entries)
    assert [(one.first, one.second) for one in apart] == [("good", "bad")]
    assert apart[0].value == pytest.approx(entries[0].mean_iou - entries[1].mean_iou)
    assert apart[0].is_clear
    told = telling.conclusion(entries, apart)
    assert told.startswith(f"good reaches the highest mean IoU, {entries[0].mean_iou:.3f}; bad is ")


def test_a_doubtful_one_too(make_entry: Make) -> None:
    entries = [make_entry("one", [1, 4, 1, 4, 2]), make_entry("other", [4, 1, 4, 1, 1])]
    apart = comparing.differences(entries)
    assert not apart[0].is_clear
    assert "these images do not tell it from" in telling.conclusion(entries, apart)


def test_one_image_gives_no_interval(make_entry: Make) -> None:
    entries = [make_entry("one", [1]), make_entry("other", [2])]
    apart = comparing.differences(entries)
    assert apart[0].interval is None
    assert not apart[0].is_clear
    assert "too few images for an interval" in telling.conclusion(entries, apart)


def test_a_classical_method_is_named_behind_the_models(make_entry: Make) -> None:
    entries = [make_entry("net", [3, 3]), make_entry("Otsu threshold", [0, 0], trained=False)]
    told = telling.conclusion(entries, comparing.differences(entries))
    # It is better than the model here, and still no model.
    assert told.startswith("net reaches a mean IoU of 0.")
    assert told.endswith("The best classical method, Otsu threshold, reaches 1.000.")


def test_images_where_models_differ_come_first(make_entry: Make) -> None:
    # On image 2 one is right and the other far off; image 5 is bad for both.
    entries = [make_entry("a", [1, 1, 0, 1, 1, 4, 2]), make_entry("b", [1, 1, 4, 1, 2, 4, 2])]
    groups = dict(comparing.choose(entries))
    assert groups["Where they differ most"][0] == (0, "image_02")
    assert groups["The hardest one"] == [(0, "image_05")]
    shown = [key for keys in groups.values() for key in keys]
    assert len(shown) == len(set(shown)) == 4


def test_of_few_images_all_are_shown(make_entry: Make) -> None:
    found = comparing.choose([make_entry("a", [1, 2, 3])])
    assert found == [("All images", [(0, f"image_0{n}") for n in range(3)])]


def test_only_settings_that_differ_are_listed(make_run: Make) -> None:
    first, second = make_run("a"), make_run("b")
    second.training["settings"]["train"]["learning_rate"] = 0.5
    second.training["settings"]["model"]["options"] = {"width": 7}
    assert settings.that_differ([first, second]) == [
        ("model.options.width", ["32", "7"]),
        ("train.learning_rate", ["0.001", "0.5"]),
    ]


def test_the_loss_is_that_of_the_exported_step(make_entry: Make) -> None:
    # Five epochs of 100 steps; the fourth was exported.
    assert make_entry("a", [1, 1]).loss == pytest.approx(1.1 / 4)


def test_one_model_cannot_be_compared_with_itself(make_run: Make) -> None:
    run = make_run("a")
    with pytest.raises(InputError, match="x and y are one and the same model"):
        comparing._refuse_twice([run, dataclasses.replace(run, run="later")], ["x", "y"])


def test_curves_against_steps_and_time(make_run: Make) -> None:
    made = charts.of_trainings({"a": make_run("a").training, "b": make_run("b").training})
    assert [(chart.title, chart.x_name) for chart in made] == [
        ("Mean IoU", "training step"),
        ("Loss", "training step"),
        ("Mean IoU", "seconds of training"),
        ("Loss", "seconds of training"),
    ]
    line = made[0].lines[1]
    assert (line.name, line.kind, line.last) == ("b", "1", pytest.approx(1 - 0.7 / 5))
    # Steps 100 to 500 of 500; the fourth was exported.
    assert [x for x, _ in line.points] == pytest.approx([20, 40, 60, 80, 100])
    assert line.best is not None
    assert line.best[0] == pytest.approx(80)


def test_a_training_without_times_has_no_curve_against_them(make_run: Make) -> None:
    old = make_run("old")
    for entry in old.training["history"]:
        del entry["seconds"]
    made = charts.of_trainings({"old": old.training, "new": make_run("new").training})
    assert [line.name for chart in made for line in chart.lines] == ["old", "new"] * 2 + ["new"] * 2
    assert len(charts.of_trainings({"old": old.training})) == 2


def test_a_training_that_never_was_finite(make_run: Make) -> None:
    run = make_run("nan")
    for entry in run.training["history"]:
        entry.update(val_loss=float("nan"), val_mean_iou=float("nan"))
    assert charts.of_trainings({"nan": run.training}) == []
