from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from tests.trainer.models import checks
from trainer.layer_graph import trace
from trainer.models import registry
from trainer.models.options import UNetOptions
from trainer.receptive_field import ReceptiveField, receptive_field

PAPER = UNetOptions.paper().model_dump()


def test_the_papers_unet_has_its_size_and_parameters() -> None:
    model = registry.build("unet", PAPER, classes=2, mean=[0.0], deviation=[1.0])
    assert model.compute_output_shape((1, 572, 572, 1)) == (1, 388, 388, 2)
    assert model.compute_output_shape((1, 700, 572, 1)) == (1, 516, 388, 2)
    # A 3 x 3 convolution from a to b channels has 9ab + b parameters, a 2 x 2 up-convolution
    # 4ab + b. Down: 1 -> 64 -> 64 is 640 + 36928; then a -> 2a -> 2a for a = 64 to 512:
    #   221440 + 885248 + 3539968 + 14157824. Up: from 2b to b for b = 512 to 64: the
    #   up-convolution 8bb + b, convolutions 2b -> b -> b 18bb + b + 9bb + b, together 35bb + 3b:
    #   9176576 + 2294528 + 573824 + 143552. Last: 64 * 2 + 2 = 130.
    down = 37568 + 221440 + 885248 + 3539968 + 14157824
    up = 9176576 + 2294528 + 573824 + 143552
    assert model.count_params() == down + up + 130 == 31_030_658


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("upsampling", ["transposed", "resize"])
def test_geometry_foretells_the_output_size(depth: int, padding: str, upsampling: str) -> None:
    options = {"width": 2, "depth": depth, "padding": padding, "upsampling": upsampling}
    geometry = registry.geometry("unet", options)
    model = registry.build("unet", options, classes=3, mean=[0.0], deviation=[1.0])
    for wanted in (1, 37, 64):
        given, size = geometry.input_size(wanted), geometry.output_size(wanted)
        assert size >= wanted
        assert size - wanted < geometry.stride
        assert model.compute_output_shape((1, given, given, 1)) == (1, size, size, 3)


def test_the_papers_geometry() -> None:
    geometry = registry.geometry("unet", PAPER)
    assert geometry.input_size(388) == 572
    # The next size is a stride of 16 further.
    assert (geometry.input_size(389), geometry.output_size(389)) == (588, 404)


def test_parameters_with_resize() -> None:
    model = registry.build(
        "unet", {**PAPER, "upsampling": "resize"}, classes=2, mean=[0.0], deviation=[1.0]
    )
    # The up-convolution from 2b to b channels has 9 * 2bb in the place of 4 * 2bb: 10bb more for
    # b = 512, 256, 128, 64, whose squares add up to 348160.
    assert model.count_params() == 31_030_658 + 10 * 348_160


def test_group_normalisation_looks_at_one_image_alone() -> None:
    options = {"width": 12, "depth": 1, "normalisation": "group"}
    model = registry.build("unet", options, classes=2, mean=[0.0], deviation=[1.0])
    # Two values a channel after each of six convolutions, which have no offsets for it: 12, 24 and
    # 12 channels; 9ab from a to b channels, 2 x 2 up-convolution 4 * 24 * 12 + 12, score 26.
    convolutions = 9 * (1 * 12 + 12 * 12 + 12 * 24 + 24 * 24 + 24 * 12 + 12 * 12)
    assert model.count_params() == convolutions + 2 * 2 * (12 + 24 + 12) + 4 * 24 * 12 + 12 + 26
    assert [layer.groups for layer in model.layers if "_norm" in layer.name] == [4, 4, 8, 8, 4, 4]

    images = np.random.default_rng(0).normal(size=(2, 8, 8, 1)).astype(np.float32)
    images[1] *= 10
    for training in (False, True):
        together = model(images, training=training).numpy()
        alone = model(images[:1], training=training).numpy()
        np.testing.assert_allclose(together[:1], alone, atol=1e-5)


def test_with_group_normalisation_each_pixel_sees_the_whole_image() -> None:
    def field(normalisation: str) -> ReceptiveField:
        options = {"width": 4, "depth": 1, "normalisation": normalisation}
        model = registry.build("unet", options, classes=2, mean=[0.0], deviation=[1.0])
        return receptive_field(trace(model, [(None, 64, 64, 1)]))

    # From the last: two convolutions see 5 pixels, which were up-sampled from 3; two more see 7 of
    # those, which were pooled from 14, and the first two 18.
    assert field("batch") == field("none") == ReceptiveField(18, 18, 2)
    assert field("group") == ReceptiveField(None, None, 2)


def test_resize_leaves_no_checkerboard_on_an_even_image() -> None:
    def contrast(upsampling: str) -> float:
        keras.utils.set_random_seed(3)
        options = {"width": 4, "depth": 2, "normalisation": "none", "upsampling": upsampling}
        model = registry.build("unet", options, classes=2, mean=[0.0], deviation=[1.0])
        # Away from the border, whose padding reaches 44 pixels inwards.
        inner = model(np.ones((1, 128, 128, 1), np.float32)).numpy()[:, 48:80, 48:80]
        return float(np.ptp(inner, axis=(1, 2)).max())

    assert contrast("transposed") > 0.01
    assert contrast("resize") < 1e-5


@pytest.mark.parametrize(
    "options", [{}, {"upsampling": "resize"}, {"normalisation": "group"}], ids=str
)
def test_one_record_is_overfitted(options: dict[str, str]) -> None:
    checks.check_overfits("unet", {"width": 4, "depth": 2, **options})


@pytest.mark.parametrize("option", [{"upsampling": "resize"}, {"normalisation": "group"}], ids=str)
def test_the_export_answers_alike(option: dict[str, str], tmp_path: Path) -> None:
    options = {"width": 4, "depth": 2, "padding": "valid", **option}
    checks.check_export("unet", options, tmp_path)


def test_dropout_is_at_the_end_of_the_contracting_path() -> None:
    model = registry.build("unet", PAPER, classes=2, mean=[0.0], deviation=[1.0])
    names = [layer.name for layer in model.layers]
    # After the last two pairs of convolutions, as in the authors' network; nowhere else.
    for block in ("down3", "bottom"):
        assert names.index(f"{block}_dropout") == names.index(f"{block}_relu2") + 1
    assert sum("dropout" in name for name in names) == 2


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(ValueError, match="widht"):
        registry.options("unet", {"widht": 3})
