from pathlib import Path

import numpy as np
import pytest

from components import levels, tallies, tfrecord


def test_an_example_is_what_tensorflow_writes() -> None:
    import tensorflow as tf

    numbers = [0, 1, 127, 128, 300, 2**40]
    fractions = np.array([0.1, -2.5, 3e9])
    ours = tfrecord.example(
        {
            "b/long name": tfrecord.integers(*numbers),
            "ä": tfrecord.floats(fractions),
            "a": tfrecord.octets("grün"),
            "aa": tfrecord.octets(b""),
            "B": tfrecord.pixels(np.tile(np.arange(256, dtype=np.uint8), 3)),
        }
    )

    def octets(value: bytes) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    features = {
        "b/long name": tf.train.Feature(int64_list=tf.train.Int64List(value=numbers)),
        "ä": tf.train.Feature(float_list=tf.train.FloatList(value=fractions)),
        "a": octets("grün".encode()),
        "aa": octets(b""),
        "B": octets(bytes(range(256)) * 3),
    }
    theirs = tf.train.Example(features=tf.train.Features(feature=features))
    assert b"".join(ours) == theirs.SerializeToString(deterministic=True)


def test_a_small_example_by_hand() -> None:
    # Feature 1a 03 {int64_list: 0a 01 {05}}, entry 0a 0a {key 0a 01 'k', value 12 05 feature}.
    feature = b"\x1a\x03\x0a\x01\x05"
    assert tfrecord.integers(5) == feature
    (whole,) = tfrecord.example({"k": feature})
    assert whole == b"\x0a\x0c\x0a\x0a\x0a\x01k\x12\x05" + feature


def test_a_file_is_what_tensorflow_writes(tmp_path: Path) -> None:
    import tensorflow as tf

    records = [b"", b"one", bytes(100_000)]
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    with ours.open("wb") as file:
        for record in records:
            tfrecord.write(file, record)
    with tf.io.TFRecordWriter(str(theirs)) as writer:
        for record in records:
            writer.write(record)
    assert ours.read_bytes() == theirs.read_bytes()
    assert [each.numpy() for each in tf.data.TFRecordDataset(str(ours))] == records


def test_values_of_a_mask_are_counted() -> None:
    # A part of a larger mask, as a tile's core is.
    mask = np.array([[9, 9, 9, 9], [9, 0, 3, 9], [9, 3, 255, 9]], np.uint8)[1:, 1:3]
    found = tallies.count_values(mask)
    assert {value: int(found[value]) for value in np.flatnonzero(found)} == {0: 1, 3: 2, 255: 1}
    assert tallies.count_values(np.zeros((0, 4), np.uint8)).sum() == 0


@pytest.mark.parametrize("values", [(0,), (2, 255), (0, 1, 2, 3, 4, 5, 255), (0, 77), (6, 254)])
def test_values_are_counted_whichever_they_are(values: tuple[int, ...]) -> None:
    mask = np.random.default_rng(0).choice(np.array(values, np.uint8), (31, 45))
    exact = {value: int((mask == value).sum()) for value in values}
    found = tallies.count_values(mask)
    assert {value: int(found[value]) for value in np.flatnonzero(found)} == exact


def test_more_pixels_than_a_float_counts_are_counted() -> None:
    mask = np.zeros((2**12 + 1, 2**12), np.uint8)
    mask[0, 0] = 1
    assert tallies.count_values(mask)[:2].tolist() == [2**24 + 2**12 - 1, 1]
    assert tallies.count_values(mask + np.uint8(7))[7:9].tolist() == [2**24 + 2**12 - 1, 1]


@pytest.mark.parametrize(("dtype", "top"), [("uint8", 255), ("uint16", 65535)])
def test_sums_and_levels_of_whole_numbers(dtype: str, top: int) -> None:
    # Two pixels of two channels: (1, top) and (3, top).
    pixels = np.array([[[1, top], [3, top]]], dtype)
    total, squares = tallies.sums(pixels)
    assert (total.tolist(), squares.tolist()) == ([4, 2 * top], [10, 2 * top**2])
    level = levels.values(dtype)
    assert (levels.count(pixels) @ level).tolist() == [4, 2 * top]


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_sums_of_many_bytes_are_exact(channels: int) -> None:
    pixels = np.random.default_rng(channels).integers(0, 256, (257, 301, channels), np.uint8)
    # A part of a larger image, as a tile's core is.
    part = pixels[3:250, 7:300]
    total, squares = tallies.sums(part)
    exact = part.astype(np.int64)
    assert total.tolist() == exact.sum(axis=(0, 1)).tolist()
    assert squares.tolist() == np.square(exact).sum(axis=(0, 1)).tolist()


def test_sums_of_floats() -> None:
    # 0.5 + 1.5 = 2, 0.25 + 2.25 = 2.5; 2 + 4 = 6, 4 + 16 = 20.
    total, squares = tallies.sums(np.array([[[0.5, 2], [1.5, 4]]], np.float32))
    assert (total.tolist(), squares.tolist()) == ([2, 6], [2.5, 20])
