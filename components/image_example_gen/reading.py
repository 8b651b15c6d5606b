"""Samples -> arrays -> records: the one path, for Beam's workers and for whoever has none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from components.errors import BadFileError, SetAside
from components.image_example_gen import sources, tiling
from components.image_example_gen.config import DataConfig, IngestConfig
from components.image_example_gen.masks import coding, to_class_ids
from components.image_example_gen.sources.contract import Reference, Sample
from components.image_example_gen.splitting import Placed
from components.records import GREY_WEIGHTS, Record


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


def read_pair(sample: Sample, data: DataConfig) -> Pair:
    """Reads an image and its labels.

    Args:
      sample: of the listing of the data set.
      data: with channels, dtype and classes given.

    Raises:
      SampleError: the image or its labels cannot be used.
    """
    assert data.path is not None, "only a data set that is somewhere can be read"
    assert data.channels is not None, "pipeline.planning.complete fills in what is not said"
    assert data.dtype is not None, "as the channels"
    source = sources.of(data)
    reference: Reference = sample.image
    try:
        image = fit(source.read_image(sample.image), data.channels, data.dtype)
        reference = sample.mask
        labels = source.read_labels(sample, data, image.shape[:2])
        check_size(labels.values, image)
        mask = to_class_ids(labels, coding(data))
        return Pair(image, mask, labels.instances)
    except BadFileError as error:
        raise SampleError(SetAside(reference.name(data.path), str(error))) from error


def check_size(mask: np.ndarray, image: np.ndarray) -> None:
    """Raises BadFileError where a mask [H, W, ...] is not of the size of its image [H, W, C]."""
    if mask.shape[:2] != image.shape[:2]:
        raise BadFileError(
            f"mask is {mask.shape[1]}x{mask.shape[0]}, image is {image.shape[1]}x{image.shape[0]}"
        )


def read_sample(
    placed: Placed, data: DataConfig, ingest: IngestConfig, span: int = 0
) -> Iterator[Record]:
    """The records of one sample, tile by tile.

    Raises:
      SampleError: before the first record, if the sample cannot be used.
    """
    image, mask, _ = read_pair(placed.sample, data)
    height, width = mask.shape
    for start, pixels, labels in tiling.tiles(image, mask, ingest.tile, ingest.margin):
        yield Record(
            image=pixels,
            mask=labels,
            source=placed.sample.key,
            source_sha256=placed.sha256,
            source_size=(height, width),
            tile=start,
            margin=ingest.margin,
            group=placed.group,
            span=span,
            attributes=dict(placed.sample.attributes),
        )


def fit(image: np.ndarray, channels: int, dtype: str) -> np.ndarray:
    """Gives an image the channels of its data set.

    Alpha is dropped, grey repeated to RGB, RGB turned to grey (as it is if all three are equal,
    else by BT.601 luma); anything else is refused, above all another dtype, whose values would
    mean something else.

    Args:
      image: [H, W, C].
      channels: that it shall have.
      dtype: that it must have.

    Returns:
      [H, W, channels] of `dtype`.

    Raises:
      BadFileError: the image does not fit.
    """
    if image.dtype.name != dtype:
        raise BadFileError(f"{image.dtype} image in a data set of {dtype} images")
    if dtype == "float32" and not np.isfinite(image).all():
        raise BadFileError("holds values that are not finite")
    present = image.shape[2]
    if present == channels:
        return image
    if channels in (1, 3) and present in (2, 4):
        image = image[..., : present - 1]
        present -= 1
    if present == channels:
        return image
    if (present, channels) == (1, 3):
        return np.repeat(image, 3, axis=2)
    if (present, channels) == (3, 1):
        return _grey(image)
    raise BadFileError(f"{present}-channel image in a data set of {channels}-channel images")


def _grey(image: np.ndarray) -> np.ndarray:
    if (image == image[..., :1]).all():
        return image[..., :1]
    if image.dtype == np.float32:
        return (image @ (np.array(GREY_WEIGHTS, np.float32) / 1000))[..., np.newaxis]
    luma = (image.astype(np.uint32) @ np.array(GREY_WEIGHTS, np.uint32) + 500) // 1000
    return luma[..., np.newaxis].astype(image.dtype)
