from __future__ import annotations

from pathlib import Path

from pipeline import config, reference

ROOT = Path(__file__).parents[2]


def test_the_reference_in_docs_is_what_the_sections_say() -> None:
    written = (ROOT / "docs/configuration.md").read_text()
    assert written == reference.markdown(), (
        "run: python -m pipeline.reference > docs/configuration.md"
    )


def test_the_examples_are_valid() -> None:
    for file in sorted((ROOT / "examples").glob("*.yaml")):
        loaded = config.load(file)
        assert loaded.data.classes, file
        # By name, or by the folders of the data set: what they state to reach is of these images.
        assert loaded.data.split.eval or "{SPLIT}" in loaded.data.images, file
