"""Labels drawn as shapes -> labels of pixels. Each format's shapes are drawn as its own tools do.

    polygons  pycocotools: a pixel belongs to what covers most of it, and holes are not known; CVAT
              and Label Studio export their polygons so too, and boxes are polygons
    outline, rectangle, circle, line, point   Pillow, every pixel that the outline touches being
              part of it: as LabelMe exports its own, lines 10 pixels wide and points of radius 5
    ellipse   a pixel belongs to it when its centre lies inside
    runs, rows, brush   pixels in run lengths: COCO's, CVAT's, Label Studio's

What no shape covers is `BACKGROUND`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from components.errors import BadFileError
from components.image_example_gen import drawing
from components.image_example_gen.sources.contract import Labels

BACKGROUND = "_background_"
"""What is labelled where nothing is drawn; LabelMe has a label of this name."""

Top = Literal["last", "smallest"]


class Shape(NamedTuple):
    """One labelled shape.

    Attributes:
      label: its name.
      kind: how it is drawn; see the module.
      geometry: JSON values: numbers [x, y, x, y, ...] in pixels, y downwards, or run lengths.
      group: shapes of one label with this in common are one object; empty for one of its own.
      crowd: it covers many objects that nobody told apart.
    """

    label: str
    kind: str
    geometry: Any
    group: str = ""
    crowd: bool = False


def to_json(shapes: Iterable[Shape], size: tuple[int, int] | None) -> str:
    """What `Sample.shapes` holds; `labels` reads it.

    Args:
      shapes: of one image.
      size: (height, width) that the annotations were made for; None where they do not say it.
    """
    return json.dumps([size, list(shapes)], separators=(",", ":"))


def from_json(text: str, size: tuple[int, int]) -> list[Shape]:
    """The shapes of one image.

    Args:
      text: what `to_json` gave.
      size: (height, width) of the image.

    Raises:
      BadFileError: the annotations are those of an image of another size.
    """
    claimed, entries = json.loads(text)
    refuse_other_size(claimed, size)
    return [Shape(*entry) for entry in entries]


def refuse_other_size(claimed: Any, size: tuple[int, int]) -> None:
    """Raises BadFileError where annotations state another (height, width) than the image has."""
    if claimed is not None and tuple(claimed) != tuple(size):
        height, width = claimed
        raise BadFileError(f"annotations are of {width}x{height}, image is {size[1]}x{size[0]}")


def labels(
    shapes: Sequence[Shape],
    size: tuple[int, int],
    top: Top = "last",
    crowds_count: bool = True,
    unlabelled_counts: bool = True,
) -> Labels:
    """Draws shapes on each other.

    Args:
      shapes: in the order of the file.
      size: (height, width) of the image.
      top: which of two that overlap is seen: the one drawn last, or the smallest (by the pixels of
        its own; of two of one size the last).
      crowds_count: whether crowds are labels; if not, where only a crowd is seen nothing counts.
      unlabelled_counts: whether what no shape covers is background; if not, it counts nowhere.

    Returns:
      `values` are places in `names`, which begin with BACKGROUND; `instances` count from 1 in the
      order of the shapes.

    Raises:
      BadFileError: a shape cannot be drawn.
    """
    names = (BACKGROUND, *dict.fromkeys(one.label for one in shapes if one.label != BACKGROUND))
    places = {name: place for place, name in enumerate(names)}
    values = np.zeros(size, np.uint8 if len(names) <= 256 else np.int32)
    instances = np.zeros(size, np.int32)
    covered = None if unlabelled_counts else np.zeros(size, bool)
    crowd = None if crowds_count else np.zeros(size, bool)
    areas = np.full(size, np.iinfo(np.int32).max, np.int32) if top == "smallest" else None
    numbers: dict[tuple[str, str], int] = {}
    last = drawn = 0
    for shape in shapes:
        ignored = shape.crowd and not crowds_count
        patch = _draw(shape, size)
        if patch is None:
            continue
        drawn += patch.inside.size
        if drawn > drawing.most_drawn(size):
            raise BadFileError(f"its {len(shapes)} shapes cover the image too many times over")
        height, width = patch.inside.shape
        window = (slice(patch.top, patch.top + height), slice(patch.left, patch.left + width))
        where = patch.inside
        if areas is not None:
            # An ignored crowd lies below all that it does not tell apart.
            area = np.iinfo(np.int32).max if ignored else int(where.sum())
            where = where & (area <= areas[window])
            areas[window][where] = area
        if shape.label == BACKGROUND:
            number = 0
        elif shape.group and (shape.label, shape.group) in numbers:
            number = numbers[shape.label, shape.group]
        else:
            last += 1
            number = numbers[shape.label, shape.group] = last
        values[window][where] = places[shape.label]
        instances[window][where] = number
        if covered is not None:
            covered[window][where] = True
        if crowd is not None:
            crowd[window][where] = ignored
    region = covered
    if crowd is not None:
        region = ~crowd if region is None else region & ~crowd
    if region is not None and region.all():
        region = None
    return Labels(values, names, instances, region)


def _draw(shape: Shape, size: tuple[int, int]) -> drawing.Patch | None:
    try:
        return drawing.draw(shape.kind, shape.geometry, size)
    except BadFileError as error:
        raise BadFileError(f"{shape.label!r}: {error}") from error
