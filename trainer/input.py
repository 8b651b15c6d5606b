"""From records, or from image files, to what a model takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tensorflow as tf

from components import records
from components.records import GREY_WEIGHTS, IGNORE, Layout
from trainer import augment as augmentation
from trainer import strategy
from trainer.config import AugmentConfig, TrainConfig
from trainer.losses import pixel_weights
from trainer.models.registry import Geometry
from trainer.statistics import among

# A padded network sees zeros past the edge of what it is given. Mirrored pixels in between, this
# many, keep them away from what is asked for; more changes nothing (docs/results.md).
SURROUNDINGS = 32

# Tiles are shuffled within this much memory; the files' order is shuffled as well.
_SHUFFLE_BYTES = 256 * 2**20


def decode(image_bytes: tf.Tensor, layout: Layout) -> tf.Tensor:
    """Decodes an image file as ingestion does.

    Args:
      image_bytes: scalar string; PNG or JPEG. JPEG holds 8 bits only. An orientation that EXIF
        states is not followed, since TensorFlow has nothing that reads it: clients turn the pixels.
      layout: of the data set that the model was trained on.

    Returns:
      [H, W, C] of the layout's dtype.
    """
    # Grey by ingestion's formula, not by the decoders' own, which differ between PNG and JPEG.
    channels = max(layout.channels, 3)

    def png() -> tf.Tensor:
        if layout.alpha != "drop" and channels == 3:
            pixels = tf.io.decode_png(image_bytes, 4, dtype=layout.dtype)
            return _laid_on(pixels, layout.alpha)
        return tf.io.decode_png(image_bytes, channels, dtype=layout.dtype)

    def jpeg() -> tf.Tensor:
        # TensorFlow's default is a faster transform whose pixels differ from libjpeg's.
        return tf.io.decode_jpeg(image_bytes, channels, dct_method="INTEGER_ACCURATE")

    if layout.dtype == "uint8" and channels == 3:
        image = tf.cond(tf.io.is_jpeg(image_bytes), jpeg, png)
    else:
        image = png()
    if layout.channels == 1:
        image = tf.cast(image, tf.int32) * tf.constant(GREY_WEIGHTS)
        image = (tf.reduce_sum(image, axis=-1, keepdims=True) + 500) // 1000
        image = tf.cast(image, layout.dtype)
    image.set_shape([None, None, layout.channels])
    return image


def _laid_on(image: tf.Tensor, ground: str) -> tf.Tensor:
    """[H, W, 4] on white or black, as ingestion lays it: [H, W, 3]."""
    most = image.dtype.max
    wide = tf.cast(image, tf.int64)
    pixels, opaque = wide[..., :3], wide[..., 3:]
    back = most if ground == "white" else 0
    mixed = (pixels * opaque + back * (most - opaque) + most // 2) // most
    return tf.cast(mixed, image.dtype)


def mirror(images: tf.Tensor, before: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """A window of images that go on mirrored past their edges, however far.

    Args:
      images: [N, H, W, C].
      before: int32 [2], where the window begins (y, x); negative is before the images' edge.
      size: int32 [2], the window's height and width.

    Returns:
      [N, size[0], size[1], C], as NumPy's `pad(mode="reflect")` goes on.
    """
    for axis in (0, 1):
        extent = tf.shape(images)[axis + 1]
        period = tf.maximum(2 * (extent - 1), 1)
        place = tf.math.floormod(tf.range(size[axis]) + before[axis], period)
        place = tf.minimum(place, period - place)
        # An image one pixel wide has only that pixel to mirror.
        images = tf.gather(images, tf.minimum(place, extent - 1), axis=axis + 1)
    return images


def frame(
    image: tf.Tensor, mask: tf.Tensor, geometry: Geometry, surroundings: int = 0
) -> tuple[tf.Tensor, tf.Tensor]:
    """Gives a tile what a model needs around it to answer for all of it.

    Args:
      image: [H, W, C].
      mask: [H, W], or [H, W, L] with the class ids first.
      geometry: the model's.
      surroundings: pixels around the tile that the model shall see beyond what it needs.

    Returns:
      image [H + a, W + b, C], mirrored past the tile's edges, and mask of the model's output
      size, IGNORE past the tile.
    """
    size = tf.shape(mask)[:2]
    images, _ = surround(image[None], geometry, surroundings)
    output = tf.shape(images)[1:3] - 2 * geometry.margin
    after = output - size - surroundings
    around = [[surroundings, after[0]], [surroundings, after[1]], [0, 0]][: mask.shape.rank]
    mask = tf.pad(mask, around, constant_values=IGNORE)
    return images[0], mask


def surround(
    images: tf.Tensor, geometry: Geometry, surroundings: int
) -> tuple[tf.Tensor, tuple[slice, ...]]:
    """Images that go on mirrored, so that a model answers for all of them.

    Args:
      images: [N, H, W, C].
      geometry: the model's.
      surroundings: pixels on each side beyond what the model needs.

    Returns:
      float32 [N, H + a, W + b, C], and where in the model's answer to it the images lie.
    """
    size = tf.shape(images)[1:3]
    output = output_size(size + 2 * surroundings, geometry)
    around = surroundings + geometry.margin
    window = output + 2 * geometry.margin
    inside = (
        slice(None),
        slice(surroundings, surroundings + size[0]),
        slice(surroundings, surroundings + size[1]),
    )
    return mirror(tf.cast(images, tf.float32), tf.fill([2], -around), window), inside


def surroundings(geometry: Geometry) -> int:
    """How many mirrored pixels around an image a model shall see beyond those it needs."""
    return 0 if geometry.margin else SURROUNDINGS


def output_size(wanted: tf.Tensor, geometry: Geometry) -> tf.Tensor:
    """`geometry.output_size` of each value of an int32 tensor."""
    wanted = tf.maximum(wanted, geometry.smallest)
    return wanted + tf.math.floormod(geometry.remainder - wanted, geometry.stride)


def training_batches(
    files: Sequence[str],
    layout: Layout,
    geometry: Geometry,
    train: TrainConfig,
    augment: AugmentConfig,
    class_weights: Sequence[float],
    first_step: int = 0,
    without: Sequence[str] = (),
) -> tf.data.Dataset:
    """Batches without end, the same ones for the same arguments.

    Args:
      files: TFRecord files of the train split.
      layout: of their records; by its extras pixels have weights of their own, and tiles are
        shown more often than once an epoch.
      geometry: the model's.
      train: batch size, crop, seed.
      augment: the random changes.
      class_weights: one a class.
      first_step: batches of an interrupted training to leave out.
      without: sources whose records are left out.

    Returns:
      (image float32 [N, H, W, C], mask uint8 [N, H', W'], weight float32 [N, H', W']).
    """
    files = sorted(files)
    seed = tf.constant(train.seed, tf.int64)
    size = next(iter(tf.data.TFRecordDataset(files).map(tf.strings.length)), 1)
    buffer = max(16, _SHUFFLE_BYTES // max(int(size), 1))

    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(tf.constant(files), [seed, number])
        tiles = tf.data.TFRecordDataset(order)
        if without:
            tiles = tiles.filter(lambda tile: ~among(records.parse_source(tile), without))
        if "repeats" in layout.extras:
            tiles = tiles.flat_map(
                lambda tile: tf.data.Dataset.from_tensors(tile).repeat(records.parse_repeats(tile))
            )
        # A seed of its own for each epoch, and none of them 0, which means "random" to tf.data.
        return tiles.shuffle(
            buffer, seed=1 + seed * 1_000_003 + number, reshuffle_each_iteration=False
        )

    def prepare(index: tf.Tensor, serialized: tf.Tensor) -> tuple[tf.Tensor, ...]:
        record = records.parse(serialized, layout)
        image, mask = varied(record, train.crop, augment, tf.stack([seed, index]))
        image, mask = frame(image, mask, geometry)
        if "weight" in layout.extras:
            return image, tf.cast(mask[..., 0], tf.uint8), mask[..., 1]
        return image, mask, tf.reshape(record["source_weight"], [1, 1])

    weights = tf.constant(class_weights, tf.float32)
    skipped = first_step * train.batch_size
    return untuned(
        tf.data.Dataset.range(2**62)
        .flat_map(epoch)
        .enumerate()
        .skip(skipped)
        .map(prepare, num_parallel_calls=strategy.cores())
        .batch(train.batch_size, drop_remainder=True)
        .map(lambda image, mask, maps: (image, mask, pixel_weights(mask, weights, maps)))
        .prefetch(2)
    )


def varied(
    record: Mapping[str, tf.Tensor], crop: int | None, augment: AugmentConfig, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """A record's tile as one step of training sees it: cropped and changed.

    Args:
      record: what `records.parse` gave.
      crop: side of the square that is cut from it; None for all of it.
      augment: the random changes.
      seed: int64 [2]: that of the training, and the tile's number in it.

    Returns:
      image float32 [H, W, C], and mask uint8 [H, W], or where the record has weights float32
      [H, W, 2]: class ids, and what the pixels count beside their class.
    """
    image, mask = record["image"], record["mask"]
    if "weight" in record:
        weight = record["source_weight"] * record["weight"]
        mask = tf.stack([tf.cast(mask, tf.float32), weight], axis=-1)
    seeds = tf.random.split(seed, 2)
    window = None
    if crop:
        image, mask, window = augmentation.crop(image, mask, crop, augment, seeds[0])
    image = tf.ensure_shape(tf.cast(image, tf.float32), [None, None, record["image"].shape[-1]])
    return augmentation.augment(image, mask, augment, seeds[1], window)


def evaluation_batches(
    files: Sequence[str], layout: Layout, geometry: Geometry, batch_size: int
) -> tf.data.Dataset:
    """Each record once.

    Returns:
      (image float32 [N, H, W, C], mask uint8 [N, H', W'], weight float32 [N, H', W']), with the
      surroundings that the exported model gives an image; the last N may be smaller. Classes,
      borders and images weigh alike here.
    """
    weights = tf.ones([len(layout.classes)])

    def prepare(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        record = records.parse(serialized, layout.plain())
        return frame(record["image"], record["mask"], geometry, surroundings(geometry))

    return untuned(
        tf.data.TFRecordDataset(sorted(files))
        .map(prepare, num_parallel_calls=strategy.cores())
        .batch(batch_size)
        .map(lambda image, mask: (image, mask, pixel_weights(mask, weights)))
        .prefetch(1)
    )


def untuned(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Batches whose threads nobody tunes.

    TensorFlow 2.15's tuner sleeps for longer and longer, up to a minute, and may sleep through
    being told to end: who drops the batches then waits for it. There is nothing to tune here
    either, since all cores are taken from the start.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.with_options(options)
