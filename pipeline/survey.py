"""Looks at a data set: what its files hold, in numbers."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np

from components.errors import BadFileError, InputError, SetAside
from components.image_example_gen import sources
from components.image_example_gen.config import DataConfig, Value
from components.image_example_gen.masks import histogram
from components.image_example_gen.reading import check_size
from components.image_example_gen.sources.contract import Listing, Sample, Source

_READERS = 4
_THUMBNAIL = 32


@dataclasses.dataclass(frozen=True)
class Survey:
    """What was found.

    Attributes:
      data: the configuration by which the data set was read.
      listing: all its files.
      looked_at: pairs that were read, spread evenly over the listing.
      sizes: images of each (width, height).
      channels: images of each number of channels, alpha left out, and one for grey saved as RGB.
      dtypes: images of each pixel type.
      values: pixels of each mask value.
      masks_with: masks that hold each value.
      lossy: masks stored as JPEG.
      flat: keys of images of one colour.
      unreadable: files that cannot be used.
      thumbnails: float32 [looked at and readable, 32, 32], the images in grey.
      keys: of the thumbnails.
    """

    data: DataConfig
    listing: Listing
    looked_at: int
    sizes: Counter[tuple[int, int]]
    channels: Counter[int]
    dtypes: Counter[str]
    values: Counter[Value]
    masks_with: Counter[Value]
    lossy: int
    flat: list[str]
    unreadable: list[SetAside]
    thumbnails: np.ndarray
    keys: list[str]


@dataclasses.dataclass(frozen=True)
class _Look:
    """What one pair holds."""

    size: tuple[int, int]
    channels: int
    dtype: str
    flat: bool
    thumbnail: np.ndarray
    values: dict[Value, int]


def survey(data: DataConfig, most: int) -> Survey:
    """Reads up to `most` pairs of a data set.

    Raises:
      InputError: there is no such data set, or none of the pairs can be read.
    """
    source, root = sources.of(data), sources.folder(data)
    listing = source.listing(data)
    chosen = spread(listing.samples, most)
    with ThreadPoolExecutor(_READERS) as pool:
        looks = list(pool.map(lambda sample: _look(source, sample, data, root), chosen))

    good = [
        (sample, look)
        for sample, look in zip(chosen, looks, strict=True)
        if not isinstance(look, SetAside)
    ]
    unreadable = [look for look in looks if isinstance(look, SetAside)]
    if not good:
        raise InputError(
            f"none of the {len(chosen)} pairs in {root} can be read, such as "
            f"{unreadable[0].file}: {unreadable[0].reason}.",
            unreadable,
        )
    values: Counter[Value] = Counter()
    for _, look in good:
        values.update(look.values)
    return Survey(
        data=data,
        listing=listing,
        looked_at=len(chosen),
        sizes=Counter(look.size for _, look in good),
        channels=Counter(look.channels for _, look in good),
        dtypes=Counter(look.dtype for _, look in good),
        values=values,
        masks_with=Counter(value for _, look in good for value in look.values),
        lossy=sum(sample.mask.path.lower().endswith((".jpg", ".jpeg")) for sample, _ in good),
        flat=[sample.key for sample, look in good if look.flat],
        unreadable=unreadable,
        thumbnails=np.stack([look.thumbnail for _, look in good]),
        keys=[sample.key for sample, _ in good],
    )


_T = TypeVar("_T")


def spread(items: Sequence[_T], most: int) -> list[_T]:
    """At most `most` of the items, evenly spread, in their order."""
    if len(items) <= most:
        return list(items)
    return [items[index * len(items) // most] for index in range(most)]


def _look(source: Source, sample: Sample, data: DataConfig, root: Path) -> _Look | SetAside:
    reference = sample.image
    try:
        image = source.read_image(sample.image)
        reference = sample.mask
        labels = source.read_labels(sample, data, image.shape[:2])
        check_size(labels.values, image)
    except BadFileError as error:
        return SetAside(reference.name(root), str(error))
    height, width, channels = image.shape
    # Alpha says nothing of the object; grey saved as RGB trains as fast as grey.
    channels -= channels in (2, 4)
    image = image[..., :channels]
    if channels == 3 and (image == image[..., :1]).all():
        channels = 1
    return _Look(
        (width, height),
        channels,
        image.dtype.name,
        bool((image == image[0, 0]).all()),
        _thumbnail(image),
        histogram(labels),
    )


def _thumbnail(image: np.ndarray) -> np.ndarray:
    """Blocks' means: single pixels of a noisy image would say nothing of its likeness."""
    import cv2

    grey = np.ascontiguousarray(image[..., :3].mean(axis=2, dtype=np.float32))
    return cv2.resize(grey, (_THUMBNAIL, _THUMBNAIL), interpolation=cv2.INTER_AREA)
