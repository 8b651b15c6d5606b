from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from components.records import Layout, Record, encode
from tests.trainer.conftest import blobs
from trainer.export import Exported, export
from trainer.models import registry

VALID = {"width": 4, "depth": 2, "padding": "valid", "normalisation": "none"}
SAME = {"width": 4, "depth": 2}


def model(options: dict) -> tf.keras.Model:
    tf.keras.utils.set_random_seed(3)
    return registry.build("unet", options, classes=2, mean=[90.0], deviation=[50.0])


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, layout: Layout):
    directory = str(tmp_path_factory.mktemp("export") / "1")
    built = model(SAME)
    geometry = registry.geometry("unet", SAME)
    image = tf.constant(blobs(0)[0])
    export(built, layout, geometry, directory, {"name": "cells"}, image)
    return built, directory


def png(image: np.ndarray) -> tf.Tensor:
    return tf.io.encode_png(image)


@pytest.mark.parametrize("size", [(70, 50), (64, 64), (13, 90)])
@pytest.mark.parametrize("depth", [2, 3])  # at depth 3 outputs are 4 more than multiples of 8
@pytest.mark.parametrize("upsampling", ["transposed", "resize"])
def test_tiles_of_a_valid_network_equal_the_whole_image(
    size: tuple[int, int], depth: int, upsampling: str, layout: Layout
) -> None:
    options = {**VALID, "depth": depth, "upsampling": upsampling}
    geometry = registry.geometry("unet", options)
    exported = Exported(model(options), layout, geometry, core=20)
    images = tf.random.stateless_uniform([2, *size, 1], [1, 2], maxval=255)
    whole = exported.logits(images)
    tiled = exported.tiled(images, tf.identity)
    assert tiled.shape == (2, *size, 2)
    # Equal up to the order in which a convolution of another size adds up.
    assert np.allclose(whole, tiled, atol=1e-4)


def test_tiles_of_a_padded_network_agree_with_the_whole_image_but_for_far_context(
    layout: Layout,
) -> None:
    geometry = registry.geometry("unet", SAME)
    # Context beyond the receptive field of this small network (depth 2: 44 pixels).
    exported = Exported(model(SAME), layout, geometry, core=32, context=48)
    images = tf.random.stateless_uniform([1, 160, 160, 1], [1, 2], maxval=255)
    inner = (slice(None), slice(48, 112), slice(48, 112))
    assert np.allclose(
        exported.logits(images)[inner], exported.tiled(images, tf.identity)[inner], atol=1e-4
    )


def test_signatures_agree_with_the_keras_model(saved, layout: Layout) -> None:
    built, directory = saved
    signatures = tf.saved_model.load(directory).signatures
    image, mask = blobs(5)
    # A padded network is shown 32 mirrored pixels around an image; 32 + 64 is a multiple of 4.
    around = np.pad(image, [(32, 32), (32, 32), (0, 0)], mode="reflect")
    logits = built(around[None].astype(np.float32))[:, 32:-32, 32:-32]
    expected = np.argmax(logits, axis=-1)[0]

    given = signatures["tensor"](image=tf.constant(image[None]))["mask"]
    assert given.dtype == tf.uint8
    assert np.array_equal(given[0], expected)

    other = blobs(6, size=40)[0]  # of another size, in one request
    answers = signatures["serving_default"](image_bytes=tf.stack([png(image), png(other)]))
    masks = [tf.io.decode_png(answer)[..., 0] for answer in answers["mask_bytes"]]
    assert np.array_equal(masks[0], expected)
    assert masks[1].shape == (40, 40)

    probabilities = signatures["probabilities"](image_bytes=png(image)[None])["probabilities"]
    assert probabilities.dtype == tf.float32
    assert np.allclose(probabilities, tf.nn.softmax(logits), atol=1e-5)

    record = encode(Record(image, mask, "5", "", mask.shape), layout)
    counts = signatures["evaluate"](examples=tf.constant([record, record]))["confusion"]
    # Counted pixel by pixel; the ignored corner is 255 and meets no row.
    by_hand = [[np.sum((mask == a) & (expected == b)) for b in (0, 1)] for a in (0, 1)]
    assert counts.dtype == tf.int64
    assert counts.numpy().tolist() == [np.ravel(by_hand).tolist()] * 2
    assert np.sum(by_hand) == 32 * 32 - 16


def test_an_image_of_any_size_is_answered(saved) -> None:
    signatures = tf.saved_model.load(saved[1]).signatures
    for size in ((1, 1), (5, 33), (1030, 40)):
        image = tf.zeros([1, *size, 1], tf.uint8)
        assert signatures["tensor"](image=image)["mask"].shape == (1, *size)


def test_what_lies_beside_the_model(saved, layout: Layout) -> None:
    from tensorflow_serving.apis import prediction_log_pb2

    extra = Path(saved[1]) / "assets.extra"
    description = json.loads((extra / "overtile.json").read_text())
    assert description["name"] == "cells"
    assert Layout.from_json(description["layout"]) == layout

    asked = set()
    signatures = tf.saved_model.load(saved[1]).signatures
    for log in tf.data.TFRecordDataset(str(extra / "tf_serving_warmup_requests")):
        request = prediction_log_pb2.PredictionLog.FromString(log.numpy()).predict_log.request
        (name, value), *_ = request.inputs.items()
        answer = signatures[request.model_spec.signature_name](
            **{name: tf.constant(tf.make_ndarray(value))}
        )
        assert answer
        asked.add(request.model_spec.signature_name)
    assert asked == {"tensor", "serving_default", "probabilities"}
