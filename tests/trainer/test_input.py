from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tensorflow as tf

from components.image_example_gen.reading import fit
from components.records import IGNORE, Layout, Record, encode
from trainer import input as model_input
from trainer import strategy
from trainer.config import AugmentConfig, TrainConfig
from trainer.models import registry

SAME = registry.Geometry(stride=4)


EVERYTHING = AugmentConfig(
    elastic=True,
    elastic_sigma=2,
    rotation=20,
    scale=0.2,
    shear=5,
    brightness=0.3,
    contrast=0.2,
    gamma=0.3,
    blur=1,
    noise=0.1,
)


def batches(
    files: dict[str, str],
    layout: Layout,
    first_step: int = 0,
    seed: int = 0,
    augment: AugmentConfig = EVERYTHING,
) -> list:
    dataset = model_input.training_batches(
        [files["train"]],
        layout,
        SAME,
        TrainConfig(batch_size=3, seed=seed, crop=24),
        augment,
        class_weights=[1.0, 1.0],
        first_step=first_step,
    )
    return [tuple(part.numpy() for part in batch) for batch in dataset.take(6 - first_step)]


def test_a_resumed_training_sees_the_batches_it_would_have_seen(
    record_files: dict[str, str], layout: Layout
) -> None:
    whole, resumed = batches(record_files, layout), batches(record_files, layout, first_step=2)
    for before, after in zip(whole[2:], resumed):
        for expected, given in zip(before, after):
            assert np.array_equal(expected, given)
    assert {batch[0].shape for batch in whole} == {(3, 24, 24, 1)}


def test_nobody_waits_for_the_tuner_when_batches_are_dropped(
    record_files: dict[str, str], layout: Layout
) -> None:
    files = [record_files["train"]]
    one = TrainConfig(batch_size=1)
    train = model_input.training_batches(files, layout, SAME, one, AugmentConfig(), [1.0, 1.0])
    for dropped in (train, model_input.evaluation_batches(files, layout, SAME, 1)):
        assert dropped.options().autotune.enabled is False
    # Nor are they handed over by threads that have a tuner of their own.
    assert strategy.strategy("one_device") is tf.distribute.get_strategy()


def test_what_changes_leave_ignored_weighs_nothing(
    record_files: dict[str, str], layout: Layout
) -> None:
    for _, masks, weights in batches(record_files, layout):
        counts = masks != IGNORE
        # Labelled pixels of the batch share 1.
        assert np.all(weights[~counts] == 0)
        assert np.allclose(weights[counts], 1 / counts.sum())


def test_another_seed_gives_another_order(record_files: dict[str, str], layout: Layout) -> None:
    assert not np.array_equal(
        batches(record_files, layout)[0][0], batches(record_files, layout, seed=1)[0][0]
    )


def test_each_epoch_takes_every_tile_once_in_an_order_of_its_own(
    record_files: dict[str, str], layout: Layout
) -> None:
    dataset = model_input.training_batches(
        [record_files["train"]],
        layout,
        SAME,
        TrainConfig(batch_size=4),
        AugmentConfig(flip=False, quarter_turns=False),
        class_weights=[1.0, 1.0],
    )
    # 8 records in batches of 4: two batches an epoch. A tile is told by its mean.
    means = [float(tf.reduce_mean(image)) for batch in dataset.take(6) for image in batch[0]]
    epochs = [means[:8], means[8:16], means[16:]]
    assert len(set(means)) == 8
    assert sorted(epochs[0]) == sorted(epochs[1]) == sorted(epochs[2])
    assert epochs[0] != epochs[1] != epochs[2]


def test_mirror_goes_on_as_numpy_does() -> None:
    image = np.arange(12, dtype=np.float32).reshape(1, 3, 4, 1)
    expected = np.pad(image[0, ..., 0], ((7, 5), (9, 2)), mode="reflect")
    window = model_input.mirror(tf.constant(image), tf.constant([-7, -9]), tf.constant([15, 15]))
    assert np.array_equal(window[0, ..., 0], expected)


def test_mirror_of_one_pixel_repeats_it() -> None:
    window = model_input.mirror(tf.ones([1, 1, 1, 1]), tf.constant([-2, -2]), tf.constant([5, 5]))
    assert np.array_equal(window, np.ones((1, 5, 5, 1)))


def test_frame_gives_a_valid_network_its_context() -> None:
    geometry = registry.geometry("unet", {"padding": "valid", "depth": 1})
    image, mask = tf.random.uniform([31, 20, 2]), tf.ones([31, 20], tf.uint8)
    framed, labels = model_input.frame(image, mask, geometry)
    # Depth 1 loses 8 pixels on each side; sizes are even: 31 becomes 32.
    assert framed.shape == (48, 36, 2)
    assert labels.shape == (32, 20)
    assert np.array_equal(framed[8:39, 8:28], image)
    assert np.all(labels[31] == IGNORE)
    assert np.all(labels[:31] == 1)


def test_a_tile_is_evaluated_with_surroundings_that_count_nowhere() -> None:
    image, mask = tf.random.uniform([5, 6, 1]), tf.ones([5, 6], tf.uint8)
    framed, labels = model_input.frame(image, mask, SAME, surroundings=3)
    # 5 + 2 * 3 = 11 becomes 12, a multiple of the stride 4; 6 + 2 * 3 is 12 already.
    assert framed.shape == (12, 12, 1)
    assert np.array_equal(framed, np.pad(image, [(3, 4), (3, 3), (0, 0)], mode="reflect"))
    assert np.all(labels[3:8, 3:9] == 1)
    assert np.sum(labels != IGNORE) == 30


@pytest.mark.parametrize(("channels", "dtype"), [(1, "uint8"), (3, "uint8"), (1, "uint16")])
def test_png_decodes_to_the_pixels_that_were_written(channels: int, dtype: str) -> None:
    top = np.iinfo(dtype).max
    image = np.random.default_rng(0).integers(0, top, (9, 7, channels), endpoint=True).astype(dtype)
    encoded = cv2.imencode(".png", image[..., ::-1])[1].tobytes()
    layout = Layout(channels, dtype, ("a", "b"))  # type: ignore[arg-type]
    assert np.array_equal(model_input.decode(tf.constant(encoded), layout), image)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_grey_model_takes_colour_as_ingestion_does(dtype: str) -> None:
    top = np.iinfo(dtype).max
    image = np.random.default_rng(1).integers(0, top, (9, 7, 3), endpoint=True).astype(dtype)
    encoded = cv2.imencode(".png", image[..., ::-1])[1].tobytes()
    layout = Layout(1, dtype, ("a", "b"))  # type: ignore[arg-type]
    given = model_input.decode(tf.constant(encoded), layout)
    assert np.array_equal(given, fit(image, 1, dtype))


def test_jpeg_decodes_as_opencv_does() -> None:
    smooth = cv2.GaussianBlur(
        np.random.default_rng(0).integers(0, 255, (40, 40, 3)).astype(np.uint8), (0, 0), 3
    )
    encoded = cv2.imencode(".jpg", smooth)[1]
    layout = Layout(3, "uint8", ("a", "b"))
    given = model_input.decode(tf.constant(encoded.tobytes()), layout)
    assert np.array_equal(given, cv2.imdecode(encoded, cv2.IMREAD_COLOR)[..., ::-1])


def weighted_records(file: Path, extras: tuple, **fields) -> Layout:
    """Four tiles of 8 x 8 whose pixels, mask and weight all tell where a pixel is."""
    layout = Layout(1, "uint8", tuple("abcdefgh"), extras=extras)
    rows = np.repeat(np.arange(8, dtype=np.uint8)[:, None], 8, axis=1)
    with tf.io.TFRecordWriter(str(file)) as writer:
        for number in range(4):
            image = (rows * 8 + rows.T * 1)[..., None] + np.uint8(40 * number)
            weight = (1 + rows).astype(np.float16)
            values = {"weight": weight, "source_weight": 0.5, **fields}
            if "repeats" in extras:
                values["repeats"] = 1 + 2 * (number == 1)
            writer.write(encode(Record(image, rows, f"{number}", "", (8, 8), **values), layout))
    return layout


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"elastic": True, "elastic_sigma": 1.5},
        {"elastic": True, "elastic_sigma": 1, "rotation": 20, "scale": 0.2, "shear": 5},
    ],
)
def test_weights_move_with_the_mask(tmp_path: Path, changes: dict[str, Any]) -> None:
    layout = weighted_records(tmp_path / "records", ("weight",))
    dataset = model_input.training_batches(
        [str(tmp_path / "records")],
        layout,
        SAME,
        TrainConfig(batch_size=2, crop=6),
        AugmentConfig(**changes),
        class_weights=[1.0] * 8,
    )
    for _, masks, weights in dataset.take(8):
        counts = masks.numpy() != IGNORE
        assert counts.any()
        # A pixel of row r has class r, weight 1 + r, and half of it, since its image counts half.
        expected = np.where(counts, (1.0 + masks.numpy()) * 0.5, 0) / counts.sum()
        assert np.allclose(weights, expected)


def test_an_image_s_weight_needs_no_map(tmp_path: Path) -> None:
    layout = weighted_records(tmp_path / "records", ())
    dataset = model_input.training_batches(
        [str(tmp_path / "records")],
        layout,
        SAME,
        TrainConfig(batch_size=4),
        AugmentConfig(),
        class_weights=[1.0] * 8,
    )
    (_, _, weights) = next(iter(dataset))
    assert np.allclose(weights, 0.5 / (4 * 8 * 8))
    # Evaluation weighs all alike.
    (_, _, weights) = next(
        iter(model_input.evaluation_batches([str(tmp_path / "records")], layout, SAME, 4))
    )
    assert np.isclose(np.sum(weights), 1)


def test_an_epoch_shows_a_rare_tile_more_often(tmp_path: Path) -> None:
    layout = weighted_records(tmp_path / "records", ("repeats",))
    dataset = model_input.training_batches(
        [str(tmp_path / "records")],
        layout,
        SAME,
        TrainConfig(batch_size=6),
        AugmentConfig(flip=False, quarter_turns=False),
        class_weights=[1.0] * 8,
    )
    # Three tiles once and one three times: six an epoch, in an order of its own each.
    epochs = [np.mean(images, axis=(1, 2, 3)) for images, _, _ in dataset.take(3)]
    for means in epochs:
        assert sorted(np.unique(means, return_counts=True)[1]) == [1, 1, 1, 3]
    assert not np.array_equal(epochs[0], epochs[1])
    # Evaluation takes each tile once.
    evaluated = model_input.evaluation_batches([str(tmp_path / "records")], layout, SAME, 6)
    assert [len(images) for images, _, _ in evaluated] == [4]


@pytest.mark.parametrize("alpha", ["drop", "white", "black"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_transparency_means_the_same_in_training_and_serving(
    alpha: str, channels: int, dtype: str
) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, np.iinfo(dtype).max, (9, 8, 4), dtype, endpoint=True)
    encoded = cv2.imencode(".png", pixels[..., [2, 1, 0, 3]])[1].tobytes()
    layout = Layout(channels, dtype, ("a", "b"), alpha=alpha)
    served = model_input.decode(tf.constant(encoded), layout).numpy()
    assert np.array_equal(served, fit(pixels, channels, dtype, alpha))
