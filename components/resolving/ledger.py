"""What ML Metadata knows of spans: which were ingested, how they were judged, what evaluates."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from typing import Any

from tfx.components.example_gen import utils
from tfx.dsl.io import fileio
from tfx.types.standard_artifacts import Examples

from components.image_example_gen import spans
from components.span_validator.blessing import VERDICTS, SpanBlessing, Verdict, decode


@dataclasses.dataclass(frozen=True)
class Ledger:
    """The spans of one recipe.

    Attributes:
      evaluation: the frozen evaluation set's artifact; None before the first run came to judge it.
      ingested: artifacts of training records, oldest first: those that belong to that evaluation
        set, so that none of its images is among them.
      verdicts: by artifact id.
    """

    evaluation: Any | None
    ingested: tuple[Any, ...]
    verdicts: dict[int, Verdict]

    @property
    def last_request(self) -> str:
        """What the last judged execution was asked to ingest, as JSON; empty before the first."""
        judged = [artifact for artifact in self.ingested if artifact.id in self.verdicts]
        return _text(judged[-1], spans.REQUEST) if judged else ""

    @property
    def fingerprints(self) -> dict[int, str]:
        """The fingerprint of each number's newest records."""
        return {_number(artifact): _fingerprint(artifact) for artifact in self.ingested}

    def settled(self, min_agreement: float) -> dict[int, str]:
        """The fingerprint of each number's newest records, where these need no second look.

        Args:
          min_agreement: the limit now; what was refused under a higher one is judged again.
        """
        newest = {_number(artifact): artifact for artifact in self.ingested}
        found = {}
        for number, artifact in newest.items():
            verdict = self.verdicts.get(artifact.id)
            if verdict and (verdict.accepted or verdict.min_agreement <= min_agreement):
                found[number] = _fingerprint(artifact)
        return found

    def before(self, number: int) -> str:
        """Folder of the records of the last accepted span of a lower number; empty for none."""
        lower = [one for one in self.window(len(self.ingested) + 1) if _number(one) < number]
        return lower[-1].uri if lower else ""

    def window(self, size: int) -> list[Any]:
        """The newest accepted artifact of each of the last spans, by number.

        Args:
          size: how many spans.
        """
        accepted = {
            _number(artifact): artifact
            for artifact in self.ingested
            if artifact.id in self.verdicts and self.verdicts[artifact.id].accepted
        }
        return [artifact for _, artifact in sorted(accepted.items())][-size:]


def of(examples: Iterable[Any], blessings: Iterable[Any], recipe: str) -> Ledger:
    """The ledger that artifacts amount to.

    Args:
      examples: Examples, as ML Metadata has them, in any order.
      blessings: SpanBlessings.
      recipe: `spans.recipe` of the configuration; others' records are left out.
    """
    verdicts: dict[int, Verdict] = {}
    for blessing in sorted(blessings, key=lambda one: one.id):
        verdicts |= decode(_text(blessing, VERDICTS))
    present = sorted(
        (one for one in examples if _text(one, spans.RECIPE) == recipe and fileio.exists(one.uri)),
        key=lambda one: one.id,
    )
    # What a killed or failed run left unjudged does not count: the next run asks for it again.
    evaluations = [
        one for one in present if _text(one, spans.KIND) == spans.EVALUATES and one.id in verdicts
    ]
    if not evaluations:
        return Ledger(None, (), verdicts)
    evaluation = evaluations[-1]
    ingested = tuple(
        one
        for one in present
        if _text(one, spans.KIND) == spans.TRAINS and _belongs(one, evaluation)
    )
    return Ledger(evaluation, ingested, verdicts)


def read(store: Any, pipeline: str, recipe: str) -> Ledger:
    """The ledger of a pipeline.

    Args:
      store: ML Metadata.
      pipeline: its name.
      recipe: as for `of`.
    """
    context = store.get_context_by_type_and_name("pipeline", pipeline)
    artifacts = store.get_artifacts_by_context(context.id) if context else []
    by_type: dict[str, list[Any]] = {Examples.TYPE_NAME: [], SpanBlessing.TYPE_NAME: []}
    for artifact in artifacts:
        if artifact.type in by_type and artifact.state == artifact.LIVE:
            by_type[artifact.type].append(artifact)
    return of(by_type[Examples.TYPE_NAME], by_type[SpanBlessing.TYPE_NAME], recipe)


def _belongs(artifact: Any, evaluation: Any) -> bool:
    """Whether an artifact was ingested with this evaluation set left out."""
    frozen = spans.Request.from_json(_text(artifact, spans.REQUEST)).frozen
    if frozen:
        return frozen == evaluation.uri
    return os.path.dirname(artifact.uri) == os.path.dirname(evaluation.uri)


def _number(artifact: Any) -> int:
    return artifact.properties[utils.SPAN_PROPERTY_NAME].int_value


def _fingerprint(artifact: Any) -> str:
    return _text(artifact, utils.FINGERPRINT_PROPERTY_NAME)


def _text(artifact: Any, name: str) -> str:
    return (
        artifact.custom_properties[name].string_value if name in artifact.custom_properties else ""
    )
