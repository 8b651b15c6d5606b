from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.trainer.models import checks
from trainer.models import atrous, registry
from trainer.models.options import DeepLabV3Options

SMALL = {"backbone": "mobilenet", "alpha": 0.125}
V3 = {**SMALL, "channels": 16, "rates": [1, 2]}
V2 = {**SMALL, "rates": [1, 2]}
CRF = {"iterations": 3, "bilateral_deviation": 20, "colour_deviation": 25}


# Parameters of the backbones without their last layers (Keras).
@pytest.mark.parametrize(
    ("backbone", "parameters"), [("resnet50", 23_587_712), ("mobilenet", 3_228_864)]
)
def test_parameters_of_v2(backbone: str, parameters: int) -> None:
    model = checks.built("deeplab_v2", {"backbone": backbone}, classes=21, channels=3)
    # Four 3 x 3 convolutions from the last features to 21 scores.
    features = {"resnet50": 2048, "mobilenet": 1024}[backbone]
    assert model.count_params() == parameters + 4 * (9 * features * 21 + 21)


def test_parameters_of_v2_on_vgg16() -> None:
    model = checks.built("deeplab_v2", {"backbone": "vgg16"}, classes=21, channels=3)
    # VGG16's convolutions; for each of four rates fc6 (3 x 3, 512 -> 1024), fc7 and the scores.
    branch = 9 * 512 * 1024 + 1024 + 1024 * 1024 + 1024 + 1024 * 21 + 21
    assert model.count_params() == 14_714_688 + 4 * branch == 37_877_652


def test_parameters_of_v3() -> None:
    model = checks.built("deeplab_v3", {}, classes=21, channels=3)
    # From 2048 features to 256: two 1 x 1 convolutions and three 3 x 3 without bias; then 5 * 256
    # to 256; each followed by batch normalisation, 4 values a channel. Scores: 257 * 21.
    pyramid = (2 + 3 * 9) * 2048 * 256 + 5 * 256 * 256 + 6 * 4 * 256
    assert model.count_params() == 23_587_712 + pyramid + 257 * 21 == 39_131_285


@pytest.mark.parametrize("stride", [8, 16])
@pytest.mark.parametrize(("name", "options"), [("deeplab_v2", V2), ("deeplab_v3", V3)])
def test_sizes(name: str, options: dict, stride: int) -> None:
    options = {**options, "output_stride": stride}
    checks.check_sizes(name, options, sizes=((64, 64), (stride, 5 * stride)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options", "records"),
    [
        ("deeplab_v2", V2, 1),
        ("deeplab_v3", {**V3, "image_mean": False}, 1),
        # Batch normalisation of the image's mean has one value a record.
        ("deeplab_v3", V3, 4),
    ],
)
def test_few_records_are_overfitted(name: str, options: dict, records: int) -> None:
    checks.check_overfits(name, {**options, "output_stride": 8}, size=64, records=records)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), [("deeplab_v2", V2), ("deeplab_v3", V3)])
def test_the_export_answers_alike(name: str, options: dict, tmp_path: Path) -> None:
    checks.check_export(name, {**options, "crf": CRF}, tmp_path)


@pytest.mark.parametrize("backbone", ["vgg16", "resnet50", "mobilenet"])
def test_an_atrous_network_gives_what_the_strided_one_gives_and_more(backbone: str) -> None:
    def network(output_stride: int) -> keras.Model:
        options = {"backbone": backbone, "alpha": 0.25, "output_stride": output_stride}
        given = DeepLabV3Options(**{**options, "output_stride": 16}).model_dump()
        return atrous.build(DeepLabV3Options.model_construct(**{**given, **options}))

    strided = network(32)  # which is not offered, and takes nothing out
    if backbone == "mobilenet":
        _brighten(strided)
    image = tf.random.stateless_normal([1, 64, 96, 3], [1, 2])
    coarse = strided(image)
    assert np.std(coarse) > 0
    for output_stride in (8, 16):
        finer = network(output_stride)
        finer.set_weights(strided.get_weights())
        fine = finer(image)
        assert fine.shape[1:3] == (64 // output_stride, 96 // output_stride)
        step = fine.shape[1] // coarse.shape[1]
        scale = np.std(coarse)
        assert np.allclose(fine[:, ::step, ::step] / scale, coarse / scale, atol=1e-3)


def test_multi_grid_multiplies_the_last_rates() -> None:
    network = atrous.build(DeepLabV3Options(), (1, 2, 4))
    rates = [network.get_layer(f"conv5_block{block}_2_conv").dilation_rate for block in (1, 2, 3)]
    assert rates == [(2, 2), (4, 4), (8, 8)]
    assert network.get_layer("conv4_block6_2_conv").dilation_rate == (1, 1)


def test_the_rates_double_at_half_the_stride() -> None:
    for stride, rates in ((16, [6, 12, 18]), (8, [12, 24, 36])):
        model = checks.built("deeplab_v3", {**SMALL, "output_stride": stride})
        found = [model.get_layer(f"pyramid_rate{rate}").dilation_rate[0] for rate in (6, 12, 18)]
        assert found == rates


@pytest.mark.parametrize("image_mean", [True, False])
def test_the_pyramid_sees_the_whole_image_by_its_mean_alone(image_mean: bool) -> None:
    model = checks.built("deeplab_v3", {**V3, "image_mean": image_mean})
    _brighten(model)
    image = np.zeros((1, 256, 32, 1), np.float32)
    changed = image.copy()
    changed[0, -4:, -4:] = 255
    # 250 pixels away, further than the backbone and rates of 1 and 2 features reach.
    before, after = model(image)[0, 0, 0], model(changed)[0, 0, 0]
    difference = np.abs(before - after).max() / np.abs(before).max()
    assert (difference > 1e-3) == image_mean


def test_a_frozen_backbone_is_not_trained() -> None:
    model = checks.built("deeplab_v3", {**V3, "train_backbone": "frozen"})
    assert not model.get_layer("mobilenet").trainable_weights
    assert model.trainable_weights


def _brighten(model: keras.Model) -> None:
    """Random weights have MobileNet's features fade from layer to layer, to 1e-15 at the end."""
    for weight in model.weights:
        if "gamma" in weight.name:
            weight.assign(3 * weight)


def test_an_unknown_option_of_the_crf_is_refused() -> None:
    with pytest.raises(ValueError, match="sigma"):
        registry.options("deeplab_v2", {"crf": {"sigma": 3}})
