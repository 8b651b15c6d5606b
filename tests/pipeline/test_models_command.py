from __future__ import annotations

import io
import json

import pytest
from rich.console import Console
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.commands import models
from trainer.models import catalogue, registry


@pytest.fixture(scope="module")
def unet() -> dict:
    return models.describe("unet")


def shown(show, *arguments) -> list[str]:
    out = io.StringIO()
    show(Console(file=out, width=80), *arguments)
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert max(map(len, lines)) <= 80
    return lines


def test_a_line_a_model(unet: dict) -> None:
    whole = {**unet, "name": "patch_classifier", "receptive_field": None, "input_side": 606}
    lines = shown(models.show_all, [unet, whole])
    assert lines[1].split() == [
        "unet", f"{unet['parameters']:,}", "204", "x", "204", "16", "48.3", "G",
    ]  # fmt: skip
    assert "whole image" in lines[2]
    assert "patch_classifier 606." in " ".join(lines)


def test_one_with_its_options(unet: dict) -> None:
    text = " ".join(shown(models.show_one, unet))
    assert "https://arxiv.org/abs/1505.04597" in text
    for option in unet["options"]:
        assert option["name"] in text
    assert "same | valid: valid is the paper's" in " ".join(text.split())


@pytest.mark.parametrize("name", registry.NAMES)
def test_every_model_says_its_paper_and_its_options(name: str) -> None:
    assert "http" in registry.document(name)
    assert catalogue.summary(name)
    for option in catalogue.options(name):
        assert option.meaning
        assert option.allowed


def test_for_machines(unet: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "describe", lambda name: {**unet, "name": name})
    told = json.loads(CliRunner().invoke(app, ["models", "--json"]).stdout)
    assert [one["name"] for one in told["models"]] == list(registry.NAMES)
    assert told["image"] == {"height": 512, "width": 512, "channels": 3, "classes": 2}


def test_one_that_is_not_there() -> None:
    done = CliRunner().invoke(app, ["models", "unett"])
    assert done.exit_code == 2
    assert "There is no model 'unett'; did you mean unet?" in " ".join(done.output.split())


def test_large_numbers() -> None:
    amounts = (999, 1_000, 1_234_567, 999_960_000, 54_833_111_040, 1_200_000_000_000)
    told = ["999", "1.00 k", "1.23 M", "1.00 G", "54.8 G", "1.20 T"]
    assert [models.amount(number) for number in amounts] == told
