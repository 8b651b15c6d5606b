from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from components.evaluation.bootstrap import marginals
from components.records import IGNORE, Layout, Record, encode
from components.run_report import images
from components.run_report.images import Measured, choose

LAYOUT = Layout(1, "uint8", ("dark", "bright"))


def measured(name: str, matrix: list[list[int]]) -> Measured:
    return Measured((0, name), marginals(np.array(matrix)))


def shown(chosen: images.Chosen) -> dict[str, list[str]]:
    return {title: [image.key[1] for image in group] for title, group in chosen.groups}


def test_one_image() -> None:
    # Dark: 3 right, 1 called bright: 3/4. Bright: 2 right of 2, and the 1 called so: 2/3.
    image = measured("a", [[3, 1], [0, 2]])
    assert (image.labelled, image.wrong) == (6, 1)
    assert image.iou == pytest.approx([3 / 4, 2 / 3])
    assert image.mean_iou == pytest.approx(17 / 24)


def test_a_class_that_an_image_lacks_has_no_part_in_its_mean() -> None:
    image = measured("a", [[3, 0], [0, 0]])
    assert np.isnan(image.iou[1])
    assert image.mean_iou == 1


def test_few_images_are_all_shown_the_worst_first() -> None:
    chosen = choose([measured(str(right), [[right, 9 - right], [0, 0]]) for right in (5, 3, 7)])
    assert shown(chosen) == {"All images, worst first": ["3", "5", "7"]}
    assert (chosen.ranked, chosen.few, chosen.unlabelled) == (3, 0, 0)


def test_of_many_the_worst_the_median_and_the_best() -> None:
    # 11 images, the nth with n of 20 right: the median is the sixth, with its two neighbours.
    chosen = choose([measured(f"{n:02}", [[n, 20 - n], [0, 0]]) for n in range(11)])
    assert shown(chosen) == {
        "Worst": ["00", "01", "02"],
        "Median": ["04", "05", "06"],
        "Best": ["08", "09", "10"],
    }


def test_what_has_no_label_or_hardly_any_is_counted_and_not_ranked() -> None:
    # The median of 1000, 1000, 9 labelled pixels is 1000, of which 1 % is 10.
    chosen = choose(
        [
            measured("good", [[1000, 0], [0, 0]]),
            measured("fair", [[500, 500], [0, 0]]),
            measured("speck", [[0, 9], [0, 0]]),
            measured("empty", [[0, 0], [0, 0]]),
        ]
    )
    assert shown(chosen) == {"All images, worst first": ["fair", "good"]}
    assert (chosen.ranked, chosen.few, chosen.unlabelled) == (2, 1, 1)


def test_nothing_labelled_at_all() -> None:
    assert choose([measured("empty", [[0, 0], [0, 0]])]).groups == []


def test_tiles_of_one_image_are_added_and_spans_kept_apart(tmp_path: Path) -> None:
    def record(source: str, x: int, mask: list[int], span: int = 0) -> bytes:
        pixels = np.zeros((1, 2, 1), np.uint8)
        labels = np.array([mask], np.uint8)
        return encode(Record(pixels, labels, source, "", (1, 4), tile=(0, x), span=span), LAYOUT)

    files = [str(tmp_path / name) for name in ("one", "two")]
    for file, records in zip(
        files,
        [
            [record("a", 0, [0, 1]), record("b", 0, [1, 1])],
            [record("a", 2, [1, IGNORE]), record("a", 0, [0, 0], span=1)],
        ],
    ):
        with tf.io.TFRecordWriter(file) as writer:
            for serialized in records:
                writer.write(serialized)

    def all_dark(serialized: list[bytes]) -> np.ndarray:
        counts = []
        for one in serialized:
            feature = tf.train.Example.FromString(one).features.feature["mask/class_pixels"]
            dark, bright, _ = feature.int64_list.value
            counts.append([[dark, 0], [bright, 0]])
        return np.array(counts)

    found, total = images.measure(files, all_dark, 2, records=4)
    assert [image.key for image in found] == [(0, "a"), (0, "b"), (1, "a")]
    # a of span 0: 0 and 1 in its first tile, 1 in its second: one right, two bright ones wrong.
    assert found[0].marginals.tolist() == [[1, 0], [1, 2], [3, 0]]
    assert [image.labelled for image in found] == [3, 2, 2]
    # Dark: 1 + 2 right. Bright: 2 + 2 called dark.
    assert total.tolist() == [[3, 0], [4, 0]]
