from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from components.records import IGNORE, Layout, Record, encode, parse, parse_repeats

RNG = np.random.default_rng(0)


def record_of(image: np.ndarray, **fields) -> Record:
    """A record whose mask has classes 0 and 1 in turn, and one pixel to be ignored."""
    height, width = image.shape[:2]
    mask = (np.indices((height, width)).sum(axis=0) % 2).astype(np.uint8)
    mask[0, 0] = IGNORE
    values = {"source": "slide/7", "source_sha256": "ab", "source_size": (height, width)}
    return Record(image=image, mask=mask, **{**values, **fields})


def features(serialized: bytes) -> dict[str, list]:
    example = tf.train.Example.FromString(serialized)
    return {
        name: list(getattr(feature, feature.WhichOneof("kind")).value)
        for name, feature in example.features.feature.items()
    }


@pytest.mark.parametrize("storage", ["raw", "png"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_what_is_encoded_is_parsed(storage: str, dtype: str, channels: int):
    image = RNG.integers(0, np.iinfo(dtype).max + 1, (5, 7, channels)).astype(dtype)
    layout = Layout(channels, dtype, ("a", "b"), storage)
    record = record_of(image, tile=(2, 3), source_size=(40, 50))
    parsed = parse(tf.constant(encode(record, layout)), layout)
    np.testing.assert_array_equal(parsed["image"].numpy(), image)
    assert parsed["image"].dtype == dtype
    np.testing.assert_array_equal(parsed["mask"].numpy(), record.mask)
    assert parsed["source"].numpy() == b"slide/7"
    assert parsed["tile"].numpy().tolist() == [2, 3]
    assert parsed["source_size"].numpy().tolist() == [40, 50]


def test_floats_are_stored_raw():
    image = RNG.normal(size=(3, 2, 1)).astype(np.float32)
    layout = Layout(1, "float32", ("a", "b"))
    parsed = parse(tf.constant(encode(record_of(image), layout)), layout)
    np.testing.assert_array_equal(parsed["image"].numpy(), image)


def test_sums_by_hand():
    # A core of 2 x 2 in a margin of 1; the source ends after the core's first row.
    image = np.arange(16, dtype=np.uint8).reshape(4, 4, 1)
    mask = np.full((4, 4), IGNORE, np.uint8)
    mask[1, 1:3] = [1, IGNORE]
    record = Record(
        image, mask, source="a", source_sha256="", source_size=(5, 9), tile=(4, 6), margin=1
    )
    found = features(encode(record, Layout(1, "uint8", ("a", "b"))))
    # The core's pixels within the source are 5 and 6: 5 + 6, and 25 + 36.
    assert found["image/sum"] == [11]
    assert found["image/sum_squares"] == [61]
    # No pixel of class 0, one of class 1, one to be ignored; those past the end are no pixels.
    assert found["mask/class_pixels"] == [0, 1, 1]
    assert (found["image/height"], found["source/height"]) == ([4], [5])
    assert (found["tile/y"], found["tile/x"], found["tile/margin"]) == ([4], [6], [1])


def test_sums_are_a_value_a_channel():
    image = np.array([[[1, 10]], [[2, 20]]], np.uint16)
    found = features(encode(record_of(image), Layout(2, "uint16", ("a", "b"))))
    assert found["image/sum"] == [3, 30]
    assert found["image/sum_squares"] == [5, 500]


def test_groups_spans_and_attributes():
    record = record_of(
        np.zeros((2, 2, 1), np.uint8), group="p1", span=4, attributes={"stain": "HE"}
    )
    found = features(encode(record, Layout(1, "uint8", ("a", "b"))))
    assert found["group"] == [b"p1"]
    assert found["span"] == [4]
    assert found["attribute/stain"] == [b"HE"]


def test_encoding_is_deterministic():
    layout = Layout(1, "uint8", ("a", "b"))
    record = record_of(np.zeros((2, 2, 1), np.uint8))
    assert encode(record, layout) == encode(dataclasses.replace(record), layout)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (record_of(np.zeros((2, 2, 3), np.uint8)), "does not fit a data set of 1-channel uint8"),
        (record_of(np.zeros((2, 2, 1), np.uint16)), "does not fit a data set of 1-channel uint8"),
        (
            dataclasses.replace(
                record_of(np.zeros((2, 2, 1), np.uint8)), mask=np.zeros((3, 2), np.uint8)
            ),
            "mask of shape",
        ),
        (
            dataclasses.replace(
                record_of(np.zeros((2, 2, 1), np.uint8)), mask=np.full((2, 2), 9, np.uint8)
            ),
            "ids past the 2 classes",
        ),
    ],
)
def test_records_that_break_the_layout_are_refused(record: Record, message: str):
    with pytest.raises(ValueError, match=message):
        encode(record, Layout(1, "uint8", ("a", "b")))


def test_layout_survives_json():
    layout = Layout(3, "uint16", ("a", "b"), "png")
    assert Layout.from_json(layout.to_json()) == layout


def test_extras_are_there_where_the_layout_says_so():
    image = np.zeros((2, 3, 1), np.uint8)
    weight = np.array([[1, 2.5, 11], [1, 1, 1]], np.float16)
    instance = np.array([[0, 70000, 3], [0, 0, 0]], np.int32)
    record = record_of(image, weight=weight, instance=instance, source_weight=0.25, repeats=4)
    layout = Layout(1, "uint8", ("a", "b"), "png", ("weight", "instance", "repeats"))
    serialized = tf.constant(encode(record, layout))
    parsed = parse(serialized, layout)
    assert parsed["weight"].dtype == tf.float32
    assert parsed["weight"].numpy().tolist() == weight.tolist()
    assert parsed["instance"].numpy().tolist() == instance.tolist()
    assert float(parsed["source_weight"]) == 0.25
    assert int(parse_repeats(serialized)) == 4
    # A reader that needs none of them takes the same record.
    assert set(parse(serialized, layout.plain())) == set(parsed) - {"weight", "instance"}


def test_without_extras_a_record_is_what_it_was():
    record = record_of(np.zeros((2, 2, 1), np.uint8))
    plain = encode(record, Layout(1, "uint8", ("a", "b")))
    beside = dataclasses.replace(record, weight=np.ones((2, 2), np.float16), repeats=3)
    assert encode(beside, Layout(1, "uint8", ("a", "b"))) == plain
    assert not {"weight", "instance", "source/weight", "tile/repeats"} & set(features(plain))
    assert float(parse(tf.constant(plain), Layout(1, "uint8", ("a", "b")))["source_weight"]) == 1
    assert int(parse_repeats(tf.constant(plain))) == 1


def test_a_record_without_what_its_layout_promises_is_refused():
    layout = Layout(1, "uint8", ("a", "b"), extras=("weight",))
    with pytest.raises(ValueError, match="lacks a value a pixel"):
        encode(record_of(np.zeros((2, 2, 1), np.uint8)), layout)


def test_layouts_with_and_without_extras_survive_json():
    plain = Layout(1, "uint8", ("a", "b"))
    assert "extras" not in plain.to_json()  # as older versions wrote it
    layout = Layout(1, "uint8", ("a", "b"), extras=("weight", "repeats"))
    assert Layout.from_json(layout.to_json()) == layout
    assert layout.plain() == plain
