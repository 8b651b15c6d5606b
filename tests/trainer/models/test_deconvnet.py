from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.trainer.models import checks
from trainer.models import registry

SMALL = {"width": 2, "fc_width": 8}


def test_the_papers_parameters() -> None:
    model = checks.built("deconvnet", {}, classes=21, channels=3)
    # The encoder's are VGG16's 14714688 (see SegNet). fc6, its transposed one and fc7:
    #   49 * 512 * 4096 + 4096 + 49 * 4096 * 512 + 512 + 4096 * 4096 + 4096 = 222306816. The
    #   decoder's transposed convolutions: 5 of 512 -> 512 (2359808), 512 -> 256 (1179904), 2 of
    #   256 -> 256 (590080), 256 -> 128 (295040), 128 -> 128 (147584), 128 -> 64 (73792), 2 of
    #   64 -> 64 (36928), together 14749376. Scores: 64 * 21 + 21 = 1365. The paper: 252 million.
    weights = 14_714_688 + 222_306_816 + 14_749_376 + 1365
    assert weights == 251_772_245
    # Batch normalisation: 4 values for each of 4224 channels of the encoder, 4096 + 4096 + 512 in
    #   the middle, and 5 * 512 + 3 * 256 + 2 * 128 + 3 * 64 = 3776 of the decoder.
    assert model.count_params() == weights + 4 * (4224 + 8704 + 3776)


def test_sizes() -> None:
    assert registry.geometry("deconvnet", {}).output_size(100) == 224
    checks.check_sizes("deconvnet", SMALL, sizes=((224, 224), (256, 288)))


@pytest.mark.slow
def test_one_record_is_overfitted() -> None:
    # At 224 the dense layers have one place in the image, and batch normalisation nothing to go by.
    checks.check_overfits("deconvnet", {"width": 4, "fc_width": 16}, size=256)


def test_the_export_answers_alike(tmp_path: Path) -> None:
    checks.check_export("deconvnet", SMALL, tmp_path)


def test_the_decoder_mirrors_table_2() -> None:
    model = checks.built("deconvnet", SMALL)
    names = [layer.name for layer in model.layers if "transposed" in layer.name]
    given = {
        name: model.get_layer(name).filters
        for name in names
        if hasattr(model.get_layer(name), "filters")
    }
    # Widths of the paper's table at width 2 in the place of 64.
    assert list(given.values()) == [16, 16, 16, 16, 16, 16, 8, 8, 8, 4, 4, 2, 2, 2]
    assert np.all([model.get_layer(name).strides == (1, 1) for name in given])
