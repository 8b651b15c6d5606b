from __future__ import annotations

from tfx.types import channel, standard_artifacts

from components.serving_validator import checks
from components.serving_validator.component import validator
from components.serving_validator.config import ValidationConfig


def node(by: str):
    return validator(
        channel.Channel(type=standard_artifacts.Model),
        channel.Channel(type=standard_artifacts.Examples),
        "cells",
        ValidationConfig(by=by, images=2),  # type: ignore[arg-type]
    )


def test_the_configuration_chooses_who_validates() -> None:
    assert node("none") is None
    assert type(node("embedded")).__name__ == "ServingValidator"
    for by, platform in (("docker", "local_docker"), ("kubernetes", "kubernetes")):
        chosen = node(by)
        assert type(chosen).__name__ == "InfraValidator"
        assert platform in chosen.exec_properties["serving_spec"]
        assert "evaluate" in chosen.exec_properties["request_spec"]


def test_a_limit_is_inclusive_and_none_is_no_limit() -> None:
    at = checks.limited("size", 4.0, 4.0, "a mask has 4 MB", "push.validation.max_answer_mb")
    assert at.passed
    assert at.sentence == "a mask has 4 MB, within 4 (push.validation.max_answer_mb)"
    above = checks.limited("size", 4.1, 4.0, "a mask has 4.1 MB", "k")
    assert not above.passed
    assert above.sentence == "a mask has 4.1 MB, above 4 (k)"
    assert checks.limited("size", 9.0, None, "told", "k").passed


def test_checks_survive_json() -> None:
    found = [checks.Check("a", 1.0, None, True, "b"), checks.Check("c", None, 2.0, False, "d")]
    text = checks.to_json(found)
    assert [checks.Check(**one) for one in checks.read(text)] == found
    assert '"passed": false' in text
