"""What examples/ holds is what this version reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import config

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").rglob("*.yaml"))


def test_there_are_examples() -> None:
    assert len(EXAMPLES) > 3


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_is_a_configuration(file: Path) -> None:
    loaded = config.load(file)
    assert loaded.data.classes
    # Below one folder beside the repository, each its own or that of what it is compared with.
    assert "overtile-work" in loaded.workspace.parts
