"""The record: the one definition of what is in a tf.Example.

A record is a tile: a core, whose pixels carry a label that counts, and around it a margin of
context, mirrored where the source image ends. Its mask has the size of its image; margin pixels
and pixels past the source's end are IGNORE there, so nothing downstream needs to know about
margins to count every labelled source pixel exactly once.

Pixels are stored raw in C order (`storage="raw"`), so that training reads at memory speed, or as
PNG (`storage="png"`), which trades time for space.

    feature               kind             value
    image                 bytes            pixels, [height, width, channels]
    image/height, image/width, image/channels   int64   of the stored tile, margin included
    image/dtype           bytes            uint8 | uint16 | float32
    mask                  bytes            class ids, uint8 [height, width]; 255 = ignore
    weight                bytes            float16 [height, width], raw: how much a pixel counts in
                                           the loss, beside its class's weight; 1 in the margin
    instance              bytes            int32 [height, width], raw: which object of the source
                                           image a pixel belongs to; 0 = none, and in the margin
    source                bytes            key of the source image within its data set
    source/sha256         bytes            of the source image's file
    source/height, source/width            int64
    tile/y, tile/x        int64            where the core's first pixel lies in the source
    tile/margin           int64            pixels of context on each side
    group, attribute/<name>                bytes
    span                  int64
    image/sum, image/sum_squares           float, a value a channel, over the core's source pixels
    mask/class_pixels     int64            a value a class and one for ignore, over the same pixels
    source/weight         float            how much all pixels of the source count; absent where 1
    tile/repeats          int64            how often an epoch of training shows the tile; absent
                                           where once

`weight`, `instance` and `tile/repeats` are there where `Layout.extras` says so.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from components import tallies, tfrecord
from components.tfrecord import Feature, Part, example, floats, integers, octets

if TYPE_CHECKING:
    import tensorflow as tf

IGNORE = 255
"""The class id of a pixel that counts nowhere. Class ids are therefore at most 254."""

GREY_WEIGHTS = (299, 587, 114)
"""Thousandths of red, green and blue in grey, ITU-R BT.601: ingestion and serving agree on them."""

Extra = Literal["weight", "instance", "repeats"]

ATTRIBUTE = "attribute/"
"""What the names of features begin with that hold attributes."""

TRAIN, EVAL = "train", "eval"
SPLITS = (TRAIN, EVAL)

# What statistics, validation and Transform look at. Pixels are kept out: StatisticsGen would take
# image bytes for words and count them, and Transform would hold a thousand tiles in memory.
DESCRIPTIVE_FEATURES = (
    "image/height",
    "image/width",
    "image/channels",
    "image/dtype",
    "source/height",
    "source/width",
    "tile/y",
    "tile/x",
    "tile/margin",
    "span",
    "image/sum",
    "image/sum_squares",
    "mask/class_pixels",
)


@dataclasses.dataclass(frozen=True)
class Layout:
    """What is the same in every record of a data set; readers need it to decode pixels.

    Attributes:
      channels: channels of every image.
      dtype: NumPy name of the pixels' type.
      classes: the class names; a class's id is its place in this list.
      storage: how pixels of image and mask are stored.
      extras: what the records hold beside what all do.
      alpha: what became of the images' transparency, and becomes of that of images to be served:
        dropped, or laid on white or black.
    """

    channels: int
    dtype: Literal["uint8", "uint16", "float32"]
    classes: tuple[str, ...]
    storage: Literal["raw", "png"] = "raw"
    extras: tuple[Extra, ...] = ()
    alpha: Literal["drop", "white", "black"] = "drop"

    @property
    def has_file_format(self) -> bool:
        """Whether PNG or JPEG, which a model decodes by itself, can hold such images."""
        return self.channels in (1, 3, 4) and self.dtype != "float32"

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON values; `Layout.from_json` reads it."""
        lists = {"classes": list(self.classes), "extras": list(self.extras)}
        values = {**dataclasses.asdict(self), **lists}
        # Left out where there are none, so that a data set without them is described as ever.
        if not values["extras"]:
            del values["extras"]
        if self.alpha == "drop":
            del values["alpha"]
        return values

    def plain(self) -> Layout:
        """Without extras: all that is needed to look at an image and its labels."""
        return dataclasses.replace(self, extras=())

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Layout:
        """The layout that `to_json` wrote."""
        lists = {name: tuple(values.get(name, ())) for name in ("classes", "extras")}
        return cls(**{**values, **lists})


@dataclasses.dataclass(frozen=True)
class Record:
    """One tile before it is encoded.

    Attributes:
      image: [height, width, channels] of the layout's dtype, margin included.
      mask: uint8 [height, width] of class ids; IGNORE in the margin and past the source's end.
      source: the source image's key.
      source_sha256: hexadecimal digest of the source image's file.
      source_size: (height, width) of the source image.
      tile: (y, x) of the core's first pixel in the source image.
      margin: pixels of context on each side of the core.
      group: images of one group are never on both sides of the split.
      span: number of the span that brought the image.
      attributes: further columns of a manifest; they become slices.
      weight: float16 [height, width], where the layout has it.
      instance: int32 [height, width], where the layout has it.
      source_weight: how much the source's pixels count.
      repeats: how often an epoch of training shows the tile.
    """

    image: np.ndarray
    mask: np.ndarray
    source: str
    source_sha256: str
    source_size: tuple[int, int]
    tile: tuple[int, int] = (0, 0)
    margin: int = 0
    group: str = ""
    span: int = 0
    attributes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    weight: np.ndarray | None = None
    instance: np.ndarray | None = None
    source_weight: float = 1.0
    repeats: int = 1

    @functools.cached_property
    def mask_counts(self) -> np.ndarray:
        """Pixels of each value of the mask within the core, int64 [256]; counted once."""
        return tallies.count_values(self.mask[self.core])

    @functools.cached_property
    def sums(self) -> tuple[np.ndarray, np.ndarray]:
        """What `tallies.sums` says of the core's pixels; added up once."""
        return tallies.sums(self.image[self.core])

    @functools.cached_property
    def core_pixels(self) -> np.ndarray:
        """The core's pixels in C order, [height, width, channels]; copied once."""
        return np.ascontiguousarray(self.image[self.core])

    @functools.cached_property
    def core(self) -> tuple[slice, slice]:
        """The rows and columns of `image` that are core pixels of the source."""
        height, width = self.mask.shape
        return tuple(
            slice(self.margin, self.margin + min(extent - 2 * self.margin, size - start))
            for extent, size, start in zip((height, width), self.source_size, self.tile)
        )  # type: ignore[return-value]


def encode(record: Record, layout: Layout) -> bytes:
    """Serialises a record as a tf.Example.

    Raises:
      ValueError: the record's shape or dtype is not the layout's.
    """
    return b"".join(encode_in_parts(record, layout))


def encode_in_parts(record: Record, layout: Layout) -> list[Part]:
    """As `encode`, for `tfrecord.write`: pixels are not copied.

    Raises:
      ValueError: the record's shape or dtype is not the layout's.
    """
    image, mask = record.image, record.mask
    if image.ndim != 3 or image.shape[2] != layout.channels or image.dtype.name != layout.dtype:
        raise ValueError(
            f"{record.source}: a tile of shape {image.shape} and type {image.dtype} does not fit "
            f"a data set of {layout.channels}-channel {layout.dtype} images"
        )
    if mask.shape != image.shape[:2] or mask.dtype != np.uint8:
        raise ValueError(
            f"{record.source}: a {mask.dtype} mask of shape {mask.shape} does not fit an image of "
            f"shape {image.shape}"
        )

    total, total_squares = record.sums
    pixels = record.mask_counts.tolist()
    class_pixels = [*pixels[: len(layout.classes)], pixels[IGNORE]]
    if sum(class_pixels) != sum(pixels):
        raise ValueError(
            f"{record.source}: the mask holds ids past the {len(layout.classes)} classes"
        )

    # Without a margin nor an end of the source the core is all there is.
    raw = record.core_pixels if image.shape == record.core_pixels.shape else image
    features: dict[str, Feature] = {
        "image": _store(raw, layout.storage),
        "image/height": integers(image.shape[0]),
        "image/width": integers(image.shape[1]),
        "image/channels": integers(layout.channels),
        "image/dtype": octets(layout.dtype),
        "mask": _store(mask[..., None], layout.storage),
        "source": octets(record.source),
        "source/sha256": octets(record.source_sha256),
        "source/height": integers(record.source_size[0]),
        "source/width": integers(record.source_size[1]),
        "tile/y": integers(record.tile[0]),
        "tile/x": integers(record.tile[1]),
        "tile/margin": integers(record.margin),
        "group": octets(record.group),
        "span": integers(record.span),
        "image/sum": floats(total),
        "image/sum_squares": floats(total_squares),
        "mask/class_pixels": integers(*class_pixels),
    }
    for name, value in record.attributes.items():
        features[f"{ATTRIBUTE}{name}"] = octets(value)
    if record.source_weight != 1:
        features["source/weight"] = floats(np.array([record.source_weight]))
    for name, dtype in _MAPS.items():
        if name in layout.extras:
            features[name] = _map(getattr(record, name), dtype, record)
    if "repeats" in layout.extras:
        features["tile/repeats"] = integers(record.repeats)
    # The same images give the same bytes, so that files can be compared.
    return example(features)


_MAPS = {"weight": np.float16, "instance": np.int32}


def _map(values: np.ndarray | None, dtype: type, record: Record) -> Feature:
    """The feature of a value a pixel."""
    if values is None or values.shape != record.mask.shape or values.dtype != dtype:
        raise ValueError(f"{record.source}: lacks a value a pixel that the layout promises")
    return tfrecord.pixels(np.ascontiguousarray(values))


def parse(serialized: tf.Tensor, layout: Layout) -> dict[str, tf.Tensor]:
    """Decodes one record inside a TensorFlow graph.

    Args:
      serialized: scalar string, what `encode` returned.
      layout: the data set's layout.

    Returns:
      image: [height, width, channels] of the layout's dtype; mask: uint8 [height, width];
      source: scalar string; tile: int64 [2], (y, x) of the core in the source;
      source_size: int64 [2], (height, width); source_weight: float32 scalar.
      And by the layout's extras, weight: float32 [height, width]; instance: int32 [height, width].
    """
    import tensorflow as tf

    scalars = {
        name: tf.io.FixedLenFeature([], tf.int64)
        for name in (
            "image/height",
            "image/width",
            "source/height",
            "source/width",
            "tile/y",
            "tile/x",
        )
    }
    maps = {name: dtype for name, dtype in _MAPS.items() if name in layout.extras}
    texts = {
        name: tf.io.FixedLenFeature([], tf.string) for name in ("image", "mask", "source", *maps)
    }
    weight = {"source/weight": tf.io.FixedLenFeature([], tf.float32, 1.0)}
    features: Any = tf.io.parse_single_example(serialized, {**scalars, **texts, **weight})
    height, width = features["image/height"], features["image/width"]

    def pixels(name: str, channels: int, dtype: str) -> tf.Tensor:
        if layout.storage == "png":
            decoded = tf.io.decode_png(features[name], channels=channels, dtype=dtype)
        else:
            decoded = tf.reshape(
                tf.io.decode_raw(features[name], dtype), tf.stack([height, width, channels])
            )
        decoded.set_shape([None, None, channels])
        return decoded

    parsed = {
        "image": pixels("image", layout.channels, layout.dtype),
        "mask": pixels("mask", 1, "uint8")[..., 0],
        "source": features["source"],
        "tile": tf.stack([features["tile/y"], features["tile/x"]]),
        "source_size": tf.stack([features["source/height"], features["source/width"]]),
        "source_weight": features["source/weight"],
    }
    for name, dtype in maps.items():
        values = tf.reshape(tf.io.decode_raw(features[name], dtype), tf.stack([height, width]))
        parsed[name] = tf.cast(values, tf.float32) if name == "weight" else values
    return parsed


def parse_source(serialized: tf.Tensor) -> tf.Tensor:
    """The source image's key, string scalar, inside a TensorFlow graph."""
    import tensorflow as tf

    source = {"source": tf.io.FixedLenFeature([], tf.string)}
    return tf.io.parse_single_example(serialized, source)["source"]


def parse_repeats(serialized: tf.Tensor) -> tf.Tensor:
    """How often an epoch of training shows a tile, int64 scalar, inside a TensorFlow graph."""
    import tensorflow as tf

    repeats = {"tile/repeats": tf.io.FixedLenFeature([], tf.int64, 1)}
    return tf.io.parse_single_example(serialized, repeats)["tile/repeats"]


def _store(pixels: np.ndarray, storage: str) -> Feature:
    """The feature of [height, width, channels] pixels."""
    if storage == "raw":
        return tfrecord.pixels(np.ascontiguousarray(pixels))
    import cv2

    # OpenCV wants blue first; TensorFlow's decoder gives red first.
    order = {3: [2, 1, 0], 4: [2, 1, 0, 3]}.get(pixels.shape[2])
    fast = [cv2.IMWRITE_PNG_COMPRESSION, 1]
    done, encoded = cv2.imencode(".png", pixels[..., order] if order else pixels, fast)
    if not done:
        raise ValueError(f"a tile of shape {pixels.shape} cannot be stored as PNG")
    return octets(encoded.tobytes())
