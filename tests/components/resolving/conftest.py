"""Artifacts as ML Metadata has them, without ML Metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tfx.types import standard_artifacts

from components.image_example_gen import spans
from components.image_example_gen.spans import Request, Span
from components.span_validator.blessing import VERDICTS, SpanBlessing, Verdict, encode

RECIPE = "recipe"


class History:
    """What a pipeline's runs left."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.examples: list[Any] = []
        self.blessings: list[Any] = []
        self._id = 0

    def next_id(self) -> int:
        """Ids grow over all types, as ML Metadata's do."""
        self._id += 1
        return self._id

    def ingested(
        self, kind: str, number: int, fingerprint: str = "f", frozen: str = "", run: str = "1"
    ) -> Any:
        """An Examples artifact; `frozen` is the folder of the evaluation set that it left out."""
        span = Span(number, f"span-{number}", fingerprint)
        made = standard_artifacts.Examples()
        made.id, made.span = self.next_id(), number
        made.uri = str(self.root / run / f"{span.name}-{kind}")
        Path(made.uri).mkdir(parents=True)
        for name, value in {
            spans.KIND: kind,
            spans.RECIPE: RECIPE,
            spans.NAME: span.name,
            spans.REQUEST: Request((span,), frozen).to_json(),
            "input_fingerprint": fingerprint,
        }.items():
            made.set_string_custom_property(name, value)
        self.examples.append(made)
        return made

    def judged(self, *artifacts: Any, accepted: bool = True) -> None:
        """A SpanBlessing on artifacts."""
        blessing = SpanBlessing()
        blessing.id = self.next_id()
        verdict = Verdict("span", accepted, min_agreement=0.5)
        blessing.set_string_custom_property(
            VERDICTS, encode({artifact.id: verdict for artifact in artifacts})
        )
        self.blessings.append(blessing)

    def later(self, number: int, accepted: bool = True, fingerprint: str = "f") -> Any:
        """A span after the first, ingested in a run of its own and judged."""
        frozen = self.examples[0].uri
        made = self.ingested(
            spans.TRAINS, number, fingerprint, frozen, run=f"run{len(self.examples)}"
        )
        self.judged(made, accepted=accepted)
        return made


@pytest.fixture
def history(tmp_path: Path) -> History:
    """After a first run on span 1."""
    made = History(tmp_path)
    made.judged(made.ingested(spans.EVALUATES, 1), made.ingested(spans.TRAINS, 1))
    return made
