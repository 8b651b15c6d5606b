"""Accounts for every image: a record's source, set aside with a reason, or left out by a list."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from components.errors import InputError, SetAside

SET_ASIDE_FILE = "set_aside.jsonl"
HELD_BACK_FILE = "held_back.jsonl"
COUNTS_FILE = "counts.json"


@dataclasses.dataclass(frozen=True)
class Counts:
    """What became of a data set.

    Attributes:
      images: found in the data set.
      used: that became records, by split.
      records: by split.
      set_aside: images that were.
      lone_masks: masks without an image, set aside too.
      unused: images that neither list of data.split names.
      held_back: images of a later span that belong to the evaluation set of the first.
      repeats: how often more than once an epoch of training shows tiles, in sum
        (`ingest.oversample`); their records are written once.
      unlabelled: images that nobody has labelled yet, where the format lets images lack labels;
        they are not among `images`.
    """

    images: int
    used: dict[str, int]
    records: dict[str, int]
    set_aside: int = 0
    lone_masks: int = 0
    unused: int = 0
    held_back: int = 0
    repeats: int = 0
    unlabelled: int = 0

    def check(self) -> None:
        """Raises RuntimeError if an image is not accounted for."""
        found = sum(self.used.values()) + self.set_aside + self.unused + self.held_back
        if found != self.images:
            raise RuntimeError(
                f"{self.images} images were found, but {sum(self.used.values())} became records, "
                f"{self.set_aside} were set aside and {self.unused + self.held_back} left out, "
                f"{found} in all; "
                "Beam lost or repeated some, so these records must not be used"
            )


def write(
    folder: Path,
    counts: Counts,
    set_aside: Iterable[SetAside],
    held_back: Sequence[SetAside] = (),
) -> None:
    """Writes the files into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    if held_back:
        write_set_aside(folder / HELD_BACK_FILE, held_back)
    (folder / COUNTS_FILE).write_text(json.dumps(dataclasses.asdict(counts), indent=2) + "\n")
    write_set_aside(folder / SET_ASIDE_FILE, set_aside)


def write_set_aside(path: Path, set_aside: Iterable[SetAside]) -> None:
    """Writes one JSON object a line: file and reason."""
    lines = [json.dumps(dataclasses.asdict(entry), ensure_ascii=False) for entry in set_aside]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def read(folder: Path) -> tuple[Counts, list[SetAside]]:
    """Counts and bad files, as `write` wrote them."""
    counts = Counts(**json.loads((folder / COUNTS_FILE).read_text()))
    return counts, _read_lines(folder / SET_ASIDE_FILE)


def read_held_back(folder: Path) -> list[SetAside]:
    """The images that were held back, as `write` wrote them."""
    file = folder / HELD_BACK_FILE
    return _read_lines(file) if file.exists() else []


def _read_lines(file: Path) -> list[SetAside]:
    lines = file.read_text(encoding="utf-8").splitlines()
    return [SetAside(**json.loads(line)) for line in lines]


def refuse_too_many(set_aside: Sequence[SetAside], images: int, limit: float) -> None:
    """Stops a run whose input is bad as a whole.

    Args:
      set_aside: the bad files, masks without an image among them.
      images: found in the data set.
      limit: share of them that may be bad; one file always may.

    Raises:
      InputError: with the list.
    """
    allowed = max(1, math.floor(limit * images))
    if len(set_aside) > allowed:
        raise InputError(
            f"{len(set_aside)} bad files among {images} images, where ingest.bad_input_limit "
            f"{limit:g} allows {allowed}: mend or remove them, or raise the limit.",
            set_aside,
        )
