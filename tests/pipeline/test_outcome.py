import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from components.example_validator import checks
from components.image_example_gen import duplicates
from components.serving_validator.checks import Check, to_json
from components.tuner import trials
from pipeline.outcome import (
    Outcome,
    conclude,
    take_examples,
    take_findings,
    take_serving,
    take_training,
    take_trials,
)
from pipeline.runs import Result


class Artifact:
    """As much of a TFX artifact as is looked at."""

    def __init__(self, uri: Path | str, **properties: Any):
        self.uri, self.properties = str(uri), properties

    def get_int_custom_property(self, name: str) -> int:
        return self.properties.get(name, 0)

    def get_string_custom_property(self, name: str) -> str:
        return self.properties.get(name, "")


def evaluation(blessed: bool) -> Any:
    sentence = "mean_iou 0.412 is below 0.500 (evaluate.min_mean_iou)"
    rules = [SimpleNamespace(passed=blessed, sentence=lambda: sentence)]
    return SimpleNamespace(blessed=blessed, rules=rules)


@pytest.mark.parametrize(
    ("blessed", "state", "is_pushed", "verdict", "exit_code"),
    [
        (True, "done", 1, "pushed", 0),
        (True, "cached", 1, "unchanged", 0),
        (False, "done", 0, "refused", 3),
        (False, "cached", 0, "refused", 3),  # asking again makes no model better
        (True, "done", 0, "refused", 3),  # the Pusher had its own reasons
    ],
)
def test_verdicts(
    tmp_path: Path, blessed: bool, state: Any, is_pushed: int, verdict: str, exit_code: int
) -> None:
    for version in ("9", "10", ".incoming-11"):
        (tmp_path / version).mkdir()
    model = Artifact("archive", pushed=is_pushed, pushed_destination=str(tmp_path / "9"))
    result = Result("a", "now")
    conclude(result, evaluation(blessed), Outcome(state, {"pushed_model": [model]}), tmp_path)
    assert (result.verdict, result.exit_code) == (verdict, exit_code)
    assert result.status == verdict
    ninth = {"path": str(tmp_path / "9"), "version": "9"}
    assert result.pushed == (ninth if verdict == "pushed" else None)
    assert result.earlier == (ninth if verdict == "unchanged" else None)
    # By number and not by letter, and never one that is half there.
    assert result.serving == {"path": str(tmp_path / "10"), "version": "10"}
    assert (result.error is None) == (exit_code == 0)


def test_a_refusal_says_which_number_fell_short() -> None:
    result = Result("a", "now")
    pusher = Outcome("done", {"pushed_model": [Artifact("archive")]})
    conclude(result, evaluation(blessed=False), pusher, Path("/nowhere"))
    assert result.error == (
        "The model was not pushed: mean_iou 0.412 is below 0.500 (evaluate.min_mean_iou)."
    )
    assert result.serving is None


def test_a_model_that_answers_wrongly_is_refused_with_what_it_lacks(tmp_path: Path) -> None:
    found = [
        Check("loads", None, None, True, "the model loads and is served"),
        Check("REST, serving_default", 0.25, 0.001, False, "REST gives other masks"),
    ]
    (tmp_path / "validation.json").write_text(to_json(found))
    result = Result("a", "now")
    take_serving(result, Outcome("done", {"blessing": [Artifact(tmp_path, blessed=0)]}))
    pusher = Outcome("done", {"pushed_model": [Artifact("archive")]})
    conclude(result, evaluation(blessed=True), pusher, Path("/nowhere"))
    assert (result.verdict, result.exit_code) == ("refused", 3)
    assert result.error == "The model was not pushed: REST gives other masks."


@pytest.mark.parametrize("blessed", [0, 1])
def test_tfx_s_infra_validator_says_only_yes_or_no(tmp_path: Path, blessed: int) -> None:
    result = Result("a", "now")
    take_serving(result, Outcome("done", {"blessing": [Artifact(tmp_path, blessed=blessed)]}))
    assert [check["passed"] for check in result.validation] == [bool(blessed)]


def test_counts_and_bad_files_come_from_beside_the_records(tmp_path: Path) -> None:
    counts = {"images": 2, "used": {"train": 1, "eval": 0}, "records": {"train": 4, "eval": 0}}
    (tmp_path / "counts.json").write_text(json.dumps({**counts, "set_aside": 1}))
    (tmp_path / "set_aside.jsonl").write_text('{"file": "a.png", "reason": "empty file"}\n')
    result = Result("a", "now")
    take_examples(result, Outcome("done", {"examples": [Artifact(tmp_path)]}))
    assert result.counts is not None
    assert result.counts["records"] == {"train": 4, "eval": 0}
    assert result.set_aside == [{"file": "a.png", "reason": "empty file"}]


@pytest.mark.parametrize(
    ("state", "told", "expected"), [("done", 300, 300), ("done", 0, None), ("cached", 300, None)]
)
def test_resumed_training(tmp_path: Path, state: Any, told: int, expected: int | None) -> None:
    (tmp_path / "training.json").write_text(json.dumps({"resumed_from_step": told}))
    result = Result("a", "now")
    take_training(result, Outcome(state, {"model_run": [Artifact(tmp_path)]}))
    assert result.resumed_from_step == expected


def test_findings_of_the_data(tmp_path: Path) -> None:
    pair = duplicates.Near("e", "t", 0.99)
    duplicates.write(tmp_path / duplicates.FILE, [pair])
    examples = Outcome("done", {"examples": [Artifact(tmp_path)]})
    validator = Outcome("cached", {"anomalies": [Artifact(tmp_path)]})
    result = Result("a", "now")
    checks.write(tmp_path / checks.FILE, [])
    assert take_findings(result, examples, validator) == []
    assert result.near_duplicates == [{"eval": "e", "train": "t", "similarity": 0.99}]
    checks.write(tmp_path / checks.FILE, [checks.Finding("one_colour", "eval", 1, 0, False, "!")])
    note = "1 thing to look at in the data, listed at the end"
    assert take_findings(result, examples, validator) == [note]
    assert [one["check"] for one in result.findings] == ["one_colour"]


def test_trials_are_told_the_best_first(tmp_path: Path) -> None:
    outcome = Outcome("done", {"tuner_results": [Artifact(tmp_path)]})
    result = Result("a", "now")
    assert take_trials(result, outcome) == []  # of a Tuner before there was the file
    found = [
        trials.Trial(1, {"model.width": 4}, "completed", 0.5, 300, 9.5),
        trials.Trial(2, {"model.width": 64}, "failed", None, 0, 0.5, "No memory."),
        trials.Trial(3, {"model.width": 8}, "completed", 0.8125, 300, 9.5),
    ]
    trials.write(str(tmp_path), found)
    assert take_trials(result, outcome) == ["best of 3 trials: mean IoU 0.812; 1 failed"]
    assert [trial["trial"] for trial in result.trials] == [3, 1, 2]
    assert result.trials[0]["values"] == {"model.width": 8}
