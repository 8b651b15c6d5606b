from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from components.errors import InputError, SetAside
from components.image_example_gen.config import DataConfig, SplitConfig
from components.image_example_gen.ingest_config import IngestConfig
from components.records import Layout
from pipeline.evaluate import evaluate


class AlwaysCell:
    """A model that calls every pixel `cell`."""

    path = Path("serving/7")
    layout = Layout(1, "uint8", ("background", "cell"))

    def mask(self, image: np.ndarray) -> np.ndarray:
        return np.ones(image.shape[:2], np.uint8)

    def confusion(self, examples: list[bytes]) -> np.ndarray:
        import tensorflow as tf

        counts = np.zeros((2, 2), np.int64)
        for example in examples:
            features = tf.train.Example.FromString(example).features.feature
            mask = np.frombuffer(features["mask"].bytes_list.value[0], np.uint8)
            for label in range(2):
                counts[label, 1] += (mask == label).sum()
        return counts


def data(folder: Path, **keys: Any) -> DataConfig:
    """Images 0 to 3 of 5 x 4 pixels; in mask N, N pixels are cell and the last one is ignored."""
    for name in ("images", "masks"):
        (folder / name).mkdir()
    for number in range(4):
        mask = np.zeros((4, 5), np.uint8)
        mask.ravel()[:number] = 1
        mask[-1, -1] = 9
        cv2.imwrite(str(folder / f"images/{number}.png"), np.full((4, 5), number, np.uint8))
        cv2.imwrite(str(folder / f"masks/{number}.png"), mask)
    classes = {"background": (0,), "cell": (1,)}
    return DataConfig(path=folder, classes=classes, ignore=(9,), **keys)


def run(section: DataConfig, whole: bool) -> Any:
    return evaluate(AlwaysCell(), section, IngestConfig(tile=3, margin=1), whole)  # type: ignore[arg-type]


def test_every_labelled_pixel_counts_once(tmp_path: Path) -> None:
    found = run(data(tmp_path), whole=True)
    # 4 images of 20 pixels, one ignored: 76 count. Cells: 0 + 1 + 2 + 3 = 6, all found, and the
    # 70 others are taken for cells: IoU 6 / 76, and 0 of the background.
    assert found.confusion == [[0, 70], [0, 6]]
    assert found.images == 4
    assert "seg" not in found.metrics
    assert found.metrics["iou/cell"] == pytest.approx(6 / 76)
    assert found.metrics["mean_iou"] == pytest.approx(3 / 76)


def test_slices_have_metrics_of_their_own(tmp_path: Path) -> None:
    section = data(tmp_path)
    lines = [f"images/{n}.png,masks/{n}.png,{site},x" for n, site in enumerate("AABB")]
    (tmp_path / "list.csv").write_text("\n".join(["image,mask,site,dose", *lines]))
    section = section.model_copy(update={"format": "manifest", "manifest": "list.csv"})
    model: Any = AlwaysCell()
    found = evaluate(model, section, IngestConfig(tile=3), whole=True, slices=("site",))
    # Of A's 38 pixels 0 + 1 are cells, of B's 2 + 3; all are taken for cells.
    assert {name: values["iou/cell"] for name, values in found.slices.items()} == {
        "site=A": pytest.approx(1 / 38),
        "site=B": pytest.approx(5 / 38),
    }
    assert found.metrics["iou/cell"] == pytest.approx(6 / 76)


def test_where_the_labels_tell_objects_apart_they_are_measured(tmp_path: Path) -> None:
    for name in ("images", "masks"):
        (tmp_path / "a" / name).mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "a/images/a.png"), np.zeros((4, 6), np.uint8))
    for number, (left, right) in enumerate([(0, 4), (4, 6)]):
        mask = np.zeros((4, 6), np.uint8)
        mask[:, left:right] = 255
        cv2.imwrite(str(tmp_path / f"a/masks/{number}.png"), mask)
    section = DataConfig(
        path=tmp_path,
        format="paired",
        images="*/images",
        masks="*/masks",
        mask_per="object",
        classes={"background": (0,), "cell": (255,)},
    )
    # Objects of 16 and 8 pixels, which the model takes for one of 24: 16 / 24 and 8 / 24.
    assert run(section, whole=True).metrics["seg"] == pytest.approx(0.5)


def test_what_hangs_together_is_an_object_where_the_records_keep_objects(tmp_path: Path) -> None:
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    mask = np.zeros((4, 7), np.uint8)
    mask[:, :4] = mask[:, 5:] = 1  # of 16 and 8 pixels, which the model takes for one of 28
    for name in ("images", "masks"):
        cv2.imwrite(str(tmp_path / name / "a.png"), mask)
    section = DataConfig(path=tmp_path, classes={"background": (0,), "cell": (1,)})
    model: Any = AlwaysCell()
    asked = ({"instances": True}, {"border_weights": {}})
    for ingest in (IngestConfig(tile=3, **keys) for keys in asked):
        found = evaluate(model, section, ingest, whole=True)
        assert found.metrics["seg"] == pytest.approx(12 / 28)
    assert "seg" not in run(section, whole=True).metrics


def test_of_the_own_data_set_only_what_did_not_train(tmp_path: Path) -> None:
    section = data(tmp_path, split=SplitConfig(train=("0..2",), eval=("3",)))
    found = run(section, whole=False)
    assert found.images == 1
    assert found.confusion == [[0, 16], [0, 3]]


def test_bad_files_are_named(tmp_path: Path) -> None:
    section = data(tmp_path)
    (tmp_path / "images/0.png").write_bytes(b"")
    (tmp_path / "masks/3.png").unlink()
    found = run(section, whole=True)
    assert found.images == 2
    assert found.set_aside == [
        SetAside("images/0.png", "empty file"),
        SetAside("images/3.png", "image without mask: there is no masks/3.*"),
    ]


def test_other_classes_than_the_models(tmp_path: Path) -> None:
    section = data(tmp_path).model_copy(update={"classes": {"sky": (0,), "road": (1,)}})
    with pytest.raises(InputError, match=r"knows the classes background, cell, .* has sky, road"):
        run(section, whole=True)
