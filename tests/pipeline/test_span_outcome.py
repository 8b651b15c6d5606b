from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from components.errors import SetAside
from components.image_example_gen import integrity, spans
from components.image_example_gen.config import SpansConfig
from components.span_validator.blessing import VERDICTS, SpanBlessing, Verdict, encode
from pipeline import runs, span_outcome
from pipeline.outcome import Outcome
from pipeline.runs import Result
from tests.components.image_example_gen.conftest import data_of, make_pair

REFUSED = {"span": "span-3", "match": 0.5, "agreement": 0.1, "reason": "its labels are mixed up"}


def examples(folder: Path, number: int, kind: str = spans.TRAINS) -> Any:
    from tfx.types import standard_artifacts

    made = standard_artifacts.Examples()
    made.uri = str(folder / f"span-{number}-{kind}")
    made.set_string_custom_property(spans.KIND, kind)
    made.set_string_custom_property(spans.NAME, f"span-{number}")
    return made


@pytest.fixture
def result(tmp_path: Path) -> Result:
    """Of a run on one span that is whole."""
    make_pair(tmp_path / "data/span-1", "a", seed=0)
    (tmp_path / "data/span-1/_COMPLETE").touch()
    made = runs.new(tmp_path, None)
    span_outcome.begin(made, data_of(tmp_path / "data", spans=SpansConfig()))
    return made


def told(result: Result) -> dict[str, Any]:
    assert result.spans is not None
    return result.spans


def test_what_lies_there_is_known_from_the_start(result: Result) -> None:
    assert list(told(result)["seen"]) == ["span-1"]


def test_the_accounts_of_all_new_spans_are_added_up(result: Result, tmp_path: Path) -> None:
    artifacts = [
        examples(tmp_path, 1, spans.EVALUATES),
        examples(tmp_path, 1),
        examples(tmp_path, 2),
    ]
    split, later = {"train": 6, "eval": 2}, {"train": 3, "eval": 0}
    bad, held = SetAside("span-2/images/b.png", "empty file"), SetAside("span-2/c.png", "a copy")
    integrity.write(Path(artifacts[1].uri), integrity.Counts(8, split, split), [])
    integrity.write(
        Path(artifacts[2].uri),
        integrity.Counts(5, later, later, set_aside=1, held_back=1),
        [bad],
        [held],
    )
    outcome = Outcome("done", {"examples": artifacts})
    notes = span_outcome.take(result, "ImageExampleGen", outcome, [])
    assert notes == [
        "1 image of the new spans does not train, since copies or others of their groups evaluate."
    ]
    assert told(result)["new"] == ["span-1", "span-2"]
    assert result.set_aside == [{"file": "span-2/images/b.png", "reason": "empty file"}]
    assert told(result)["held_back"] == [{"file": "span-2/c.png", "reason": "a copy"}]
    # 8 + 5 images: 6 + 3 train, 2 + 0 evaluate, one is set aside, one held back.
    assert result.counts == {
        "images": 13,
        "set_aside": 1,
        "lone_masks": 0,
        "unused": 0,
        "held_back": 1,
        "repeats": 0,
        "unlabelled": 0,
        "used": {"train": 9, "eval": 2},
        "records": {"train": 9, "eval": 2},
    }


def take_verdicts(result: Result, state: Any) -> list[str]:
    blessing = SpanBlessing()
    verdicts = {
        7: Verdict("span-2", True),
        8: Verdict("span-3", False, match=0.5, agreement=0.1, reason="its labels are mixed up"),
    }
    blessing.set_string_custom_property(VERDICTS, encode(verdicts))
    return span_outcome.take(result, "SpanValidator", Outcome(state, {"blessing": [blessing]}), [])


def test_refused_spans(result: Result) -> None:
    assert take_verdicts(result, "done") == []  # the component has said it by itself
    assert told(result)["refused"] == [REFUSED]
    assert take_verdicts(result, "cached") == ["span-3: refused by an earlier run, so without it."]


def test_window_and_evaluation_set(result: Result, tmp_path: Path) -> None:
    evaluation = examples(tmp_path, 1, spans.EVALUATES)
    window = [examples(tmp_path, 2), examples(tmp_path, 3)]
    outcome = Outcome("done", {"examples": [evaluation, *window], "evaluation": [evaluation]})
    assert span_outcome.take(result, "Window", outcome, []) == [
        "Training on span-2, span-3; evaluating on images of span-1."
    ]


@pytest.mark.parametrize(
    ("pushed", "version"), [({"path": "s/17", "version": "17"}, "17"), (None, None)]
)
def test_the_model_that_training_starts_from(
    pushed: dict[str, str] | None, version: str | None, result: Result, tmp_path: Path
) -> None:
    from tfx.types import standard_artifacts

    model = standard_artifacts.Model()
    model.uri = str(tmp_path / "model/3")
    before = runs.new(tmp_path, None)
    before.spans, before.pushed = {"model": model.uri}, pushed
    outcome = Outcome("done", {"model": [model]})
    notes = span_outcome.take(result, "WarmStart", outcome, [before])
    assert told(result)["warm_start"] == {"model": model.uri, "version": version}
    start = "version 17" if version else f"the model in {model.uri}"
    assert notes == [f"Weights to start from: {start}."]
    # The Trainer may find that the weights do not fit.
    summary = tmp_path / "run/training.json"
    summary.parent.mkdir()
    trainer = Outcome("done", {"model": [model], "model_run": [_at(summary.parent)]})
    for warm in (model.uri, None):
        summary.write_text(json.dumps({"warm_start_from": warm}))
        span_outcome.take(result, "Trainer", trainer, [])
        assert (told(result)["warm_start"] is None) == (warm is None)


def _at(folder: Path) -> Any:
    from tfx.types import standard_artifacts

    made = standard_artifacts.ModelRun()
    made.uri = str(folder)
    return made


@pytest.mark.parametrize(
    ("verdict", "state", "expected"),
    [
        ("unchanged", "done", ("refused", 3)),  # the refused span was all that was new
        ("unchanged", "cached", ("unchanged", 0)),  # and is old by now
        ("pushed", "done", ("pushed", 0)),  # another span was good
    ],
)
def test_verdicts(verdict: Any, state: Any, expected: tuple[str, int], result: Result) -> None:
    result.verdict = result.status = verdict
    told(result)["refused"] = [REFUSED]
    span_outcome.conclude(result, Outcome(state, {}))
    assert (result.verdict, result.exit_code) == expected
    advice = (
        "span-3 is refused and will not train: its labels are mixed up. Mend the labels or remove "
        "it; if they are right and the images of a new kind, lower "
        "data.spans.min_agreement."
    )
    lines = [line for line, _ in span_outcome.lines(result)]
    if expected[0] == "refused":
        assert (result.error, lines) == (advice, [])
    else:
        assert (result.error, lines) == (None, [advice])
