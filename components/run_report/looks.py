"""What the images of a split are like, one by one: from `images.parquet`, without a record."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence

import numpy as np
import pyarrow.compute as pc

from components.example_validator.checks import Images
from components.image_example_gen import image_table

_PERCENTILES = ("percentile_1", "median", "percentile_99")
_COLUMNS = ("source", "split", "class_pixels", "ignored_pixels", "one_colour", *_PERCENTILES)


@dataclasses.dataclass(frozen=True)
class Look:
    """Of one split.

    Attributes:
      images: how many.
      one_class: that show one class alone.
      unlabelled: without a labelled pixel.
      one_colour: whose pixels are all the same.
      percentiles: of each channel the 1st, 50th and 99th percentile of a typical image's pixels:
        the median over images.
    """

    images: int = 0
    one_class: int = 0
    unlabelled: int = 0
    one_colour: int = 0
    percentiles: tuple[tuple[float, float, float], ...] = ()


def read(uris: Sequence[str], split: str, without: Collection[str] = ()) -> Look:
    """The images of a split of some Examples artifacts.

    Args:
      uris: of the artifacts; records of an older version have no table, and count as none.
      split: which.
      without: sources to leave out.
    """
    table = image_table.of(uris, _COLUMNS)
    table = table.filter(pc.equal(table["split"], split))
    if without:
        table = table.filter([source not in without for source in table["source"].to_pylist()])
    if not table.num_rows:
        return Look()
    images = Images(split, table)
    present = (images.column("class_pixels") > 0).sum(axis=1)
    percentiles = [np.median(images.column(name), axis=0).tolist() for name in _PERCENTILES]
    return Look(
        images=table.num_rows,
        one_class=int((present == 1).sum()),
        unlabelled=int((present == 0).sum()),
        one_colour=int(images.column("one_colour").sum()),
        percentiles=tuple(zip(*percentiles)),
    )
