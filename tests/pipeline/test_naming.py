from __future__ import annotations

import pytest

from components.errors import InputError
from components.image_example_gen.shapes import BACKGROUND
from pipeline import naming

SHAPES = tuple((name, name) for name in (BACKGROUND, "__ignore__", "dog", "cat"))


def test_names_of_shapes_in_their_order_background_first():
    meant = naming.meaning(SHAPES, {"cat": 5, BACKGROUND: 7})
    assert meant is not None
    assert [*meant.classes.items()] == [
        ("background", (BACKGROUND,)),
        ("dog", ("dog",)),
        ("cat", ("cat",)),
    ]
    assert meant.ignore == ("__ignore__",)


def test_a_label_called_background_is_background():
    meant = naming.meaning((*SHAPES, ("background", "background")), {})
    assert meant is not None
    assert meant.classes["background"] == (BACKGROUND, "background")


def test_numbers_with_void():
    labels = (("background", 0), ("cat", 1))
    meant = naming.meaning(labels, {0: 9, 255: 1})
    assert meant is not None
    assert (meant.classes, meant.ignore) == ({"background": (0,), "cat": (1,)}, (255,))
    # A value without a name: the names are about something else.
    assert naming.meaning(labels, {0: 9, 7: 1}) is None


def test_more_labels_than_classes():
    labels = tuple((f"l{number}", f"l{number}") for number in range(300))
    meant = naming.meaning(labels, {"l7": 1, "l299": 1})
    assert meant is not None
    assert [*meant.classes] == ["l7", "l299"]
    with pytest.raises(InputError, match="300 labels, but at most 255 classes"):
        naming.meaning(labels, {name: 1 for name, _ in labels})
