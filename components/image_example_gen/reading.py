"""Samples -> arrays -> records: the one path, for Beam's workers and for whoever has none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from components.errors import BadFileError, SetAside
from components.image_example_gen import borders, pieces, sources, tiling
from components.image_example_gen.config import DataConfig
from components.image_example_gen.ingest_config import IngestConfig
from components.image_example_gen.masks import coding, to_class_ids
from components.image_example_gen.sources.contract import Reference, Sample
from components.image_example_gen.splitting import Placed
from components.image_example_gen.tiling import cut_labels, cut_pixels
from components.records import GREY_WEIGHTS, IGNORE, TRAIN, Record


class SampleError(BadFileError):
    """A sample cannot be used; says which of its files is at fault."""

    def __init__(self, set_aside: SetAside):
        super().__init__(f"{set_aside.file}: {set_aside.reason}")
        self.set_aside = set_aside


class Pair(NamedTuple):
    """An image and what its labels mean.

    Attributes:
      image: [H, W, data.channels] of data.dtype.
      mask: class ids, uint8 [H, W], IGNORE where none counts.
      instances: int32 [H, W], which object a pixel belongs to, 0 to none; None if not known.
    """

    image: np.ndarray
    mask: np.ndarray
    instances: np.ndarray | None


class Part(NamedTuple):
    """Some of a sample's tiles, all together; of an image that is not large these are all.

    Attributes:
      image: [h, w, C] of data.dtype, the pixels of the tiles' cores; no pixel is in two parts.
      start: (y, x) of the first of them in the image.
      size: (height, width) of the image.
      records: of these tiles.
    """

    image: np.ndarray
    start: tuple[int, int]
    size: tuple[int, int]
    records: Iterator[Record]


_DEFAULTS = IngestConfig()


class Reader:
    """Reads the samples of one data set; what it says of all of them is looked up once."""

    def __init__(self, data: DataConfig, ingest: IngestConfig = _DEFAULTS, span: int = 0) -> None:
        """Of a data set that is somewhere.

        Args:
          data: with channels, dtype and classes given.
          ingest: how images become records.
          span: the number of the span that brings them, if there are spans.

        Raises:
          InputError: there is no such folder.
        """
        assert data.path is not None, "only a data set that is somewhere can be read"
        self._data, self._ingest, self._span = data, ingest, span
        self._root, self._source, self._coding = data.path, sources.of(data), coding(data)

    def pair(self, sample: Sample) -> Pair:
        """Reads an image and its labels, whole.

        Args:
          sample: of the listing of the data set.

        Raises:
          SampleError: the image or its labels cannot be used.
        """
        reference: Reference = sample.image
        try:
            image = _fitted(self._source.read_image(sample.image), self._data)
            reference = sample.mask
            labels = self._source.read_labels(sample, self._data, image.shape[:2])
            pieces.refuse_other_size(labels.values.shape, image.shape)
            return Pair(image, to_class_ids(labels, self._coding), labels.instances)
        except BadFileError as error:
            raise SampleError(SetAside(reference.name(self._root), str(error))) from error

    def records(self, placed: Placed) -> Iterator[Record]:
        """The records of one sample, one a tile, in the order of `tiling.grid`.

        Raises:
          SampleError: as `parts`.
        """
        for part in self.parts(placed):
            yield from part.records

    def parts(self, placed: Placed) -> Iterator[Part]:
        """One sample, piece by piece.

        Raises:
          SampleError: the sample cannot be used: before the first part, or, of an image that is
            read piece by piece, after some. Those must not be used then.
        """
        data, ingest = self._data, self._ingest
        for piece in self._pieces(placed.sample):
            maps = _maps(piece, data, ingest)
            for starts in _runs(piece, data, ingest):
                (y, x), tile = starts[0], ingest.tile
                bottom, right = (last + tile for last in starts[-1])
                top, left = piece.image_corner
                core = piece.image[y - top : bottom - top, x - left : right - left]
                records = _records(starts, piece, maps, placed, data, ingest, self._span)
                yield Part(core, (y, x), piece.size, records)

    def _pieces(self, sample: Sample) -> Iterator[_Piece]:
        data, ingest = self._data, self._ingest
        reference: Reference = sample.image
        try:
            extent = pieces.large(sample.image)
            if extent is None:
                pair = self.pair(sample)
                height, width = size = pair.mask.shape
                starts = tiling.grid(height, width, ingest.tile)
                corner = 0, 0
                yield _Piece(
                    size, starts, pair.image, corner, pair.mask, pair.instances, corner, True
                )
                return
            size = extent.height, extent.width
            reference = sample.mask
            labels_of = pieces.label_reader(self._source, sample, data, size)
            for starts, box, label_box in pieces.plan(size, data, ingest):
                reference = sample.image
                image = _fitted(pieces.read_image(self._source, sample.image, box), data)
                reference = sample.mask
                labels = labels_of(label_box)
                instances = labels.instances
                if ingest.instances and instances is None:
                    raise BadFileError(
                        "does not tell objects apart, and an image this large is not searched for "
                        "them; set ingest.instances: false"
                    )
                mask = to_class_ids(labels, self._coding)
                yield _Piece(size, starts, image, box[:2], mask, instances, label_box[:2], False)
        except SampleError:
            raise
        except BadFileError as error:
            raise SampleError(SetAside(reference.name(self._root), str(error))) from error


def _runs(piece: _Piece, data: DataConfig, ingest: IngestConfig) -> list[list[tuple[int, int]]]:
    """A piece's tiles; those of a large image in the same runs whether it is read whole or not."""
    if not piece.whole or piece.size[0] * piece.size[1] <= pieces.LARGE:
        return [piece.starts]
    return [starts for starts, _, _ in pieces.plan(piece.size, data, ingest)]


def _records(
    starts: Sequence[tuple[int, int]],
    piece: _Piece,
    maps: Mapping[str, tuple[np.ndarray, int]],
    placed: Placed,
    data: DataConfig,
    ingest: IngestConfig,
    span: int,
) -> Iterator[Record]:
    sample = placed.sample
    for start in starts:
        mask = cut_labels(piece.mask, piece.corner, start, ingest.tile, ingest.margin, IGNORE)
        yield Record(
            image=cut_pixels(
                piece.image, piece.image_corner, piece.size, start, ingest.tile, ingest.margin
            ),
            mask=mask,
            source=sample.key,
            source_sha256=placed.sha256,
            source_size=piece.size,
            tile=start,
            margin=ingest.margin,
            group=placed.group,
            # A delivery's own number outranks what a list says of its lines.
            span=span or sample.span or 0,
            attributes=dict(sample.attributes),
            source_weight=sample.weight,
            repeats=_repeats(mask, placed.split, data, ingest),
            **{
                name: cut_labels(values, piece.corner, start, ingest.tile, ingest.margin, outside)
                for name, (values, outside) in maps.items()
            },
        )


class _Piece(NamedTuple):
    """A part of a sample, or all of it.

    Attributes:
      size: (height, width) of the image.
      starts: where the cores of its tiles begin.
      image: pixels of these tiles.
      image_corner: (y, x) of their first.
      mask: class ids of these tiles' cores and around them.
      instances: likewise; None if not known.
      corner: (y, x) of the first of both.
      whole: whether all of the image was read at once.
    """

    size: tuple[int, int]
    starts: list[tuple[int, int]]
    image: np.ndarray
    image_corner: tuple[int, int]
    mask: np.ndarray
    instances: np.ndarray | None
    corner: tuple[int, int]
    whole: bool


def _maps(
    piece: _Piece, data: DataConfig, ingest: IngestConfig
) -> dict[str, tuple[np.ndarray, int]]:
    """What is asked for beside the mask, by the record's name; each with its value outside."""
    maps: dict[str, tuple[np.ndarray, int]] = {}
    if not (ingest.border_weights or ingest.instances):
        return maps
    instances = piece.instances
    if instances is None:
        background = borders.background_class(data, ingest.background)
        instances = borders.components(piece.mask, background)
    if ingest.instances:
        maps["instance"] = instances.astype(np.int32, copy=False), 0
    if ingest.border_weights:
        maps["weight"] = borders.border_weights(instances, ingest.border_weights), 1
    return maps


def _repeats(mask: np.ndarray, split: str, data: DataConfig, ingest: IngestConfig) -> int:
    """How often an epoch of training shows a tile of these class ids."""
    rare = ingest.oversample
    if rare is None or split != TRAIN:
        return 1
    ids = [class_id for class_id, name in enumerate(data.classes) if name in rare.classes]
    return rare.times if np.isin(mask, ids).sum() >= rare.min_pixels else 1


def _fitted(image: np.ndarray, data: DataConfig) -> np.ndarray:
    assert data.channels is not None, "pipeline.planning.complete fills in what is not said"
    assert data.dtype is not None, "as the channels"
    return fit(image, data.channels, data.dtype, data.alpha)


def fit(
    image: np.ndarray, channels: int, dtype: str, alpha: Literal["drop", "white", "black"] = "drop"
) -> np.ndarray:
    """Gives an image the channels of its data set.

    Alpha is dropped or laid on a ground, grey repeated to RGB, RGB turned to grey (as it is if all
    three are equal, else by BT.601 luma); anything else is refused, above all another dtype, whose
    values would mean something else.

    Args:
      image: [H, W, C].
      channels: that it shall have.
      dtype: that it must have.
      alpha: what becomes of it.

    Returns:
      [H, W, channels] of `dtype`.

    Raises:
      BadFileError: the image does not fit.
    """
    # NumPy takes long to name a type, and swapped bytes are the same one.
    if image.dtype != dtype and image.dtype.name != dtype:
        raise BadFileError(f"{image.dtype} image in a data set of {dtype} images")
    if dtype == "float32" and not np.isfinite(image).all():
        raise BadFileError("holds values that are not finite")
    present = image.shape[2]
    if present == channels:
        return image
    if channels in (1, 3) and present in (2, 4):
        image = image[..., :-1] if alpha == "drop" else _laid_on(image, alpha)
        present -= 1
    if present == channels:
        return image
    if (present, channels) == (1, 3):
        return np.repeat(image, 3, axis=2)
    if (present, channels) == (3, 1):
        return _grey(image)
    raise BadFileError(f"{present}-channel image in a data set of {channels}-channel images")


def _laid_on(image: np.ndarray, ground: str) -> np.ndarray:
    """[H, W, C] without its last channel, alpha, on white or black; `trainer.input` does it too."""
    if image.dtype.kind != "u":
        raise BadFileError(f"{image.dtype} alpha cannot be laid on {ground}; set data.alpha: drop")
    most = int(np.iinfo(image.dtype).max)
    pixels, opaque = image[..., :-1].astype(np.int64), image[..., -1:].astype(np.int64)
    back = most if ground == "white" else 0
    mixed = (pixels * opaque + back * (most - opaque) + most // 2) // most
    return mixed.astype(image.dtype)


def _grey(image: np.ndarray) -> np.ndarray:
    if (image == image[..., :1]).all():
        return image[..., :1]
    if image.dtype == np.float32:
        return (image @ (np.array(GREY_WEIGHTS, np.float32) / 1000))[..., np.newaxis]
    luma = (image.astype(np.uint32) @ np.array(GREY_WEIGHTS, np.uint32) + 500) // 1000
    return luma[..., np.newaxis].astype(image.dtype)
