from __future__ import annotations

import numpy as np
import pytest

from components.errors import BadFileError
from components.image_example_gen.masks import histogram, meanings, to_class_ids
from components.image_example_gen.sources.contract import Labels
from components.records import IGNORE

MEANT = meanings({"background": [65535], "cell": [0, 3]}, ignore=[9])


def test_values_become_ids():
    mask = np.array([[0, 3], [9, 65535]], np.uint16)
    ids = to_class_ids(Labels(mask), MEANT)
    assert ids.dtype == np.uint8
    # background is the first class: 0; cell the second: 1.
    assert ids.tolist() == [[1, 1], [IGNORE, 0]]


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.array([[0, 7], [7, 7]], np.uint8), "unknown label value 7 (3 pixels)"),
        (np.array([[1, 2], [0, 0]], np.uint8), "unknown label values 1, 2 (2 pixels)"),
        (np.array([[-1, 70000]], np.int32), "unknown label values -1, 70000 (2 pixels)"),
        (
            np.array([[10, 11, 12, 13, 14, 15, 16]], np.uint8),
            "unknown label values 10, 11, 12, 13, 14 and 2 more (7 pixels)",
        ),
        (np.array([[0, 0, 5]], np.uint8), "unknown label value 5 (1 pixel)"),
    ],
)
def test_unknown_values_are_named_and_counted(mask: np.ndarray, message: str):
    with pytest.raises(BadFileError) as caught:
        to_class_ids(Labels(mask), MEANT)
    assert str(caught.value) == message


def test_colours_and_names_mean_classes_as_numbers_do():
    colours = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 0, 0]]], np.uint8)
    meant = meanings({"road": ["#00FF00"], "car": ["#ff0000"]}, ignore=["#0000ff"])
    assert to_class_ids(Labels(colours), meant).tolist() == [[1, 0], [IGNORE, 1]]

    named = Labels(np.array([[1, 0]]), names=("sky", "tree"))
    meant = meanings({"tree": ["tree"], "rest": ["sky", "cloud"]}, ignore=[])
    assert to_class_ids(named, meant).tolist() == [[0, 1]]


def test_an_unknown_colour_or_name_is_named():
    colours = np.full((1, 2, 3), 7, np.uint8)
    with pytest.raises(BadFileError, match=r"^unknown label value #070707 \(2 pixels\)$"):
        to_class_ids(Labels(colours), meanings({"a": ["#000000"]}, []))
    named = Labels(np.array([[0, 1]]), names=("sky", "tree"))
    with pytest.raises(BadFileError, match=r"^unknown label value tree \(1 pixel\)$"):
        to_class_ids(named, meanings({"sky": ["sky"]}, []))


def test_nothing_counts_outside_the_region():
    region = np.array([[True, False]])
    labels = Labels(np.array([[1, 9]], np.uint8), region=region)
    assert to_class_ids(labels, meanings({"a": [0], "b": [1]}, [])).tolist() == [[1, IGNORE]]
    assert histogram(labels) == {1: 1}
