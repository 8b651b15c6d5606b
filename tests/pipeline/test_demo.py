from pathlib import Path

import cv2
import numpy as np

from pipeline import config, demo


def test_the_same_scene_again() -> None:
    for first, second in zip(demo.scene(3), demo.scene(3)):
        assert np.array_equal(first, second)
    assert not np.array_equal(demo.scene(3)[0], demo.scene(4)[0])


def test_every_mask_holds_all_classes_and_what_is_to_be_ignored() -> None:
    for index in range(demo.IMAGES):
        image, mask = demo.scene(index)
        assert image.dtype == mask.dtype == np.uint8
        assert image.shape == mask.shape == (demo.SIDE, demo.SIDE)
        found = set(np.unique(mask).tolist())
        assert found == {demo.BACKGROUND, demo.CELL, demo.BORDER, demo.IGNORE}


def test_a_border_is_between_every_inside_and_the_background() -> None:
    for index in range(demo.IMAGES):
        mask = demo.scene(index)[1]
        inside = (mask == demo.CELL).astype(np.uint8)
        beside_it = cv2.dilate(inside, np.ones((3, 3), np.uint8)) > 0
        assert not (beside_it & (mask == demo.BACKGROUND)).any()


def test_a_second_demo_leaves_its_files_alone(tmp_path: Path) -> None:
    file, unlabelled = demo.write(tmp_path)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.png")}
    assert len(times) == 2 * demo.IMAGES + 1
    assert unlabelled in times
    file.write_text(file.read_text() + "# edited\n")
    demo.write(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.png")} == times
    assert file.read_text().endswith("# edited\n")


def test_its_configuration_is_valid(tmp_path: Path) -> None:
    file, _ = demo.write(tmp_path)
    loaded = config.load(file)
    assert list(loaded.data.classes.values()) == [(0,), (1,), (2,)]
    assert loaded.data.path == tmp_path / "data"
