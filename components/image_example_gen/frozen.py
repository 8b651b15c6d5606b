"""The evaluation set that stays: made from the first span, never trained on by later ones."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path

from components.image_example_gen.splitting import Placed

FILE = "frozen.json"


@dataclasses.dataclass(frozen=True)
class Frozen:
    """What must not be trained on; kept beside the evaluation set's records.

    Attributes:
      span: name of the span that it is from.
      groups: that evaluate.
      copies: SHA-256 of each image, with the image's name.
    """

    span: str
    groups: frozenset[str]
    copies: dict[str, str]

    @classmethod
    def of(cls, span: str, evaluating: Iterable[Placed], root: Path) -> Frozen:
        """From the samples that evaluate.

        Args:
          span: its name.
          evaluating: its samples.
          root: the folder of all spans.
        """
        placed = list(evaluating)
        return cls(
            span,
            frozenset(place.group for place in placed),
            {place.sha256: place.sample.image.name(root) for place in placed},
        )

    def why_held_back(self, group: str, sha256: str) -> str | None:
        """Why an image may not train; None where it may."""
        if sha256 in self.copies:
            return f"a copy of {self.copies[sha256]}, which evaluates"
        if group in self.groups:
            return f"of the group {group}, which evaluates since {self.span}"
        return None

    def write(self, folder: Path) -> None:
        """Beside the records."""
        folder.mkdir(parents=True, exist_ok=True)
        values = {"span": self.span, "groups": sorted(self.groups), "copies": self.copies}
        (folder / FILE).write_text(json.dumps(values, indent=1) + "\n")

    @classmethod
    def read(cls, folder: Path) -> Frozen:
        """What `write` wrote."""
        values = json.loads((folder / FILE).read_text())
        return cls(values["span"], frozenset(values["groups"]), values["copies"])
