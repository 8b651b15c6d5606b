"""The evaluation set that stays: made from the first span, never trained on by later ones."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path

from components.image_example_gen import image_table
from components.image_example_gen.splitting import Placed

FILE = "frozen.json"


@dataclasses.dataclass(frozen=True)
class Frozen:
    """What must not be trained on; kept beside the evaluation set's records.

    Attributes:
      span: name of the span that it is from.
      groups: that evaluate.
      copies: SHA-256 of each image, with the image's name.
      pixels: digest of each image's pixels, with the image's name.
      uri: of the evaluation set.
    """

    span: str
    groups: frozenset[str]
    copies: dict[str, str]
    pixels: dict[str, str] = dataclasses.field(default_factory=dict)
    uri: str = ""

    @classmethod
    def of(cls, span: str, evaluating: Iterable[Placed], root: Path, uri: str) -> Frozen:
        """From the samples that evaluate, once their records are written.

        Args:
          span: its name.
          evaluating: its samples.
          root: the folder of all spans.
          uri: of the evaluation set.
        """
        placed = list(evaluating)
        names = {f"{span}/{one.sample.key}": one.sample.image.name(root) for one in placed}
        written = image_table.of([uri], ("source", "pixels")).to_pylist()
        return cls(
            span,
            frozenset(one.group for one in placed),
            {one.sha256: one.sample.image.name(root) for one in placed},
            {row["pixels"]: names[row["source"]] for row in written},
            uri,
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
        values = {
            "span": self.span,
            "groups": sorted(self.groups),
            "copies": self.copies,
            "pixels": self.pixels,
        }
        (folder / FILE).write_text(json.dumps(values, indent=1) + "\n")

    @classmethod
    def read(cls, folder: Path) -> Frozen:
        """What `write` wrote."""
        values = json.loads((folder / FILE).read_text())
        return cls(
            values["span"],
            frozenset(values["groups"]),
            values["copies"],
            values.get("pixels", {}),
            str(folder),
        )
