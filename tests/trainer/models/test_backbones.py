from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.errors import InputError
from trainer.models import alexnet, backbones, weights
from trainer.models.options import FCN8sOptions


# Parameters without the classifier's last layers: ResNet50 and MobileNet by Keras; VGG16
# 14,714,688 and fc6 and fc7 of 8 channels, 7 * 7 * 512 * 8 + 8 and 8 * 8 + 8; SqueezeNet 1.1 has
# 1,235,496 with its last convolution of 512 * 1000 + 1000; AlexNet's five convolutions 2,334,080
# (worked out in test_fcn.py), fc6 6 * 6 * 256 * 8 + 8.
@pytest.mark.parametrize(
    ("name", "parameters", "channels"),
    [
        ("vgg16", 14_714_688 + 200_712 + 72, (256, 512, 8)),
        ("resnet50", 23_587_712, (512, 1024, 2048)),
        ("mobilenet", 218_544, (64, 128, 256)),
        ("squeezenet", 1_235_496 - 513_000, (256, 512, 512)),
        ("alexnet", 2_334_080 + 73_736 + 72, (96, 256, 8)),
    ],
)
def test_features_at_three_strides(name: str, parameters: int, channels: tuple[int, ...]) -> None:
    with tf.Graph().as_default():
        model = backbones.build(FCN8sOptions(backbone=name, alpha=0.25, fc_width=8))
        assert model.count_params() == parameters
        shapes = model.compute_output_shape((1, 64, 96, 3))
        assert [tuple(shape) for shape in shapes] == [
            (1, 64 // stride, 96 // stride, width) for stride, width in zip((8, 16, 32), channels)
        ]


def test_dense_layers_of_a_classifier_become_fc6_and_fc7(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A classifier whose dense layers have 8 channels each, as if that were what VGG16 has.
    monkeypatch.setattr(backbones, "_FC_WIDTH", 8)
    rng = np.random.default_rng(2)
    dense = {
        "fc1": [rng.normal(0, 0.01, (7 * 7 * 512, 8)).astype(np.float32), np.ones(8, np.float32)],
        "fc2": [rng.normal(0, 0.3, (8, 8)).astype(np.float32), np.ones(8, np.float32)],
    }
    random = backbones.build(FCN8sOptions(backbone="vgg16", fc_width=8))
    given = {**weights.of_model(random), **dense}
    del given["fc6"], given["fc7"]
    monkeypatch.setattr(weights, "read", lambda file: dict(given))
    model = backbones.build(FCN8sOptions(backbone="vgg16", fc_width=8, weights="vgg16.h5"))

    pool = keras.Model(model.input, model.get_layer("block5_pool").output)
    image = tf.random.stateless_normal([1, 224, 224, 3], [1, 2])
    # At 224 x 224 the features are 7 x 7; fc6 in their middle covers them all, as fc1 does.
    x = pool(image).numpy().reshape(-1)
    for kernel, bias in dense.values():
        x = np.maximum(x @ kernel + bias, 0)
    assert x.max() > 0
    assert np.allclose(model(image)[2][0, 3, 3], x, rtol=1e-3, atol=1e-4)

    del given["fc1"]
    with pytest.raises(InputError, match=r"does not hold weights of a vgg16: it has no layer fc6"):
        backbones.build(
            FCN8sOptions(backbone="vgg16", fc_width=8, weights="x.h5", train_backbone="frozen")
        )
    # To be fine-tuned they may begin at random.
    backbones.build(FCN8sOptions(backbone="vgg16", fc_width=8, weights="x.h5"))


def test_inputs_get_the_statistic_that_the_weights_were_trained_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, layer in (("squeezenet", "conv1"), ("mobilenet", "conv1")):
        random = backbones.build(FCN8sOptions(backbone=name, alpha=0.25))
        given = weights.of_model(random)
        monkeypatch.setattr(weights, "read", lambda file, given=given: given)
        model = backbones.build(FCN8sOptions(backbone=name, alpha=0.25, weights="file.h5"))
        seen = keras.Model(model.input, model.get_layer(layer).input)
        # One deviation above the mean in red, the mean in green and blue.
        told = seen(tf.constant([[[[1.0, 0.0, 0.0]]]])).numpy().ravel()
        if name == "squeezenet":
            # Blue, green, red, less the mean: red is 0.229 of 255 above it.
            assert np.allclose(told[:3], [0, 0, 58.395])
        else:
            # Between -1 and 1: 2 * (0.485 + 0.229) - 1, 2 * 0.456 - 1, 2 * 0.406 - 1.
            assert np.allclose(told[:3], [0.428, -0.088, -0.188], atol=1e-6)


def test_alexnets_weights_in_two_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"backbone": "alexnet", "fc_width": 4}
    given = weights.of_model(backbones.build(FCN8sOptions(**options)))
    for name in ("conv2", "conv4", "conv5"):
        # As Caffe and a Keras convolution of two groups keep them.
        (one, bias), (other, also) = given.pop(f"{name}_1"), given.pop(f"{name}_2")
        given[name] = [np.concatenate([one, other], -1), np.concatenate([bias, also])]
    expected = given["conv2"][0]
    assert expected.shape == (5, 5, 48, 256)
    monkeypatch.setattr(weights, "read", lambda file: dict(given))
    model = backbones.build(FCN8sOptions(**options, weights="alexnet.h5"))
    assert np.array_equal(model.get_layer("conv2_2").get_weights()[0], expected[..., 128:])


def test_local_response_normalisation_by_hand() -> None:
    x = np.zeros((1, 1, 1, 6), np.float32)
    x[..., 0], x[..., 1] = 3, 100
    found = alexnet.LocalResponseNormalization()(x).numpy().ravel()
    # Neighbours of channel 0 are channels 0 to 2: 3 / (2 + 1e-4 * (9 + 10000))^0.75; channel 3 and
    # what follows is 0.
    assert found[0] == pytest.approx(3 / (2 + 1.0009) ** 0.75, rel=1e-5)
    assert not found[2:].any()


def test_squeezenets_published_weights(shared_data: Path) -> None:
    file = shared_data / "weights" / "squeezenet_weights_tf_dim_ordering_tf_kernels_notop.h5"
    model = backbones.build(
        FCN8sOptions(backbone="squeezenet", weights=str(file), train_backbone="frozen")
    )
    found = weights.read(str(file))
    assert len(found["fire9_expand3x3"]) == 2
    for name in ("conv1", "fire2_squeeze1x1", "fire9_expand3x3"):
        kernel = model.get_layer(name).get_weights()[0]
        assert np.array_equal(kernel, found[name][0])
    assert not model.trainable_weights


def test_weights_of_another_network_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    keras.Sequential([keras.layers.Dense(2, input_shape=(3,), name="conv1")]).save_weights("x.h5")
    with pytest.raises(InputError, match=r"x\.h5 does not hold .*no layer fire2_squeeze1x1"):
        backbones.build(FCN8sOptions(backbone="squeezenet", weights="x.h5"))


@pytest.mark.parametrize("backbone", ["squeezenet", "alexnet"])
def test_keras_has_no_weights_of_these(backbone: str) -> None:
    with pytest.raises(ValueError, match=r"give a \.h5 file"):
        FCN8sOptions(backbone=backbone, weights="imagenet")


def test_a_failed_download_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(**options: object) -> None:
        raise Exception("URL fetch failure")  # as Keras does

    monkeypatch.setattr(keras.applications, "ResNet50", offline)
    options = FCN8sOptions(backbone="resnet50", weights="imagenet")
    with pytest.raises(InputError, match=r"resnet50 \(URL fetch failure\).*give the path"):
        backbones._downloaded(backbones._BACKBONES["resnet50"], options)
