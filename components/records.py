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
    source                bytes            key of the source image within its data set
    source/sha256         bytes            of the source image's file
    source/height, source/width            int64
    tile/y, tile/x        int64            where the core's first pixel lies in the source
    tile/margin           int64            pixels of context on each side
    group, attribute/<name>                bytes
    span                  int64
    image/sum, image/sum_squares           float, a value a channel, over the core's source pixels
    mask/class_pixels     int64            a value a class and one for ignore, over the same pixels
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

IGNORE = 255
"""The class id of a pixel that counts nowhere. Class ids are therefore at most 254."""

GREY_WEIGHTS = (299, 587, 114)
"""Thousandths of red, green and blue in grey, ITU-R BT.601: ingestion and serving agree on them."""

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
      storage: how pixels are stored.
    """

    channels: int
    dtype: Literal["uint8", "uint16", "float32"]
    classes: tuple[str, ...]
    storage: Literal["raw", "png"] = "raw"

    @property
    def has_file_format(self) -> bool:
        """Whether PNG or JPEG, which a model decodes by itself, can hold such images."""
        return self.channels in (1, 3, 4) and self.dtype != "float32"

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON values; `Layout.from_json` reads it."""
        return {**dataclasses.asdict(self), "classes": list(self.classes)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Layout:
        """The layout that `to_json` wrote."""
        return cls(**{**values, "classes": tuple(values["classes"])})


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
    import tensorflow as tf

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

    core = record.core()
    pixels = image[core].reshape(-1, layout.channels).astype(np.float64)
    counts = np.bincount(mask[core].ravel(), minlength=IGNORE + 1)
    class_pixels = [*counts[: len(layout.classes)], counts[IGNORE]]
    if sum(class_pixels) != counts.sum():
        raise ValueError(
            f"{record.source}: the mask holds ids past the {len(layout.classes)} classes"
        )

    def integers(*values: int) -> tf.train.Feature:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    def floats(values: np.ndarray) -> tf.train.Feature:
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))

    def octets(value: bytes | str) -> tf.train.Feature:
        value = value.encode() if isinstance(value, str) else value
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    features = {
        "image": octets(_store(image, layout.storage)),
        "image/height": integers(image.shape[0]),
        "image/width": integers(image.shape[1]),
        "image/channels": integers(layout.channels),
        "image/dtype": octets(layout.dtype),
        "mask": octets(_store(mask[..., None], layout.storage)),
        "source": octets(record.source),
        "source/sha256": octets(record.source_sha256),
        "source/height": integers(record.source_size[0]),
        "source/width": integers(record.source_size[1]),
        "tile/y": integers(record.tile[0]),
        "tile/x": integers(record.tile[1]),
        "tile/margin": integers(record.margin),
        "group": octets(record.group),
        "span": integers(record.span),
        "image/sum": floats(pixels.sum(axis=0)),
        "image/sum_squares": floats(np.square(pixels).sum(axis=0)),
        "mask/class_pixels": integers(*class_pixels),
    }
    for name, value in record.attributes.items():
        features[f"attribute/{name}"] = octets(value)
    example = tf.train.Example(features=tf.train.Features(feature=features))
    # Deterministic, so that the same images give the same bytes and files can be compared.
    return example.SerializeToString(deterministic=True)


def parse(serialized: tf.Tensor, layout: Layout) -> dict[str, tf.Tensor]:
    """Decodes one record inside a TensorFlow graph.

    Args:
      serialized: scalar string, what `encode` returned.
      layout: the data set's layout.

    Returns:
      image: [height, width, channels] of the layout's dtype; mask: uint8 [height, width];
      source: scalar string; tile: int64 [2], (y, x) of the core in the source;
      source_size: int64 [2], (height, width).
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
    texts = {name: tf.io.FixedLenFeature([], tf.string) for name in ("image", "mask", "source")}
    features: Any = tf.io.parse_single_example(serialized, {**scalars, **texts})
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

    return {
        "image": pixels("image", layout.channels, layout.dtype),
        "mask": pixels("mask", 1, "uint8")[..., 0],
        "source": features["source"],
        "tile": tf.stack([features["tile/y"], features["tile/x"]]),
        "source_size": tf.stack([features["source/height"], features["source/width"]]),
    }


def _store(pixels: np.ndarray, storage: str) -> bytes:
    """The bytes of [height, width, channels] pixels."""
    if storage == "raw":
        return np.ascontiguousarray(pixels).tobytes()
    import cv2

    # OpenCV wants blue first; TensorFlow's decoder gives red first.
    order = {3: [2, 1, 0], 4: [2, 1, 0, 3]}.get(pixels.shape[2])
    fast = [cv2.IMWRITE_PNG_COMPRESSION, 1]
    done, encoded = cv2.imencode(".png", pixels[..., order] if order else pixels, fast)
    if not done:
        raise ValueError(f"a tile of shape {pixels.shape} cannot be stored as PNG")
    return encoded.tobytes()
