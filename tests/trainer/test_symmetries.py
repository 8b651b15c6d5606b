from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.records import Layout, Record, encode
from trainer import symmetries
from trainer.config import AverageOver
from trainer.export import Exported, export
from trainer.models import registry
from trainer.models.registry import Geometry

# Two 90 degree turns and a mirror make all eight; NumPy turns, where the code exchanges axes.
COPIES = {
    "none": [(0, False)],
    "left_right": [(0, False), (0, True)],
    "flips": [(0, False), (0, True), (2, False), (2, True)],
    "flips_and_turns": [(turns, mirrored) for turns in range(4) for mirrored in (False, True)],
}


def lopsided(padding: str = "same") -> keras.Model:
    """A convolution that answers otherwise of each copy of an image."""
    keras.utils.set_random_seed(4)
    inputs = keras.Input((None, None, 1))
    return keras.Model(inputs, keras.layers.Conv2D(3, 3, padding=padding)(inputs))


def image(height: int = 12, width: int = 9) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2, height, width, 1)).astype(np.float32)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("over", COPIES)
def test_the_mean_of_the_copies_answers(over: AverageOver, padding: str) -> None:
    model, pixels = lopsided(padding), image()
    answers = []
    for turns, mirrored in COPIES[over]:
        copy = np.rot90(pixels[:, :, ::-1] if mirrored else pixels, turns, (1, 2))
        answer = np.rot90(tf.nn.softmax(model(copy)), -turns, (1, 2))
        answers.append(answer[:, :, ::-1] if mirrored else answer)
    found = tf.function(symmetries.averaged(model, over))(pixels)
    assert np.allclose(tf.nn.softmax(found), np.mean(answers, axis=0), atol=1e-6)


@pytest.mark.parametrize("over", ["left_right", "flips", "flips_and_turns"])
def test_a_copy_is_answered_as_the_image_is(over: AverageOver) -> None:
    answer, pixels = symmetries.averaged(lopsided(), over), image(8, 8)
    turned, mirrored = np.rot90(pixels, 1, (1, 2)), pixels[:, :, ::-1]
    assert np.allclose(answer(mirrored), answer(pixels)[:, :, ::-1], atol=1e-5)
    alike = np.allclose(answer(turned), np.rot90(answer(pixels), 1, (1, 2)), atol=1e-5)
    assert alike == (over == "flips_and_turns")


def test_a_class_without_any_probability_stays_finite() -> None:
    inputs = keras.Input((None, None, 1))
    certain = keras.layers.Lambda(lambda x: tf.concat([x + 1e4, x - 1e4], -1))(inputs)
    found = symmetries.averaged(keras.Model(inputs, certain), "flips")(image())
    assert np.all(np.isfinite(found))


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_exported_in_one_piece_and_in_tiles(padding: str, layout: Layout) -> None:
    options = {"width": 4, "depth": 2, "padding": padding, "normalisation": "none"}
    model = registry.build("unet", options, classes=2, mean=[90.0], deviation=[50.0])
    geometry: Geometry = registry.geometry("unet", options)
    exported = Exported(
        model, layout, geometry, core=32, context=48, average_over="flips_and_turns"
    )
    images = tf.random.stateless_uniform([1, 160, 130, 1], [1, 2], maxval=255)
    whole, tiled = exported.logits(images), exported.tiled(images, tf.identity)
    assert whole.shape == tiled.shape == (1, 160, 130, 2)
    # Within a padded network's reach of an end the tiles see other surroundings.
    inner = (slice(None), slice(48, 112), slice(48, 82))
    assert np.allclose(tf.nn.softmax(whole)[inner], tf.nn.softmax(tiled)[inner], atol=1e-4)


def test_saved_and_loaded_every_signature_averages(tmp_path: Path, layout: Layout) -> None:
    keras.utils.set_random_seed(4)
    options = {"width": 4, "depth": 2}
    model = registry.build("unet", options, classes=2, mean=[90.0], deviation=[50.0])
    geometry: Geometry = registry.geometry("unet", options)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (40, 33, 1), np.uint8)
    folder = str(tmp_path / "1")
    export(model, layout, geometry, folder, {}, tf.constant(pixels), average_over="flips_and_turns")
    signatures = tf.saved_model.load(folder).signatures
    exported = Exported(model, layout, geometry, average_over="flips_and_turns")
    expected = tf.nn.softmax(exported.logits(pixels[None]))
    encoded = tf.io.encode_png(pixels)[None]
    found = signatures["probabilities"](image_bytes=encoded)["probabilities"]
    assert np.allclose(found, expected, atol=1e-5)
    once = tf.nn.softmax(Exported(model, layout, geometry).logits(pixels[None]))
    assert not np.allclose(found, once, atol=0.01)
    ids = np.argmax(expected, axis=-1)
    assert np.array_equal(signatures["tensor"](image=pixels[None])["mask"], ids)
    mask = signatures["serving_default"](image_bytes=encoded)["mask_bytes"][0]
    assert np.array_equal(tf.io.decode_png(mask)[..., 0], ids[0])
    record = encode(Record(pixels, ids[0].astype(np.uint8), "a", "", (40, 33)), layout)
    counts = signatures["evaluate"](examples=tf.constant([record]))["confusion"].numpy()
    assert counts.reshape(2, 2).trace() == counts.sum() == 40 * 33
