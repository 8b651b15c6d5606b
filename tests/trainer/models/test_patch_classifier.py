from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.trainer.models import checks
from trainer.models import patch_classifier, registry, surgery
from trainer.models.options import PatchClassifierOptions

# Windows of 2 * (2 * 2 + 3 - 1) + 4 - 1 = 15 pixels.
SMALL = {"width": 4, "kernels": (4, 3), "last_features": 2, "fc_width": 6}


def test_the_papers_window_and_parameters() -> None:
    # Table 1, from the features back: 3, 6, 9, 18, 21, 42, 46, 92, 95 pixels.
    assert PatchClassifierOptions().window == 95
    # Kernels of 4, 5, 4 and 4 with 48 channels each: 16 * 48 + 48, 25 * 48 * 48 + 48 and twice
    # 16 * 48 * 48 + 48. Dense: 9 * 48 * 200 + 200 and 200 * 2 + 2.
    expected = 816 + 57_648 + 2 * 36_912 + 86_600 + 402
    model = registry.build("patch_classifier", {}, classes=2, mean=[0.0], deviation=[1.0])
    assert model.count_params() == expected == 219_290
    assert model.compute_output_shape((1, 95, 100, 1)) == (1, 1, 6, 2)
    patches = patch_classifier.classifier(1, 2, PatchClassifierOptions())
    assert patches.count_params() == expected


def test_sizes() -> None:
    checks.check_sizes("patch_classifier", SMALL, sizes=((16, 16), (7, 12)))


def test_one_record_is_learnt() -> None:
    checks.check_overfits("patch_classifier", SMALL)


def test_an_export_answers_as_the_model(tmp_path: Path) -> None:
    checks.check_export("patch_classifier", SMALL, tmp_path)


@pytest.fixture(scope="module")
def slid() -> tuple:
    """A classifier, images, and what it says of each window of them."""
    options = registry.options("patch_classifier", SMALL)
    patches = patch_classifier.classifier(2, 3, options)
    images = np.random.default_rng(0).normal(size=(2, 24, 31, 2)).astype(np.float32)
    return patches, images, patch_classifier.slide(patches, images, batch_size=100)


def test_sliding_is_asking_for_each_window(slid: tuple) -> None:
    patches, images, answers = slid
    assert answers.shape == (2, 10, 17, 3)
    assert np.ptp(answers) > 0.1
    for image, y, x in ((0, 0, 0), (1, 9, 16), (1, 3, 11)):
        window = images[image : image + 1, y : y + 15, x : x + 15]
        assert np.allclose(answers[image, y, x], patches(window)[0], atol=1e-5)


def test_the_dense_form_gives_the_same_answers(slid: tuple) -> None:
    patches, images, answers = slid
    dense = registry.build("patch_classifier", SMALL, 3, [0.0, 0.0], [1.0, 1.0])
    assert not np.allclose(dense(images), answers, atol=1e-2)
    patch_classifier.carry_over(patches, dense, registry.options("patch_classifier", SMALL))
    assert np.allclose(dense(images), answers, atol=1e-5)


def test_surgery_gives_every_fourth_of_them(slid: tuple) -> None:
    patches, images, answers = slid
    # Two pooling layers: windows four pixels apart.
    found = surgery.convolutional(patches)(images)
    assert found.shape == (2, 3, 5, 3)
    assert np.allclose(found, answers[:, ::4, ::4], atol=1e-5)


def test_a_window_without_a_middle_is_refused() -> None:
    with pytest.raises(ValueError, match="a window of 16 pixels has no middle"):
        PatchClassifierOptions(kernels=(5, 3), last_features=2)
