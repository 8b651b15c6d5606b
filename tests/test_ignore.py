"""A pixel labelled ignore counts nowhere: one record through every place that counts pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from components.evaluation import confusion
from components.records import IGNORE, Layout, Record, encode
from trainer import metrics
from trainer.export import Exported
from trainer.losses import Loss, pixel_weights
from trainer.models.registry import Geometry
from trainer.statistics import Statistics, class_weights

LAYOUT = Layout(channels=1, dtype="uint8", classes=("dark", "bright"))

# Bright is 1. The model below calls bright what is above 100: one of four labelled pixels is
# called wrongly, and so would both ignored ones be, whatever their label.
IMAGE = np.array([[10, 200, 90], [220, 0, 255]], np.uint8)[..., None]
MASK = np.array([[0, 1, 1], [1, IGNORE, IGNORE]], np.uint8)
PREDICTION = (IMAGE[..., 0] > 100).astype(np.uint8)


@pytest.fixture(scope="module")
def serialized() -> bytes:
    return encode(Record(IMAGE, MASK, "one", "", MASK.shape), LAYOUT)


def logits() -> tf.Tensor:
    """Probability 3/4 for what the model calls a pixel."""
    return tf.one_hot(PREDICTION, 2) * math.log(3)


def test_class_pixels_frequencies_and_weights(serialized: bytes) -> None:
    example = tf.train.Example.FromString(serialized)
    pixels = example.features.feature["mask/class_pixels"].int64_list.value
    assert list(pixels) == [1, 3, 2]
    statistics = Statistics((), (), pixels[:-1], (4, 4))
    # With the ignored pixels the shares would be 1/6 and 3/6.
    assert class_weights(statistics, "inverse") == pytest.approx([2, 2 / 3])


def test_loss(serialized: bytes) -> None:
    del serialized
    weights = pixel_weights(tf.constant(MASK[None]), tf.ones(2))

    def loss(name: str) -> float:
        return float(Loss({name: 1.0})(MASK[None], logits()[None], sample_weight=weights))

    # Three of four right: -(3 ln 3/4 + ln 1/4) / 4. Over six pixels it would be divided by 6.
    entropy = -(3 * math.log(3 / 4) + math.log(1 / 4)) / 4
    assert loss("cross_entropy") == pytest.approx(entropy, rel=1e-6)
    # Dark is guessed 2 * 3/4 + 2 * 1/4 = 2 in four pixels, 3/4 of it rightly: 2 * 3/4 / (1 + 2) =
    # 1/2. Bright is guessed 2 as well, 2 * 3/4 + 1/4 rightly: 2 * 7/4 / (3 + 2) = 7/10.
    assert loss("dice") == pytest.approx((1 / 2 + 3 / 10) / 2, rel=1e-6)


def test_training_metric() -> None:
    metric = metrics.MeanIoU(classes=2)
    metric.update_state(MASK[None], logits()[None])
    # Dark: 1 right, 1 bright called dark: 1/2. Bright: 2 right of 3: 2/3.
    assert float(metric.result()) == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_evaluation_by_the_exported_model(serialized: bytes) -> None:
    inputs = tf.keras.Input((None, None, 1))
    bright = tf.keras.layers.Lambda(lambda x: tf.concat([100 - x, x - 100], -1))(inputs)
    exported = Exported(tf.keras.Model(inputs, bright), LAYOUT, Geometry(stride=1))
    counted = exported.evaluate(tf.constant([serialized]))["confusion"].numpy().reshape(2, 2)
    assert counted.tolist() == [[1, 0], [1, 2]]
    assert confusion.confusion(MASK, PREDICTION, 2).tolist() == counted.tolist()
    found = confusion.metrics(counted, LAYOUT.classes)
    assert found["mean_iou"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert found["pixel_accuracy"] == pytest.approx(3 / 4)
