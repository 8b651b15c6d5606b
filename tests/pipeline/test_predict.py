from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile

from components.errors import InputError
from components.records import Layout
from pipeline.predict import predict, targets_of, to_json


class Threshold:
    """A model that calls a pixel `cell` if it is above 100."""

    def __init__(self) -> None:
        self.path = Path("serving/7")
        self.layout = Layout(1, "uint8", ("background", "cell"))

    def mask(self, image: np.ndarray) -> np.ndarray:
        assert image.dtype == np.uint8
        return (image[..., 0] > 100).astype(np.uint8)


def grey(path: Path, value: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((4, 6), value, np.uint8))
    return path


def run(images: list[Path], out: Path, colours: dict[str, str] | None = None) -> Any:
    return predict(Threshold(), images, out, colours or {})  # type: ignore[arg-type]


def test_masks_hold_class_ids_and_overlays_colours(tmp_path: Path) -> None:
    written, bad = run([grey(tmp_path / "a.png", 200)], tmp_path / "out", {"cell": "#c80000"})
    assert bad == []
    mask = cv2.imread(written[0].mask, cv2.IMREAD_UNCHANGED)
    assert mask.shape == (4, 6)
    assert (mask == 1).all()
    # 0.6 * 200 + 0.4 * 200 = 200 red, 0.6 * 200 = 120 green and blue; OpenCV puts blue first.
    assert cv2.imread(written[0].overlay)[0, 0].tolist() == [120, 120, 200]


def test_bad_images_are_named_and_the_others_done(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("not an image")
    cv2.imwrite(str(tmp_path / "deep.png"), np.zeros((4, 4), np.uint16))
    images = [tmp_path / name for name in ("absent.png", "text.png", "deep.png")]
    written, bad = run([*images, grey(tmp_path / "a.png", 0)], tmp_path / "out")
    assert [prediction.image for prediction in written] == [str(tmp_path / "a.png")]
    assert [entry.file for entry in bad] == list(map(str, images))
    assert [entry.reason for entry in bad] == [
        "there is no such file",
        "not an image: it begins with text",
        "uint16 image in a data set of uint8 images",
    ]
    told = to_json(Threshold(), written, bad)  # type: ignore[arg-type]
    assert told["set_aside"][0] == {"file": str(images[0]), "reason": "there is no such file"}


def test_images_of_one_name_do_not_overwrite_each_other(tmp_path: Path) -> None:
    one, two = grey(tmp_path / "x/1.png", 0), grey(tmp_path / "y/1.png", 0)
    deep, other = grey(tmp_path / "z/x/1.png", 0), grey(tmp_path / "2.png", 0)
    targets, _ = targets_of([one, two, deep, other, one])
    assert [target.name for target in targets] == ["x_1", "y_1", "x_1_2", "2"]


def test_folders_and_pages(tmp_path: Path) -> None:
    for name in ("10.png", "9.png", "notes.txt"):
        grey(tmp_path / "folder" / name.replace(".txt", ".bmp"), 0)
    tifffile.imwrite(
        tmp_path / "stack.tif", np.zeros((11, 4, 4), np.uint8), photometric="minisblack"
    )
    targets, _ = targets_of([tmp_path / "folder", tmp_path / "stack.tif"])
    names = [target.name for target in targets]
    assert names[:3] == ["9", "10", "notes"]
    assert names[3] == "stack_page00"
    assert names[-1] == "stack_page10"
    assert targets[-1].page == 10


def test_nothing_to_predict(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no image in"):
        run([tmp_path], tmp_path / "out")


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    image = grey(tmp_path / "a.png", 0)
    with pytest.raises(InputError, match="cannot be made"):
        run([image], image / "out")
