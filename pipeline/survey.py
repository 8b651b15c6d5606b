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
from components.image_example_gen import label_files, pieces, sources, tiff
from components.image_example_gen.config import DataConfig, Value
from components.image_example_gen.masks import histogram
from components.image_example_gen.sources.contract import Listing, Sample, Source
from pipeline import mask_traits

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
      at_edges: pixels of each value on the outermost rows and columns of the masks.
      stored: masks by how their files store them, "8-bit palette PNG".
      numbered: masks whose numbers seem to tell objects apart, and those that could show it.
      largest: how much of the dark and of the bright half of a mask is in one piece, the medians;
        (0, 0) where masks have no dark and bright.
      lossy: masks stored as JPEG.
      flat: keys of images of one colour.
      transparent: images with pixels that are not opaque.
      glimpsed: images too large to be read whole, of which some windows were looked at.
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
    at_edges: Counter[Value]
    stored: Counter[str]
    numbered: tuple[int, int]
    largest: tuple[float, float]
    lossy: int
    flat: list[str]
    transparent: int
    glimpsed: int
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
    transparent: bool
    glimpsed: bool
    thumbnail: np.ndarray
    values: dict[Value, int]
    at_edges: dict[Value, int]
    stored: str
    numbered: bool | None
    largest: tuple[float, float] | None


def survey(data: DataConfig, most: int) -> Survey:
    """Reads up to `most` pairs of a data set.

    Raises:
      InputError: there is no such data set, or none of the pairs can be read.
    """
    source, root = sources.of(data), sources.folder(data)
    listing = sources.listing(data)
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
    at_edges: Counter[Value] = Counter()
    for _, look in good:
        values.update(look.values)
        at_edges.update(look.at_edges)
    largest = [look.largest for _, look in good if look.largest]
    numbered = [look.numbered for _, look in good if look.numbered is not None]
    return Survey(
        data=data,
        listing=listing,
        looked_at=len(chosen),
        sizes=Counter(look.size for _, look in good),
        channels=Counter(look.channels for _, look in good),
        dtypes=Counter(look.dtype for _, look in good),
        values=values,
        masks_with=Counter(value for _, look in good for value in look.values),
        at_edges=at_edges,
        stored=Counter(look.stored for _, look in good if look.stored),
        numbered=(sum(numbered), len(numbered)),
        largest=tuple(np.median(largest, axis=0).tolist()) if largest else (0.0, 0.0),
        lossy=sum(look.stored == "JPEG" for _, look in good),
        flat=[sample.key for sample, look in good if look.flat],
        transparent=sum(look.transparent for _, look in good),
        glimpsed=sum(look.glimpsed for _, look in good),
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
        extent = pieces.large(sample.image)
        if extent is None:
            image = source.read_image(sample.image)
            reference = sample.mask
            labels = source.read_labels(sample, data, image.shape[:2])
            pieces.refuse_other_size(labels.values.shape, image.shape)
            height, width = image.shape[:2]
        else:
            height, width, _ = extent
            image, labels = pieces.glimpse(source, sample, data, (height, width))
    except BadFileError as error:
        return SetAside(reference.name(root), str(error))
    channels = image.shape[2]
    # Alpha says nothing of the object; grey saved as RGB trains as fast as grey.
    may_be = channels in (2, 4) and image.dtype.kind == "u"
    alpha = image[..., -1] if may_be and _is_alpha(image[..., -1], sample.image.path) else None
    channels -= alpha is not None
    image = image[..., :channels]
    if channels == 3 and (image == image[..., :1]).all():
        channels = 1
    return _Look(
        (width, height),
        channels,
        image.dtype.name,
        bool((image == image[0, 0]).all()),
        alpha is not None and bool((alpha < np.iinfo(alpha.dtype).max).any()),
        extent is not None,
        _thumbnail(image),
        histogram(labels),
        histogram(mask_traits.edges(labels)),
        label_files.stored_as(sample.mask),
        mask_traits.numbered(labels),
        mask_traits.largest(labels),
    )


def _is_alpha(channel: np.ndarray, path: str) -> bool:
    """Whether a last channel is transparency: in TIFF, which has any channels, if mostly opaque."""
    if not path.lower().endswith(tiff.SUFFIXES):
        return True
    return bool((channel == np.iinfo(channel.dtype).max).mean() >= _OPAQUE)


_OPAQUE = 0.5


def _thumbnail(image: np.ndarray) -> np.ndarray:
    """Blocks' means: single pixels of a noisy image would say nothing of its likeness."""
    import cv2

    grey = np.ascontiguousarray(image[..., :3].mean(axis=2, dtype=np.float32))
    return cv2.resize(grey, (_THUMBNAIL, _THUMBNAIL), interpolation=cv2.INTER_AREA)
