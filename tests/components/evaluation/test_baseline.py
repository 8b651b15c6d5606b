from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tfx.types import standard_artifacts

from components.evaluation.baseline import BaselineStrategy
from components.records import Layout

CELLS = Layout(1, "uint8", ("background", "cell"))


@pytest.fixture
def resolve(tmp_path: Path):
    models: dict[int, Any] = {}
    blessings: list[Any] = []
    infra_blessings: list[Any] = []

    def model(
        number: int, blessed: bool, layout: Layout = CELLS, served: bool | None = None
    ) -> None:
        made = standard_artifacts.Model()
        made.id, made.uri = number, str(tmp_path / str(number))
        extra = tmp_path / str(number) / "Format-Serving" / "assets.extra"
        extra.mkdir(parents=True)
        (extra / "overtile.json").write_text(json.dumps({"layout": layout.to_json()}))
        models[number] = made
        blessing = standard_artifacts.ModelBlessing()
        blessing.set_int_custom_property("current_model_id", number)
        blessing.set_int_custom_property("blessed", int(blessed))
        blessing.id = 100 + len(blessings)
        blessings.append(blessing)
        if served is not None:
            answer = standard_artifacts.InfraBlessing()
            answer.set_int_custom_property("current_model_id", number)
            answer.set_int_custom_property("blessed", int(served))
            answer.id = 200 + len(infra_blessings)
            infra_blessings.append(answer)

    def baseline_of(number: int) -> list[int]:
        found = BaselineStrategy().resolve_artifacts(
            None,
            {
                "candidate": [models[number]],
                "model": list(models.values()),
                "model_blessing": blessings,
                "infra_blessing": infra_blessings,
            },
        )
        assert found is not None
        return [made.id for made in found["model"]]

    baseline_of.model = model  # type: ignore[attr-defined]
    return baseline_of


def test_the_model_blessed_last_other_than_the_candidate(resolve) -> None:
    resolve.model(1, blessed=True)
    resolve.model(2, blessed=True)
    resolve.model(3, blessed=False)
    resolve.model(4, blessed=False)
    assert resolve(4) == [2]


def test_a_repeated_run_resolves_what_its_first_run_did(resolve) -> None:
    resolve.model(1, blessed=True)
    resolve.model(2, blessed=True)  # blessed by the first run
    assert resolve(2) == [1]


def test_an_older_model_is_compared_with_the_younger_one_that_is_served(resolve) -> None:
    resolve.model(1, blessed=True)
    resolve.model(2, blessed=True)
    assert resolve(1) == [2]


def test_a_model_of_other_classes_is_no_baseline(resolve) -> None:
    resolve.model(1, blessed=True)
    resolve.model(2, blessed=True, layout=Layout(1, "uint8", ("background", "cell", "border")))
    resolve.model(3, blessed=True)
    assert resolve(3) == [1]


def test_a_model_that_could_not_be_served_is_no_baseline(resolve) -> None:
    resolve.model(1, blessed=True, served=True)
    resolve.model(2, blessed=True, served=False)
    resolve.model(3, blessed=True, served=True)
    assert resolve(3) == [1]
