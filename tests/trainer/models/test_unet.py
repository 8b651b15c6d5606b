from __future__ import annotations

import pytest

from trainer.models import registry
from trainer.models.options import UNetOptions

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
def test_geometry_foretells_the_output_size(depth: int, padding: str) -> None:
    options = {"width": 2, "depth": depth, "padding": padding}
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


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(ValueError, match="widht"):
        registry.options("unet", {"widht": 3})
