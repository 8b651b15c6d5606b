from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tfx.types import standard_artifacts

from components.image_example_gen import spans
from components.records import Layout
from components.resolving.strategies import (
    EvaluationSetStrategy,
    LastBlessedStrategy,
    WindowStrategy,
)
from tests.components.resolving.conftest import History

CELLS = Layout(1, "uint8", ("background", "cell"))


def make_model(history: History, blessed: bool = True, layout: Layout = CELLS) -> tuple[Any, Any]:
    """A model and its blessing."""
    model = standard_artifacts.Model()
    model.id = history.next_id()
    model.uri = str(history.root / f"model-{model.id}")
    extra = Path(model.uri) / "Format-Serving" / "assets.extra"
    extra.mkdir(parents=True)
    (extra / "overtile.json").write_text(json.dumps({"layout": layout.to_json()}))
    blessing = standard_artifacts.ModelBlessing()
    blessing.id = history.next_id()
    blessing.set_int_custom_property("current_model_id", model.id)
    blessing.set_int_custom_property("blessed", int(blessed))
    return model, blessing


def last_blessed(examples: list[Any], made: list[tuple[Any, Any]]) -> list[int]:
    found = LastBlessedStrategy(json.dumps(CELLS.to_json())).resolve_artifacts(
        None,
        {
            "examples": examples,
            "model": [model for model, _ in made],
            "model_blessing": [blessing for _, blessing in made],
            "infra_blessing": [],
        },
    )
    assert found is not None
    return [model.id for model in found["model"]]


def test_a_first_run_starts_from_nothing(history: History) -> None:
    assert last_blessed(history.examples, []) == []


def test_the_model_from_before_the_newest_examples(history: History) -> None:
    first = make_model(history)
    second_span = history.later(2)
    examples = [*history.examples[:2], second_span]
    assert last_blessed(examples, [first]) == [first[0].id]
    # The model made of these examples changes nothing when the run is repeated ...
    second = make_model(history)
    assert last_blessed(examples, [first, second]) == [first[0].id]
    # ... and is where training on the next span starts.
    third_span = history.later(3)
    assert last_blessed([*examples, third_span], [first, second]) == [second[0].id]


def test_refused_models_and_models_of_other_images_are_passed_over(history: History) -> None:
    made = [
        make_model(history),
        make_model(history, blessed=False),
        make_model(history, layout=Layout(3, "uint8", CELLS.classes)),
    ]
    assert last_blessed([history.later(2)], made) == [made[0][0].id]


def test_a_model_blessed_later_than_the_examples_came(history: History) -> None:
    model, _ = make_model(history)
    examples = [history.later(2)]
    _, blessing = make_model(history)
    blessing.set_int_custom_property("current_model_id", model.id)
    assert last_blessed(examples, [(model, blessing)]) == []


def evaluation_set(history: History, new: list[Any]) -> list[int]:
    found = EvaluationSetStrategy().resolve_artifacts(
        None, {"new": new, "evaluation": history.examples}
    )
    assert found is not None
    return [one.id for one in found["evaluation"]]


def test_the_evaluation_set_is_the_one_that_was_left_out(history: History) -> None:
    frozen = history.examples[0]
    assert evaluation_set(history, history.examples[:2]) == [frozen.id]
    assert evaluation_set(history, [history.later(2)]) == [frozen.id]


def test_the_trainer_gets_the_evaluation_set_and_the_window(history: History) -> None:
    for number in (2, 3):
        history.later(number)
    evaluation = history.examples[0]
    found = WindowStrategy(2).resolve_artifacts(
        None,
        {
            "examples": list(reversed(history.examples)),
            "evaluation": [evaluation],
            "blessings": history.blessings,
        },
    )
    assert found is not None
    kinds = [(one.span, one.get_string_custom_property(spans.KIND)) for one in found["examples"]]
    assert kinds == [(1, spans.EVALUATES), (2, spans.TRAINS), (3, spans.TRAINS)]
    assert found["evaluation"] == [evaluation]
