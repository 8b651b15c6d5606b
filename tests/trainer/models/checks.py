"""What is asserted of every architecture of the registry, by its name and options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from components.records import Layout
from tests.trainer.conftest import blobs
from trainer import input as model_input
from trainer.export import export
from trainer.losses import Loss, pixel_weights
from trainer.metrics import MeanIoU
from trainer.models import registry

CLASSES = ("background", "cell")


def built(
    name: str,
    options: Mapping[str, Any],
    classes: int = len(CLASSES),
    channels: int = 1,
    seed: int = 3,
) -> keras.Model:
    """A model with random weights, the same ones each time, for the pixels of `blobs`."""
    keras.utils.set_random_seed(seed)
    return registry.build(name, options, classes, [90.0] * channels, [50.0] * channels)


def check_sizes(
    name: str,
    options: Mapping[str, Any],
    sizes: Sequence[tuple[int, int]] = ((64, 64), (32, 96)),
    channels: int = 1,
) -> None:
    """One model answers for images of several sizes, as its geometry foretells.

    Args:
      name: of the registry.
      options: its options.
      sizes: heights and widths of images, in pixels.
      channels: of the images.
    """
    model, geometry = built(name, options, 3, channels), registry.geometry(name, options)
    for size in sizes:
        given = [geometry.input_size(side) for side in size]
        answer = model(tf.zeros([2, *given, channels]), training=False)
        assert answer.shape == (2, *(geometry.output_size(side) for side in size), 3)
        assert answer.dtype == tf.float32


def check_overfits(
    name: str,
    options: Mapping[str, Any],
    size: int = 32,
    steps: int = 600,
    learning_rate: float = 0.01,
    channels: int = 1,
    records: int = 1,
) -> None:
    """One record is learnt by heart: mean IoU above 0.95, as it is evaluated, in `steps` at most.

    Its disc is bright on dark ground with noise, and a corner of it is ignored. `records` above 1
    is for batch normalisation that sees one value a record.
    """
    framed = []
    for seed in range(1, records + 1):
        image, mask = blobs(seed, size)
        image = tf.repeat(tf.cast(image, tf.float32), channels, axis=-1)
        framed.append(model_input.frame(image, tf.constant(mask), registry.geometry(name, options)))
    images, masks = (tf.stack(values) for values in zip(*framed))
    record = images, masks, pixel_weights(masks, tf.ones([len(CLASSES)]))
    model = built(name, options, channels=channels)
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss=Loss({"cross_entropy": 1.0}),
        metrics=[MeanIoU(len(CLASSES))],
    )
    batches = tf.data.Dataset.from_tensors(record)
    found = 0.0
    for _ in range(0, steps, 25):
        model.fit(batches.repeat(25), verbose=0)
        found = model.evaluate(batches, verbose=0, return_dict=True)["mean_iou"]
        if found > 0.95:
            return
    raise AssertionError(f"{name} reaches a mean IoU of {found:.3f} on one record in {steps} steps")


def check_export(
    name: str, options: Mapping[str, Any], directory: Path, channels: int = 1, size: int = 40
) -> None:
    """An exported model, loaded again, answers as the Keras model does."""
    layout = Layout(channels=channels, dtype="uint8", classes=CLASSES)
    model, geometry = built(name, options, channels=channels), registry.geometry(name, options)
    # Scores that begin at zero would be equal whatever is lost on the way.
    generator = np.random.default_rng(5)
    for weight in model.trainable_weights:
        value = weight.numpy()
        weight.assign(value + generator.normal(0, 0.02, value.shape))
    image = np.repeat(blobs(7, size)[0], channels, axis=-1)
    refine = registry.refinement(name, options)
    folder = str(directory / "model")
    export(model, layout, geometry, folder, {"name": name}, tf.constant(image), refine)

    around = model_input.surroundings(geometry)
    framed, inside = model_input.surround(tf.constant(image[None]), geometry, around)
    logits = model(framed, training=False)[inside]
    if refine is not None:
        logits = refine(tf.cast(image[None], tf.float32), logits)
    assert np.ptp(logits) > 1e-3

    signatures = tf.saved_model.load(folder).signatures
    given = signatures["probabilities"](image_bytes=tf.io.encode_png(image)[None])
    assert np.allclose(given["probabilities"], tf.nn.softmax(logits), atol=1e-4)
