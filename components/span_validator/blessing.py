"""The SpanValidator's verdicts, as ML Metadata keeps them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping

from tfx.types.artifact import Artifact

VERDICTS = "verdicts"
"""The custom property that holds them."""


class SpanBlessing(Artifact):
    """Says of each Examples artifact that it names whether it may train."""

    TYPE_NAME = "SpanBlessing"


@dataclasses.dataclass(frozen=True)
class Verdict:
    """On one Examples artifact.

    Attributes:
      span: its name.
      accepted: whether it may train.
      min_agreement: the configuration's value.
      match: how often an image's own label fits best; None where there was no model or nothing to
        compare.
      least_match: what was needed; None as above.
      agreement: Cohen's kappa; None as above.
      least_agreement: what was needed; None as above.
      reason: why it was refused.
    """

    span: str
    accepted: bool
    min_agreement: float = 0.0
    match: float | None = None
    least_match: float | None = None
    agreement: float | None = None
    least_agreement: float | None = None
    reason: str = ""


def encode(verdicts: Mapping[int, Verdict]) -> str:
    """The custom property's value.

    Args:
      verdicts: by the artifact's id.
    """
    return json.dumps({str(key): dataclasses.asdict(one) for key, one in verdicts.items()})


def decode(text: str) -> dict[int, Verdict]:
    """What `encode` wrote; what another version of it wrote besides is left out."""
    known = {field.name for field in dataclasses.fields(Verdict)}
    return {
        int(key): Verdict(**{name: values[name] for name in known & values.keys()})
        for key, values in json.loads(text).items()
    }
