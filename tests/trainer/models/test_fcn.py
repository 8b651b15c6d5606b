from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.errors import InputError
from tests.trainer.conftest import LAYOUT
from tests.trainer.models import checks
from trainer import warm_start
from trainer.config import ModelConfig
from trainer.export import export
from trainer.models import registry
from trainer.models.fcn import Bilinear, bilinear_kernel
from trainer.models.options import FCN8sOptions, FCN16sOptions, FCN32sOptions

NETS = ("fcn32s", "fcn16s", "fcn8s")
MOBILENET = {"alpha": 0.25}
# Without batch normalisation, so that one record is learnt in a few steps.
SQUEEZENET = {"backbone": "squeezenet"}
# Few layers, so that an export takes little time.
ALEXNET = {"backbone": "alexnet", "fc_width": 8, "dropout": 0.1}


def test_sizes_and_parameters() -> None:
    model = registry.build("fcn8s", MOBILENET, classes=5, mean=[0.0] * 3, deviation=[1.0] * 3)
    assert model.compute_output_shape((2, 64, 96, 3)) == (2, 64, 96, 5)
    assert model.compute_output_shape((1, 32, 32, 3)) == (1, 32, 32, 5)
    # MobileNet of alpha 0.25 without its top has 218,544 parameters (Keras). Scores from 256, 128
    # and 64 channels: 5 * (257 + 129 + 65) = 2255. Up-sampling by 2, 2 and 8 from 5 to 5
    # channels: 25 * (16 + 16 + 256) = 7200.
    assert model.count_params() == 218_544 + 2255 + 7200


# The paper's tables 1 and 3 say 134 million for VGG16 and 57 million for AlexNet, of 21 classes.
# VGG16's convolutions have 14,714,688 parameters; fc6 is 7 * 7 * 512 * 4096 + 4096, fc7
# 4096 * 4096 + 4096, scores are 4096 * 21 + 21, 512 * 21 + 21 and 256 * 21 + 21.
VGG16S = 14_714_688 + 102_764_544 + 16_781_312 + 86_037
SCORE_16, SCORE_8 = 10_773, 5_397
# AlexNet: conv1 11 * 11 * 3 * 96 + 96 = 34,944; conv2 (two groups) 5 * 5 * 48 * 256 + 256 =
# 307,456; conv3 3 * 3 * 256 * 384 + 384 = 885,120; conv4 (groups) 3 * 3 * 192 * 384 + 384 =
# 663,936; conv5 (groups) 3 * 3 * 192 * 256 + 256 = 442,624; fc6 6 * 6 * 256 * 4096 + 4096 =
# 37,752,832.
ALEXNETS = 34_944 + 307_456 + 885_120 + 663_936 + 442_624 + 37_752_832 + 16_781_312 + 86_037


def up(factor: int) -> int:
    return 21 * 21 * (2 * factor) ** 2


@pytest.mark.parametrize(
    ("name", "backbone", "network", "upsampling"),
    [
        ("fcn32s", "vgg16", VGG16S, up(32)),
        ("fcn16s", "vgg16", VGG16S + SCORE_16, up(2) + up(16)),
        ("fcn8s", "vgg16", VGG16S + SCORE_16 + SCORE_8, 2 * up(2) + up(8)),
        ("fcn32s", "alexnet", ALEXNETS, up(32)),
    ],
)
def test_the_papers_nets_have_their_parameters(
    name: str, backbone: str, network: int, upsampling: int
) -> None:
    # In a graph that nobody runs, so that half a gigabyte of weights is never made.
    with tf.Graph().as_default():
        options = {"backbone": backbone, "last_upsampling": "bilinear"}
        model = registry.build(name, options, classes=21, mean=[0.0] * 3, deviation=[1.0] * 3)
        assert model.count_params() == network + upsampling
    assert round(network / 1e6) == (134 if backbone == "vgg16" else 57)


def test_the_papers_options() -> None:
    paper = FCN8sOptions.paper()
    assert (paper.backbone, paper.fc_width, paper.dropout) == ("vgg16", 4096, 0.5)
    assert [options.finest for options in (FCN32sOptions, FCN16sOptions, FCN8sOptions)] == [
        32,
        16,
        8,
    ]


@pytest.mark.parametrize("name", NETS)
def test_images_of_any_size(name: str) -> None:
    checks.check_sizes(name, ALEXNET)


@pytest.mark.parametrize("channels", [1, 2])
def test_other_channels_reach_the_backbones_three(channels: int) -> None:
    model = checks.built("fcn8s", ALEXNET, channels=channels)
    assert model(tf.zeros([1, 32, 32, channels])).shape == (1, 32, 32, 2)


@pytest.mark.parametrize("name", NETS)
def test_one_record_is_learnt(name: str) -> None:
    checks.check_overfits(name, SQUEEZENET, size=64, learning_rate=0.001)


@pytest.mark.parametrize("name", NETS)
def test_an_export_answers_as_the_model(name: str, tmp_path: Path) -> None:
    checks.check_export(name, ALEXNET, tmp_path)


def test_a_finer_net_begins_with_what_the_coarser_one_says() -> None:
    coarse, fine = (checks.built(name, ALEXNET, seed=seed) for seed, name in enumerate(NETS[:2]))
    for layer in coarse.layers:
        if layer.name in ("alexnet", "score_32"):
            fine.get_layer(layer.name).set_weights(layer.get_weights())
    image = tf.random.stateless_uniform([1, 64, 64, 1], [1, 2], maxval=255)
    scores = [
        keras.Model(model.input, model.get_layer("score_32").output)(image)
        for model in (coarse, fine)
    ]
    assert np.array_equal(*scores)
    assert np.ptp(scores[0]) > 0
    # The skip begins at zero and the up-sampling bilinear.
    fused = keras.Model(fine.input, fine.get_layer("fuse_16").output)(image)
    doubled = keras.layers.Conv2DTranspose(
        2, 4, strides=2, padding="same", use_bias=False, kernel_initializer=Bilinear()
    )(scores[0])
    assert np.allclose(fused, doubled, atol=1e-6)


def test_layers_are_named_alike_in_the_three_nets() -> None:
    names = [
        {layer.name for layer in checks.built(name, ALEXNET).layers if layer.weights}
        for name in NETS
    ]
    # From 32s to 16s all but the last up-sampling, from 16s to 8s too.
    assert names[0] - names[1] == {"upsample_32_by_32"}
    assert names[1] - names[0] == {"upsample_32_by_2", "score_16", "upsample_16_by_16"}
    assert names[1] - names[2] == {"upsample_16_by_16"}
    assert names[2] - names[1] == {"upsample_16_by_2", "score_8", "upsample_8_by_8"}


def test_fcn_16s_starts_from_an_exported_fcn_32s(tmp_path: Path) -> None:
    coarse = checks.built("fcn32s", ALEXNET, seed=1)
    config = {"name": "fcn32s", "options": ALEXNET, "normalise": "data_set"}
    export(
        coarse,
        LAYOUT,
        registry.geometry("fcn32s", ALEXNET),
        str(tmp_path / "1"),
        {"model": config, "statistics": {"mean": [90.0], "deviation": [50.0]}},
        tf.zeros([32, 32, 1], tf.uint8),
    )
    fine = checks.built("fcn16s", ALEXNET, seed=2)
    wanted = ModelConfig(name="fcn16s", options=ALEXNET)
    taken = warm_start.start(fine, str(tmp_path / "1"), wanted)
    # Eight convolutions, fc6, fc7 and the score; not the second score and two up-samplings.
    assert (taken.layers, taken.of) == (11, 14)
    for name in ("alexnet", "score_32"):
        pairs = zip(*(model.get_layer(name).get_weights() for model in (coarse, fine)))
        assert all(np.array_equal(one, other) for one, other in pairs)
    assert not np.any(fine.get_layer("score_16").get_weights()[0])


def test_a_frozen_backbone_keeps_weights_and_statistics() -> None:
    model = checks.built("fcn16s", {**MOBILENET, "train_backbone": "frozen"})
    backbone = model.get_layer("mobilenet")
    before = [model.get_layer("score_32").get_weights()[1], *backbone.get_weights()]
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
    images = np.random.default_rng(1).uniform(0, 255, (2, 32, 32, 1))
    model.fit(images, np.ones((2, 32, 32, 2)), verbose=0)
    after = [model.get_layer("score_32").get_weights()[1], *backbone.get_weights()]
    # The score's bias has learnt; no weight of the backbone has changed, nor a moving statistic.
    assert not np.array_equal(before[0], after[0])
    assert all(np.array_equal(one, other) for one, other in zip(before[1:], after[1:]))


def test_a_bilinear_last_upsampling_is_not_learnt() -> None:
    for way, learnt in (("learnt", True), ("bilinear", False)):
        model = checks.built("fcn16s", {**ALEXNET, "last_upsampling": way})
        names = {weight.name.split("/")[0] for weight in model.trainable_weights}
        assert "upsample_32_by_2" in names
        assert ("upsample_16_by_16" in names) == learnt


def test_scaled_skips_are_weaker() -> None:
    model = checks.built("fcn8s", {**ALEXNET, "scale_skips": True})
    assert model.get_layer("scale_16").scale == 0.01
    assert model.get_layer("scale_8").scale == 0.0001
    # They are at the skips alone, and before the scores.
    assert model.get_layer("score_16").input is model.get_layer("scale_16").output
    assert "scale_32" not in [layer.name for layer in model.layers]


def test_the_bilinear_kernel_by_hand() -> None:
    # Doubling: taps at 1.5, 0.5, 0.5 and 1.5 output pixels from the centre weigh 1/4, 3/4, ...
    line = np.array([0.25, 0.75, 0.75, 0.25])
    kernel = bilinear_kernel(2, 2)
    assert np.allclose(kernel[:, :, 0, 0], np.outer(line, line))
    assert np.allclose(kernel[:, :, 1, 1], np.outer(line, line))
    assert not kernel[:, :, 0, 1].any()
    assert np.array_equal(Bilinear()((4, 4, 2, 2)), kernel)


def test_weights_of_a_file_are_loaded(shared_data: Path) -> None:
    file = shared_data / "weights" / "mobilenet_2_5_224_tf_no_top.h5"
    options = {**MOBILENET, "weights": str(file)}
    image = tf.random.stateless_uniform([1, 64, 64, 3], [1, 2])
    built = [
        registry.build("fcn8s", options, classes=2, mean=[0.5] * 3, deviation=[0.25] * 3)
        for _ in range(2)
    ]
    features = [model.get_layer("mobilenet")(image)[0] for model in built]
    assert np.array_equal(*features)  # random weights would differ
    # Over features that are trained the first scores are 0, over random ones they are not.
    assert not np.any(built[0](image))
    random = registry.build("fcn8s", MOBILENET, classes=2, mean=[0.5] * 3, deviation=[0.25] * 3)
    assert np.any(random(image))
    with pytest.raises(InputError, match=r"alpha 0\.5"):
        registry.build(
            "fcn8s", {**options, "alpha": 0.5}, classes=2, mean=[0.5] * 3, deviation=[0.25] * 3
        )


def test_a_missing_file_of_weights_is_named() -> None:
    with pytest.raises(InputError, match=r"there is no file none\.h5"):
        registry.build(
            "fcn8s", {"weights": "none.h5"}, classes=2, mean=[0.0] * 3, deviation=[1.0] * 3
        )
