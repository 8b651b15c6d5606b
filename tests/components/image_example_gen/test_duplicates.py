from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest

from components.image_example_gen import duplicates, image_table, measuring
from components.records import Layout, Record


def picture(seed: int, size: int = 96) -> np.ndarray:
    """Soft blobs, as photographs have them; uint8 [size, size, 3]."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)


def table(images: dict[str, np.ndarray]) -> pa.Table:
    rows = []
    for name, image in images.items():
        measured = measuring.Measurement(Layout(3, "uint8", ("a", "b")))
        mask = np.zeros(image.shape[:2], np.uint8)
        measured.look(image, (0, 0), image.shape[:2])
        measured.add(Record(image, mask, name, "", image.shape[:2]))
        rows.append(measuring.rows([measured], "train")[0])
    return pa.Table.from_pylist(rows, schema=image_table.SCHEMA)


def compressed(image: np.ndarray) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], -1)


@pytest.mark.parametrize(
    "change",
    [
        compressed,
        lambda image: cv2.resize(image, (61, 61), interpolation=cv2.INTER_AREA),
        lambda image: (image * 0.7 + 10).astype(np.uint8),
        lambda image: image,
    ],
    ids=["compressed", "smaller", "darker", "same"],
)
def test_a_changed_copy_is_found_among_others(change) -> None:
    train = table({f"t{seed}": picture(seed) for seed in range(40)})
    found = duplicates.near(train, table({"e": change(picture(7)), "other": picture(99)}))
    assert [(pair.eval, pair.train) for pair in found] == [("e", "t7")]
    assert found[0].similarity > 0.99


def test_images_of_one_layout_are_no_copies() -> None:
    """Eyes or slides before one camera: alike as a whole, each with its own details."""
    layout = picture(0).astype(np.float32)

    def one(seed: int) -> np.ndarray:
        return np.clip(layout * 0.9 + 0.1 * picture(seed), 0, 255).astype(np.uint8)

    train = table({f"t{seed}": one(seed) for seed in range(1, 31)})
    found = duplicates.near(train, table({f"e{seed}": one(seed) for seed in range(40, 50)}))
    assert found == []
    found = duplicates.near(train, table({"e": compressed(one(5)), "f": one(60)}))
    assert [(pair.eval, pair.train) for pair in found] == [("e", "t5")]


def test_images_that_show_nothing_are_left_out() -> None:
    flat = np.full((50, 50, 3), 80, np.uint8)
    assert duplicates.near(table({"t": flat}), table({"e": flat})) == []
    assert duplicates.near(table({}), table({"e": picture(1)})) == []


def test_each_hash_has_the_nearest_of_all() -> None:
    rng = np.random.default_rng(0)
    hashes = np.unique(rng.integers(0, 2**63, 5000).astype(np.uint64))
    # Eight bits differ from hashes[10]; nine from hashes[20].
    asked = np.array([hashes[10] ^ np.uint64(0xFF), hashes[20] ^ np.uint64(0x1FF)])
    found = duplicates._nearest(hashes, asked)
    assert {place: near.tolist() for place, near in found.items()} == {0: [10]}


def test_the_list_is_read_as_it_was_written(tmp_path: Path) -> None:
    pairs = [duplicates.Near("é", "b", 0.9876)]
    duplicates.write(tmp_path / duplicates.FILE, pairs)
    assert duplicates.read(tmp_path / duplicates.FILE) == pairs
    assert duplicates.read(tmp_path / "none") == []
