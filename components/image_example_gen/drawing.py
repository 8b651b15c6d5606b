"""Shapes -> where they are in an image; one function a kind.

Only the part of an image that a shape covers is drawn, and what a file claims is checked before
memory is taken for it.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np

from components.errors import BadFileError
from components.image_example_gen import decode, rle

LINE_WIDTH, POINT_RADIUS = 10, 5
"""Of LabelMe's lines and points, pixels: labelme/utils/shape.py, shape_to_mask."""

# pycocotools' frPoly counts in fifths of a pixel.
_FIFTHS = 5
# An outline that leads further away, or is longer, would take memory by what a file claims.
_FARTHEST = 2**20
_LONGEST = 2**22
# Pixels drawn for an image before it is taken for an attack: this, or so many times its own.
_MOST_DRAWN = 2**30
_MOST_TIMES = 100


class Patch(NamedTuple):
    """Where a shape is: bool [h, w], and the place (top, left) of its first pixel."""

    top: int
    left: int
    inside: np.ndarray


def draw(kind: str, geometry: Any, size: tuple[int, int]) -> Patch | None:
    """Where a shape is within an image of (height, width); None, if it lies outside.

    Args:
      kind: how it is drawn; see `shapes`.
      geometry: JSON values: numbers [x, y, x, y, ...] in pixels, y downwards, or run lengths.
      size: (height, width) of the image.

    Raises:
      BadFileError: it cannot be drawn.
    """
    patch = _KINDS[kind](geometry, size)
    return None if patch is None or not patch.inside.size else patch


def most_drawn(size: tuple[int, int]) -> int:
    """Pixels that may be drawn for an image of this size before it is taken for an attack."""
    return max(_MOST_DRAWN, _MOST_TIMES * size[0] * size[1])


def rectangle(left: float, top: float, right: float, bottom: float) -> list[float]:
    """A polygon's points."""
    return [left, top, right, top, right, bottom, left, bottom]


def turned(points: Sequence[float], centre: tuple[float, float], degrees: float) -> list[float]:
    """Points turned clockwise, as seen on a screen, around a centre."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    moved = []
    for x, y in zip(points[::2], points[1::2]):
        dx, dy = x - centre[0], y - centre[1]
        moved += [centre[0] + dx * cosine - dy * sine, centre[1] + dx * sine + dy * cosine]
    return moved


def _numbers(geometry: Any, least: int) -> np.ndarray:
    """Points, float64 [n, 2], from [x, y, ...] or [[x, y], ...]."""
    try:
        points = np.asarray(geometry, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise BadFileError("its points are no pairs of numbers") from None
    if points.size % 2 or points.ndim not in (1, 2) or (points.ndim == 2 and points.shape[1] != 2):
        raise BadFileError("its points are no pairs of numbers")
    points = points.reshape(-1, 2)
    if len(points) < least:
        raise BadFileError(f"has {len(points)} points, where {least} are needed")
    if not np.isfinite(points).all() or np.abs(points).max(initial=0) > _FARTHEST:
        raise BadFileError("has points that are no numbers, or lie far outside of the image")
    return points


def _window(
    points: np.ndarray, size: tuple[int, int], pad: int
) -> tuple[int, int, int, int] | None:
    """top, left, height, width of the part of an image around points; None outside of it."""
    left, top = (max(0, int(v)) for v in np.floor(points.min(axis=0)) - pad)
    right, bottom = (int(v) for v in np.ceil(points.max(axis=0)) + pad + 1)
    height, width = min(bottom, size[0]) - top, min(right, size[1]) - left
    return (top, left, height, width) if height > 0 and width > 0 else None


def _polygons(geometry: Any, size: tuple[int, int]) -> Patch | None:
    """The union of polygons, each [x, y, ...]."""
    if not isinstance(geometry, list):
        raise BadFileError("its points are no pairs of numbers")
    rings = [_numbers(ring, 3) for ring in geometry]
    if not rings:
        return None
    if sum(_length(ring) for ring in rings) > _LONGEST:
        raise BadFileError(f"its outline is longer than {_LONGEST:,} pixels")
    window = _window(np.concatenate(rings), size, 1)
    if window is None:
        return None
    top, left, height, width = window
    inside = np.zeros((height, width), bool)
    from pycocotools import mask

    for ring in rings:
        # As frPoly rounds: from the whole image's corner, so that a window draws the same.
        fifths = np.trunc(ring * _FIFTHS + 0.5) - _FIFTHS * np.array([left, top])
        exact = np.where(fifths < 0, fifths - 1, fifths) / _FIFTHS
        (runs,) = mask.frPyObjects([exact.ravel().tolist()], height, width)
        inside |= mask.decode(runs).view(bool)
    return Patch(top, left, inside)


def _length(ring: np.ndarray) -> float:
    return float(np.abs(ring - np.roll(ring, 1, axis=0)).max(axis=1).sum())


def _runs(geometry: Any, size: tuple[int, int]) -> Patch | None:
    """COCO's run lengths, {"size": [h, w], "counts": [...] or text}."""
    try:
        claimed, counts = list(geometry["size"]), geometry["counts"]
    except (TypeError, KeyError):
        raise BadFileError("its mask in run lengths lacks size or counts") from None
    if claimed != list(size):
        raise BadFileError(f"its mask is of size {claimed}, image is {size[1]}x{size[0]}")
    found = rle.text(counts) if isinstance(counts, str) else rle.numbers(counts)
    left, columns = rle.lines(found, size[0], size[1])
    return Patch(0, left, columns.T)


def _rows(geometry: Any, size: tuple[int, int]) -> Patch | None:
    """CVAT's run lengths within a box: [left, top, width, height, counts]."""
    try:
        left, top, width, height = (int(value) for value in geometry[:4])
        counts = geometry[4]
    except (TypeError, ValueError, IndexError, OverflowError):
        raise BadFileError("its mask in run lengths lacks its box") from None
    if min(left, top, width, height) < 0 or top + height > size[0] or left + width > size[1]:
        raise BadFileError("its mask lies outside of the image")
    first, rows = rle.lines(rle.numbers(counts), width, height)
    return Patch(top + first, left, rows)


def _brush(geometry: Any, size: tuple[int, int]) -> Patch | None:
    """Label Studio's packed picture of the whole image."""
    return Patch(0, 0, rle.brush(geometry, size))


def _bitmap(geometry: Any, size: tuple[int, int]) -> Patch | None:
    """LabelMe's picture within a box: [left, top, base64 of a PNG]."""
    if not (isinstance(geometry, list) and len(geometry) == 3 and isinstance(geometry[2], str)):
        raise BadFileError("its mask is no picture")
    ((x, y),) = _numbers(geometry[:2], 1)
    try:
        data = base64.b64decode(geometry[2], validate=True)
    except (binascii.Error, ValueError):
        raise BadFileError("its mask is no base64 text") from None
    inside = decode.decode_mask(data) > 0
    top, left = int(y), int(x)
    if min(top, left) < 0:
        raise BadFileError("its mask lies outside of the image")
    return Patch(top, left, inside[: max(0, size[0] - top), : max(0, size[1] - left)])


def _ellipse(geometry: Any, size: tuple[int, int]) -> Patch | None:
    """[centre x, centre y, radius x, radius y, degrees clockwise]."""
    try:
        cx, cy, rx, ry, degrees = (float(value) for value in geometry)
    except (TypeError, ValueError, OverflowError):
        raise BadFileError("an ellipse has a centre, two radii and an angle") from None
    if not (all(map(math.isfinite, (cx, cy, rx, ry, degrees))) and rx > 0 and ry > 0):
        raise BadFileError("an ellipse has a centre, two radii and an angle")
    reach = max(rx, ry)
    corners = _numbers([cx - reach, cy - reach, cx + reach, cy + reach], 2)
    window = _window(corners, size, 0)
    if window is None:
        return None
    top, left, height, width = window
    x = (np.arange(left, left + width) + 0.5 - cx)[np.newaxis]
    y = (np.arange(top, top + height) + 0.5 - cy)[:, np.newaxis]
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    along, across = x * cosine + y * sine, y * cosine - x * sine
    with np.errstate(over="ignore"):  # by a radius of next to nothing
        return Patch(top, left, (along / rx) ** 2 + (across / ry) ** 2 <= 1)


def _by_pillow(kind: str, geometry: Any, size: tuple[int, int]) -> Patch | None:
    from PIL import Image, ImageDraw

    least, exactly = _LABELME[kind]
    points = _numbers(geometry, least)
    if exactly and len(points) != exactly:
        raise BadFileError(f"has {len(points)} points, where {exactly} are needed")
    if kind == "circle":
        (cx, cy), (px, py) = points
        radius = math.hypot(px - cx, py - cy)
        points = np.array([[cx - radius, cy - radius], [cx + radius, cy + radius]])
    elif kind == "point":
        points = np.concatenate([points - POINT_RADIUS, points + POINT_RADIUS])
    window = _window(points, size, LINE_WIDTH if kind in ("line", "linestrip") else 1)
    if window is None:
        return None
    top, left, height, width = window
    # Pillow looks at every corner in every row.
    if len(points) * height > most_drawn(size):
        raise BadFileError(f"has {len(points)} points, too many to draw")
    canvas = Image.new("1", (width, height))
    pen = ImageDraw.Draw(canvas)
    shifted = [tuple(point) for point in (points - [left, top]).tolist()]
    if kind == "outline":
        pen.polygon(shifted, outline=1, fill=1)
    elif kind == "rectangle":
        (x0, y0), (x1, y1) = shifted
        pen.rectangle([min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)], outline=1, fill=1)
    elif kind in ("circle", "point"):
        pen.ellipse(shifted, outline=1, fill=1)
    else:
        pen.line(shifted, fill=1, width=LINE_WIDTH)
    return Patch(top, left, np.array(canvas, bool))


# The least number of points, and the only one that makes sense, if there is one.
_LABELME = {
    "outline": (3, 0),
    "rectangle": (2, 2),
    "circle": (2, 2),
    "line": (2, 2),
    "linestrip": (2, 0),
    "point": (1, 1),
}

_KINDS = {
    "polygons": _polygons,
    "runs": _runs,
    "rows": _rows,
    "brush": _brush,
    "bitmap": _bitmap,
    "ellipse": _ellipse,
    **{
        kind: cast(Any, lambda geometry, size, kind=kind: _by_pillow(kind, geometry, size))
        for kind in _LABELME
    },
}
