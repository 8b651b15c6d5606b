from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from components.example_validator import checks
from components.example_validator.config import ChecksConfig
from components.image_example_gen import image_table, measuring
from components.image_example_gen.duplicates import Near
from components.records import IGNORE, Layout, Record

CLASSES = ("background", "cell")
LIMITS = ChecksConfig()


def images(
    name: str, count: int, seed: int, grey: float = 100, share: float = 0.3, size: int = 24
) -> checks.Images:
    """Noise about a grey, with about this share of cells."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        pixels = np.clip(rng.normal(grey + rng.normal(0, 3), 20, (size, size, 1)), 0, 255)
        mask = (rng.random((size, size)) < share + rng.normal(0, 0.03)).astype(np.uint8)
        rows.append(row(f"{name}/{number}", pixels.astype(np.uint8), mask))
    return checks.Images(name, pa.Table.from_pylist(rows, schema=image_table.SCHEMA))


def row(source: str, pixels: np.ndarray, mask: np.ndarray) -> dict:
    measured = measuring.Measurement(Layout(1, "uint8", CLASSES))
    measured.look(pixels, (0, 0), pixels.shape[:2])
    measured.add(Record(pixels, mask, source, "", mask.shape))
    return measuring.rows([measured], "train")[0]


def two(**changes: float) -> list[tuple[str, str]]:
    found = checks.of_two(
        images("span-2", 20, 2, **changes), images("span-1", 30, 1), "drift", CLASSES, LIMITS
    )
    return [(one.check, one.sentence) for one in found]


def test_images_of_one_kind_raise_no_alarm() -> None:
    assert two() == []
    assert two(grey=103, share=0.33) == []


def test_other_brightness_shares_and_sizes_are_named() -> None:
    ((check, sentence),) = two(grey=150)
    assert check == "intensity_drift"
    assert sentence.startswith("span-2 differs from span-1: pixels have other values, a mean of 1")
    ((check, sentence),) = two(share=0.7)
    assert check == "class_drift"
    assert sentence.startswith("span-2 differs from span-1: cell covers ")
    assert two(size=48) == [
        (
            "size_drift",
            "span-2 differs from span-1: images measure 48 pixels a side instead of 24.",
        )
    ]


def test_a_limit_may_be_raised_or_switched_off() -> None:
    pair = images("b", 20, 2, grey=150), images("a", 30, 1)
    for values in ({"intensity_skew": 0.99}, {"off": ["intensity_skew"]}):
        limits = ChecksConfig(**values)
        assert checks.of_two(*pair, "skew", CLASSES, limits) == []
    limits = ChecksConfig(stop=["intensity_skew"])
    (found,) = checks.of_two(*pair, "skew", CLASSES, limits)
    assert found.stops
    assert found.check == "intensity_skew"


def test_odd_images_are_counted_and_named() -> None:
    grey = np.arange(16, dtype=np.uint8).reshape(4, 4, 1)
    flat = np.full((4, 4, 1), 9, np.uint8)
    ground, cell = np.zeros((4, 4), np.uint8), np.eye(4, dtype=np.uint8)
    ignored = np.full((4, 4), IGNORE, np.uint8)
    rows = [
        row("empty", grey, ground),
        row("empty too", grey, ground),
        row("empty as well", grey, np.where(cell == 1, IGNORE, 0).astype(np.uint8)),
        row("ignored", grey, ignored),
        row("flat", flat, cell),
    ]
    told = checks.Images("train", pa.Table.from_pylist(rows, schema=image_table.SCHEMA))
    found = checks.of_one(told, CLASSES, LIMITS)
    # Three of five are more than half; one of five more than 5 %, and more than none.
    assert [(one.check, one.value) for one in found] == [
        ("empty_masks", 0.6),
        ("ignored_masks", 0.2),
        ("one_colour", 0.2),
        # The grey one is there four times, three times too often.
        ("copies", 0.6),
    ]
    assert found[0].sentence == (
        "train has 3 of 5 images with nothing but background: empty, empty too, empty as well."
    )
    copies = "train has 3 of 5 images with the pixels of another of its images: empty too, "
    assert found[3].sentence == f"{copies}empty as well, ignored."


def test_pictures_that_look_alike_are_named() -> None:
    pairs = [Near(f"e{number}", f"t{number}", 0.99) for number in range(5)]
    (found,) = checks.of_pairs(pairs, LIMITS)
    assert found.sentence.startswith(
        "5 images of eval look like one of train: e0 like t0, e1 like t1, e2 like t2 and 2 more; "
    )
    assert checks.of_pairs(pairs, ChecksConfig(near_duplicates=5)) == []
    assert checks.of_pairs([], LIMITS) == []


def test_findings_are_read_as_they_were_written(tmp_path: Path) -> None:
    found = checks.of_pairs([Near("e", "t", 0.99)], LIMITS)
    checks.write(tmp_path / checks.FILE, found)
    assert [checks.Finding(**one) for one in checks.read(tmp_path / checks.FILE)] == found


@pytest.mark.parametrize(("folder", "labels"), [("dic_hela", "labels")])
def test_an_ordinary_split_of_real_images_raises_no_alarm(
    shared_data: Path, folder: str, labels: str
) -> None:
    import cv2

    layout = Layout(1, "uint8", CLASSES)

    def read(files: list[Path], brighter: int = 0) -> checks.Images:
        rows = []
        for file in files:
            image = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
            mask = cv2.imread(str(shared_data / folder / labels / file.name), -1) == 0
            measured = measuring.Measurement(layout)
            pixels = cv2.add(image, brighter)[..., None]
            measured.look(pixels, (0, 0), pixels.shape[:2])
            measured.add(Record(pixels, mask.astype(np.uint8), file.stem, "", mask.shape))
            rows.append(measuring.rows([measured], "train")[0])
        return checks.Images("images", pa.Table.from_pylist(rows, schema=image_table.SCHEMA))

    files = sorted((shared_data / folder / "images").iterdir())
    train, evaluating = read(files[:48]), read(files[48:])  # the last fifth of the film
    assert checks.of_two(evaluating, train, "skew", CLASSES, LIMITS) == []
    (found,) = checks.of_two(read(files[48:], 20), train, "skew", CLASSES, LIMITS)
    assert found.check == "intensity_skew"
