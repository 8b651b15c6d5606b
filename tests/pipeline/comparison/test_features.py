from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from components.errors import InputError
from components.records import Layout
from pipeline.comparison import features
from tests.pipeline.comparison.conftest import Make
from trainer.models import registry


@pytest.fixture(scope="module")
def unet() -> keras.Model:
    return registry.build("unet", {"width": 4, "depth": 2}, 3, [0.0], [1.0])


def test_the_default_is_what_the_scores_are_made_of(unet: keras.Model) -> None:
    layer = unet.get_layer(features.default(unet))
    # The last activation: four channels, from which three scores are made.
    assert layer.output.shape[-1] == 4
    assert unet.layers[-1].input is layer.output


def test_of_several_scores_those_that_come_last() -> None:
    inputs = keras.Input((None, None, 1))
    fine = layers.Conv2D(8, 3, padding="same", name="fine")(inputs)
    coarse = layers.Conv2D(8, 3, strides=2, padding="same", name="coarse")(fine)
    up = layers.UpSampling2D(name="up")(layers.Conv2D(2, 1, name="score_2")(coarse))
    later = layers.Conv2D(8, 3, padding="same", name="later")(fine)
    outputs = layers.Add()([up, layers.Conv2D(2, 1, name="score_1")(later)])
    assert features.default(keras.Model(inputs, outputs)) == "later"


def test_layers_of_a_model_inside() -> None:
    part_input = keras.Input((None, None, 1))
    hidden = layers.Conv2D(5, 3, padding="same", name="hidden")(part_input)
    part = keras.Model(part_input, layers.Conv2D(6, 1, name="given")(hidden), name="part")
    inputs = keras.Input((None, None, 1))
    doubled = layers.Rescaling(2.0, name="doubled")(inputs)
    model = keras.Model(inputs, layers.Conv2D(2, 1, name="score")(part(doubled)))
    assert list(features.tensors(model)) == ["doubled", "part/hidden", "part/given", "score"]
    assert features.default(model) == "part/given"
    image = np.ones((1, 4, 4, 1), np.float32)
    inner = features._inner(model, "part/hidden")(image).numpy()
    # What it is given there is twice the image.
    assert inner == pytest.approx(part.get_layer("hidden")(2 * image).numpy(), abs=1e-6)


def test_channels_that_vary_most_come_first(unet: keras.Model, make_run: Make) -> None:
    run = make_run(layout=Layout(1, "uint8", ("a", "b", "c")))
    run.training["settings"]["model"]["options"] = {"width": 4, "depth": 2}
    image = np.random.default_rng(0).integers(0, 255, (30, 41, 1)).astype(np.uint8)
    found = features.of_image(unet, run, image, [])
    # 30 x 41 is extended to multiples of 4.
    assert (found.shape, found.stride, found.fallback) == ((32, 44, 4), 1, False)
    assert sorted(number for number, _ in found.channels) == [0, 1, 2, 3]
    assert all(uri.startswith("data:image/webp;base64,") for _, uri in found.channels)
    # The largest maps of the second level.
    pooled = next(layer.name for layer in unet.layers if isinstance(layer, layers.MaxPooling2D))
    chosen = features.of_image(unet, run, image, ["no_such_layer", pooled])
    assert (chosen.layer, chosen.stride, chosen.fallback) == (pooled, 2, False)
    assert features.of_image(unet, run, image, ["no_such_layer"]).fallback


def test_a_layer_that_no_model_has_is_refused(unet: keras.Model) -> None:
    features.refuse_unknown([unet], ["net"], [features.default(unet)])
    with pytest.raises(InputError, match="--layer nothing: no model has such a layer; there are"):
        features.refuse_unknown([unet], ["net"], ["nothing"])
