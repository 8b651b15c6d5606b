"""How the coding of masks is recognised, and what is said for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components.image_example_gen import sources
from components.image_example_gen.config import DataConfig
from components.image_example_gen.reading import Reader
from pipeline import codings, colour_names, config, planning
from tests.pipeline.test_planning import shown

RNG = np.random.default_rng(0)
RED, GREEN = (200, 0, 0), (0, 200, 0)


def save(path: Path, pixels: np.ndarray, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def pair(root: Path, number: int, mask: np.ndarray, ending: str = "png", **options: Any) -> None:
    save(root / f"images/{number}.png", RNG.integers(0, 256, mask.shape[:2], np.uint8))
    save(root / f"masks/{number}.{ending}", mask, **options)


def stripes(*colours: tuple[int, ...]) -> np.ndarray:
    """32 x 48 pixels, in as wide stripes."""
    mask = np.repeat(np.array(colours, np.uint8), 48 // len(colours), axis=0)
    return np.broadcast_to(mask, (32, *mask.shape)).copy()


def written(findings: planning.Findings, folder: Path) -> DataConfig:
    """The data section of the file that init writes."""
    planning.write_config(findings, folder / "overtile.yaml")
    return config.load(folder / "overtile.yaml").data


def first_mask(data: DataConfig) -> np.ndarray:
    return Reader(data).pair(sources.of(data).listing(data).samples[0]).mask


def test_palettes_among_colours(tmp_path: Path):
    for number in range(6):
        pair(tmp_path / "data", number, stripes((0, 0, 0), RED, GREEN))
    picture = Image.fromarray(np.repeat([[0, 1, 2, 1]], 32, axis=0).repeat(12, axis=1).astype("u1"))
    picture.putpalette([0, 0, 0, *GREEN, *RED])
    picture.save(tmp_path / "data/masks/0.png")
    findings = planning.inspect(tmp_path / "data")
    assert findings.data.coding == "colours"
    assert findings.data.classes == {
        "background": ("#000000",),
        "colour_00c800": ("#00c800",),
        "colour_c80000": ("#c80000",),
    }
    assert findings.data.tolerance == 0
    assert "Stored as 8-bit RGB PNG (5), 2-bit palette PNG (1)." in findings.evidence()
    assert any("palettes' colours too" in sentence for sentence in findings.evidence())
    data = written(findings, tmp_path)
    assert data == findings.data
    # The palette's 1 is green, so class 1, and its 2 is red.
    assert first_mask(data)[0, ::12].tolist() == [0, 1, 2, 1]


def test_colours_that_are_a_little_off(tmp_path: Path):
    for number in range(6):
        mask = stripes((0, 0, 0), RED, GREEN)
        mask[:4, 20] = 201, 1, 0
        pair(tmp_path / "data", number, mask)
    findings = planning.inspect(tmp_path / "data")
    assert len(findings.data.classes) == 3
    assert findings.data.tolerance == 16
    assert any("within 16 of one are taken for it" in line for line in findings.evidence())
    assert first_mask(written(findings, tmp_path))[0, 20] == 2


def test_colours_smeared_by_jpeg(tmp_path: Path):
    for number in range(6):
        pair(tmp_path / "data", number, stripes((0, 0, 0), RED, GREEN), "jpg", quality=80)
    findings = planning.inspect(tmp_path / "data")
    assert len(findings.data.classes) == 3
    assert findings.data.tolerance == 255
    mask = first_mask(findings.data)
    # Away from the edges of the stripes.
    assert mask[16, [6, 24, 40]].tolist() == [0, 2, 1]


def objects(count: int) -> np.ndarray:
    """Squares with numbers from 1, on 0."""
    mask = np.zeros((40, 60), np.uint16)
    for number in range(count):
        y, x = divmod(number, 6)
        mask[10 * y + 2 : 10 * y + 8, 10 * x + 2 : 10 * x + 8] = number + 1
    return mask


def test_few_objects_are_numbered(tmp_path: Path):
    for number in range(6):
        pair(tmp_path / "data", number, objects(5 + number))
    findings = planning.inspect(tmp_path / "data")
    assert findings.data.coding == "objects"
    assert findings.data.classes == {"background": (0,), "foreground": tuple(range(1, 256))}
    assert (
        "11 values in 6 masks, which number objects: in 6 of 6 masks each is one connected piece."
        in findings.evidence()
    )
    data = written(findings, tmp_path)
    found = Reader(data).pair(sources.of(data).listing(data).samples[0])
    assert found.instances is not None
    np.testing.assert_array_equal(found.instances, objects(5))
    np.testing.assert_array_equal(found.mask, objects(5) > 0)


def test_objects_may_be_told_apart_by_colours(tmp_path: Path):
    colours = RNG.integers(1, 256, (30, 3), np.uint8)
    colours[0] = 0
    for number in range(6):
        pair(tmp_path / "data", number, colours[objects(12 + number)])
    findings = planning.inspect(tmp_path / "data")
    assert findings.data.coding == "objects"
    found = Reader(findings.data).pair(sources.of(findings.data).listing(findings.data).samples[0])
    assert found.instances is not None
    assert found.instances.max() == 12
    np.testing.assert_array_equal(found.mask, objects(12) > 0)


def test_classes_in_several_pieces_are_no_objects(tmp_path: Path):
    for number in range(6):
        pair(tmp_path, number, (objects(24) % 6).astype(np.uint8))
    findings = planning.inspect(tmp_path)
    assert findings.data.coding == "auto"
    assert list(findings.data.classes) == [f"class_{value}" for value in range(6)]


def discs(dark: bool) -> np.ndarray:
    """Nine objects on a background of most of the pixels."""
    mask = np.zeros((60, 60), np.uint8)
    yy, xx = np.mgrid[:60, :60]
    for y in (10, 30, 50):
        for x in (10, 30, 50):
            mask[(yy - y) ** 2 + (xx - x) ** 2 < 40] = 255
    return 255 - mask if dark else mask


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_inverted_masks(tmp_path: Path, dark: bool, ending: str):
    for number in range(6):
        pair(tmp_path, number, discs(dark), ending)
    findings = planning.inspect(tmp_path)
    assert list(findings.data.classes) == ["background", "foreground"]
    assert any(line.startswith("Inverted: ") for line in findings.evidence()) == dark
    # The objects are class 1 either way.
    assert (first_mask(findings.data)[[10, 30], [10, 30]] == 1).all()
    assert (first_mask(findings.data)[[0, 20], [0, 20]] == 0).all()


def test_the_view_shows_the_evidence(tmp_path: Path):
    for number in range(6):
        pair(tmp_path, number, discs(dark=True))
    text = shown(planning.inspect(tmp_path))
    assert "Stored as 8-bit grey PNG (6)." in text
    assert "Inverted: what is bright covers 100 % of the pictures' edges" in text


def test_keys_of_files_are_written(tmp_path: Path):
    root = tmp_path / "data"
    for word in ("train", "val"):
        for number in range(3):
            for part in (1, 2):
                mask = np.where(objects(2) == part, 255, 0).astype(np.uint8)
                save(root / f"{word}/labels/{number}_m_{part}.png", mask)
            save(root / f"{word}/im/{number}_i.png", RNG.integers(0, 256, (40, 60), np.uint8))
    findings = planning.inspect(root)
    data = written(findings, tmp_path)
    assert data == findings.data
    assert (data.images, data.masks, data.mask_per) == ("{SPLIT}/im", "{SPLIT}/labels", "object")
    assert "The data set is split already" in (tmp_path / "overtile.yaml").read_text()
    assert "12 files of masks for 6 images: one an object, merged." in findings.evidence()
    assert "the data set's own" in shown(findings)


def test_peaks_among_colours():
    exact = codings.colours_of({"#000000": 90, "#ff0000": 9, "#00ff00": 1}, lossy=False)
    assert exact == codings.Colours(("#000000", "#00ff00", "#ff0000"), 0)
    off = codings.colours_of({"#000000": 90, "#800000": 9, "#7f0100": 2}, lossy=False)
    assert off == codings.Colours(("#000000", "#800000"), 16)
    lossy = codings.colours_of({"#000000": 9000, "#ff0000": 900, "#7f0000": 2}, lossy=True)
    assert lossy == codings.Colours(("#000000", "#ff0000"), 255)


def test_colours_get_the_names_of_a_file(tmp_path: Path):
    for number in range(6):
        pair(tmp_path / "data", number, stripes((0, 0, 0), RED, GREEN, (9, 9, 99)))
    (tmp_path / "data/class_dict.csv").write_text(
        "name,r,g,b\nroad side,200,0,0\nVoid,0,0,0\ncar,1,2,3\ntree,0,200,0\n"
    )
    findings = planning.inspect(tmp_path / "data")
    # The file's order; what it lacks comes last.
    assert findings.data.classes == {
        "road side": ("#c80000",),
        "car": ("#010203",),
        "tree": ("#00c800",),
        "colour_090963": ("#090963",),
    }
    assert findings.data.ignore == ("#000000",)
    assert "In no mask that was looked at: car." in findings.problems
    assert any("names from class_dict.csv" in line for line in findings.evidence())
    assert written(findings, tmp_path) == findings.data


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("64 128 64\tAnimal\n192 0 128 Arch way\n", {"#408040": "Animal", "#c00080": "Arch way"}),
        ("a:1,2,3::\nb:4,5,6::\n", {"#010203": "a", "#040506": "b"}),
        ("0 sky\n1 road\n", {}),
        ("a,1,2,300\nb,1,2,3\n", {}),
    ],
)
def test_files_of_colours(tmp_path: Path, text: str, names: dict[str, str]):
    (tmp_path / "label_colors.txt").write_text(text)
    assert colour_names.read(tmp_path)[0] == names


@pytest.mark.parametrize(("ending", "channels"), [("png", 3), ("tif", 4)])
def test_a_fourth_channel_is_alpha_but_in_tiff(tmp_path: Path, ending: str, channels: int):
    # Noise, so hardly opaque; TIFF may hold near infrared there.
    for number in range(6):
        mask = discs(dark=False)
        save(tmp_path / f"masks/{number}.png", mask)
        pixels = RNG.integers(0, 256, (*mask.shape, 4), np.uint8)
        save(tmp_path / f"images/{number}.{ending}", pixels)
    findings = planning.inspect(tmp_path)
    assert findings.data.channels == channels
    told = [line for line in findings.problems if line.startswith("Images with transparent pixels")]
    assert bool(told) == (ending == "png")
