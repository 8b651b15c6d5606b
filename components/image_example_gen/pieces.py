"""Images that are too large to be read whole, piece by piece.

An image of up to `windows.LARGE` pixels is one piece. A larger one whose format allows it is cut
into runs of tiles, each read with the context that it needs, so that memory is bounded by the tile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from components.errors import BadFileError
from components.image_example_gen import borders, decode, tiff, tiling
from components.image_example_gen.config import DataConfig
from components.image_example_gen.decoders import MAX_PIXELS
from components.image_example_gen.ingest_config import IngestConfig
from components.image_example_gen.sources.contract import Box, Labels, Reference, Sample, Source
from components.image_example_gen.windows import LARGE, Extent
from components.places import place

# Pixels of image that a piece has, if one tile has not more.
_PIECE = 2**22

Size = tuple[int, int]


def large(image: Reference) -> Extent | None:
    """The extent of an image that is read piece by piece; None of one that is read whole.

    Raises:
      BadFileError: it is one of these, and the file is damaged or not complete.
    """
    if not image.path.lower().endswith(tiff.SUFFIXES):
        return None
    extent = decode.extent(place(image.path), image.page)
    if extent is None or not extent.in_windows or extent.height * extent.width <= LARGE:
        return None
    return extent


def plan(
    size: Size, data: DataConfig, ingest: IngestConfig
) -> Iterator[tuple[list[tuple[int, int]], Box, Box]]:
    """Cuts an image of this size into runs of tiles, in the order of `tiling.grid`.

    Yields:
      Where the run's cores begin, the box of pixels that it shows, and that of the labels that
      decide about it.
    """
    around = halo(data, ingest)
    side = ingest.tile + 2 * max(ingest.margin, around)
    run = max(1, _PIECE // (side * ingest.tile))
    rows: dict[int, list[tuple[int, int]]] = {}
    for start in tiling.grid(*size, ingest.tile):
        rows.setdefault(start[0], []).append(start)
    for starts in rows.values():
        for first in range(0, len(starts), run):
            some = starts[first : first + run]
            pixels = _box(size, some, ingest.tile, ingest.margin)
            labels = _grown(size, _box(size, some, ingest.tile, 0), around)
            yield some, pixels, labels


def halo(data: DataConfig, ingest: IngestConfig) -> int:
    """Pixels around a tile's core that decide about its labels and weights."""
    reach = borders.reach(ingest.border_weights) if ingest.border_weights else 0
    width = data.border_width if data.instances == "border" else 0
    return max(reach + 1 if reach else 0, width)


def _box(size: Size, starts: list[tuple[int, int]], tile: int, margin: int) -> Box:
    """What a run of tiles shows of an image, mirrored pixels too."""
    ends = []
    for axis in (0, 1):
        first = min(start[axis] for start in starts) - margin
        last = max(start[axis] for start in starts) + tile + margin
        shown = tiling.mirror_indices(first, last, size[axis])
        ends.append((int(shown.min()), int(shown.max()) + 1))
    (top, bottom), (left, right) = ends
    return Box(top, left, bottom, right)


def _grown(size: Size, box: Box, by: int) -> Box:
    return Box(
        max(0, box.top - by),
        max(0, box.left - by),
        min(size[0], box.bottom + by),
        min(size[1], box.right + by),
    )


def read_image(source: Source, image: Reference, box: Box) -> np.ndarray:
    """[h, w, C], a part of an image.

    Raises:
      BadFileError: it cannot be read.
    """
    pixels = source.read_image(image._replace(box=box))
    return pixels if pixels.shape[:2] == box.shape else pixels[_slices(box)]


def label_reader(
    source: Source, sample: Sample, data: DataConfig, size: Size
) -> Callable[[Box], Labels]:
    """A function that gives what labels say of a part of an image.

    It reads no more than that, where labels are one file that allows it; else they are read whole
    at once, if they have no more than `MAX_PIXELS`.

    Raises:
      BadFileError: the labels cannot be read, or are of another size than the image.
    """
    mask = sample.mask
    alone = not (sample.further or sample.region or sample.shapes)
    extent = decode.extent(place(mask.path), mask.page) if alone else None
    if extent is not None and extent.in_windows:
        refuse_other_size((extent.height, extent.width), size)

        def read(box: Box) -> Labels:
            labels = source.read_labels(sample._replace(mask=mask._replace(box=box)), data, size)
            return labels if labels.values.shape[:2] == box.shape else cut(labels, box)

        return read

    if size[0] * size[1] > MAX_PIXELS:
        raise BadFileError(
            f"labels of {size[1]}x{size[0]} pixels are read from a tiled TIFF only; "
            "save them as one, or cut image and labels in pieces"
        )
    whole = source.read_labels(sample, data, size)
    refuse_other_size(whole.values.shape, size)
    return lambda box: cut(whole, box)


def glimpse(
    source: Source, sample: Sample, data: DataConfig, size: Size
) -> tuple[np.ndarray, Labels]:
    """Windows spread evenly over a large image, put together as one picture with its labels.

    Returns:
      [h, w, C] and the labels of the same pixels; at most 2048 a side.

    Raises:
      BadFileError: the image or its labels cannot be read.
    """
    read_labels = label_reader(source, sample, data, size)
    places = [
        sorted({index * max(0, extent - _GLIMPSE) // (_GLIMPSES - 1) for index in range(_GLIMPSES)})
        for extent in size
    ]
    boxes = [
        [Box(y, x, min(y + _GLIMPSE, size[0]), min(x + _GLIMPSE, size[1])) for x in places[1]]
        for y in places[0]
    ]
    image = _joined([[read_image(source, sample.image, box) for box in row] for row in boxes])
    labels = [[read_labels(box) for box in row] for row in boxes]

    def whole(name: str) -> np.ndarray | None:
        parts = [[getattr(part, name) for part in row] for row in labels]
        return None if parts[0][0] is None else _joined(parts)

    values = _joined([[part.values for part in row] for row in labels])
    return image, Labels(values, labels[0][0].names, whole("instances"), whole("region"))


# Windows a row and a column of an image that is only looked at, and their side.
_GLIMPSES, _GLIMPSE = 4, 512


def _joined(parts: list[list[np.ndarray]]) -> np.ndarray:
    return np.concatenate([np.concatenate(row, axis=1) for row in parts], axis=0)


def refuse_other_size(mask: tuple[int, ...], image: tuple[int, ...]) -> None:
    """Raises BadFileError where a mask [H, W, ...] is not of the size of its image [H, W, ...]."""
    if mask[:2] != image[:2]:
        raise BadFileError(f"mask is {mask[1]}x{mask[0]}, image is {image[1]}x{image[0]}")


def cut(labels: Labels, box: Box) -> Labels:
    """The part of labels that a box is."""
    where = _slices(box)

    def part(values: np.ndarray | None) -> np.ndarray | None:
        return None if values is None else values[where]

    return Labels(labels.values[where], labels.names, part(labels.instances), part(labels.region))


def _slices(box: Box) -> tuple[slice, slice]:
    return slice(box.top, box.bottom), slice(box.left, box.right)
