from __future__ import annotations

import numpy as np
import pytest

from components.errors import BadFileError
from components.image_example_gen.masks import lookup_table, to_class_ids
from components.records import IGNORE

TABLE = lookup_table({"background": [65535], "cell": [0, 3]}, ignore=[9])


def test_values_become_ids():
    mask = np.array([[0, 3], [9, 65535]], np.uint16)
    ids = to_class_ids(mask, TABLE)
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
        to_class_ids(mask, TABLE)
    assert str(caught.value) == message
