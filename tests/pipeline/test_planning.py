from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from rich.console import Console

from components.errors import InputError
from components.image_example_gen.config import DataConfig, SplitConfig
from components.image_example_gen.ingest_config import IngestConfig
from components.image_example_gen.splitting import side_by_hash
from pipeline import config, guessing, planning
from pipeline.guessing import meaning, related_frames, tile_side

RNG = np.random.default_rng(0)


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def pairs(
    root: Path,
    count: int,
    values: tuple[int, ...] = (0, 255),
    folders: tuple[str, str] = ("images", "masks"),
    shape: tuple[int, ...] = (30, 40),
) -> Path:
    """Noise with masks that hold `values` in equal stripes."""
    mask = np.repeat(np.array(values, np.uint8), 40 // len(values) + 1)[None, :40]
    for number in range(count):
        name = f"{number:02}.png"
        save(root / folders[0] / name, RNG.integers(0, 256, shape, np.uint8))
        save(root / folders[1] / name, np.broadcast_to(mask, shape[:2]).copy())
    return root


def shown(findings: planning.Findings) -> str:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(planning.render(findings))
    return console.export_text()


def test_finds_and_shows_what_is_there(tmp_path: Path):
    findings = planning.inspect(pairs(tmp_path, 24))
    found = findings.to_json()
    assert found["pairs"] == 24
    assert found["sizes"] == {"40x30": 24}
    assert found["channels"] == {"1": 24}
    assert found["dtypes"] == {"uint8": 24}
    # np.repeat gives 21 columns of 0 and 19 of 255.
    assert found["values"] == {"0": 21 / 40, "255": 19 / 40}
    assert found["classes"] == {"background": [0], "foreground": [255]}
    assert found["problems"] == []
    json.dumps(found)
    text = shown(findings)
    for words in ("24: images with masks", "40x30", "uint8, grey", "foreground", "48 %"):
        assert words in text


def test_writes_a_configuration_that_loads_and_says_the_same(tmp_path: Path):
    findings = planning.inspect(pairs(tmp_path / "data", 60))
    target = tmp_path / "overtile.yaml"
    planning.write_config(findings, target)
    loaded = config.load(target)
    assert loaded.data == findings.data
    assert loaded.ingest.tile == findings.ingest.tile == 64
    assert "path: data " in target.read_text()
    assert all(len(line) <= 100 for line in target.read_text().splitlines())


def test_never_overwrites_unless_told(tmp_path: Path):
    findings = planning.inspect(pairs(tmp_path / "data", 20))
    target = tmp_path / "overtile.yaml"
    target.write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        planning.write_config(findings, target)
    assert target.read_text() == "mine"
    planning.write_config(findings, target, overwrite=True)
    assert config.load(target).data.classes == findings.data.classes


def test_awkward_names_survive_yaml(tmp_path: Path):
    root = pairs(tmp_path / "my data: #1", 20, values=(0, 1, 2))
    (root / "classes.txt").write_text("0 yes\n1 tv/monitor: old\n2 ünlike 'x'\n")
    planning.write_config(planning.inspect(root), tmp_path / "overtile.yaml")
    loaded = config.load(tmp_path / "overtile.yaml")
    assert list(loaded.data.classes) == ["yes", "tv/monitor: old", "ünlike 'x'"]
    assert loaded.data.path == root


def test_names_from_a_file_and_ignored_ones(tmp_path: Path):
    root = pairs(tmp_path, 20, values=(0, 1, 3))
    (root / "classes.txt").write_text("Sky\nRoad\nCar\nUnlabelled\n")
    findings = planning.inspect(root)
    assert findings.data.classes == {"Sky": (0,), "Road": (1,), "Car": (2,)}
    assert findings.data.ignore == (3,)
    assert "In no mask that was looked at: Car." in findings.problems


def test_bad_files_are_suspected(tmp_path: Path):
    root = pairs(tmp_path, 20)
    (root / "masks/03.png").unlink()
    (root / "images/04.png").write_bytes(b"")
    findings = planning.inspect(root)
    assert findings.to_json()["bad_files"] == [
        {"file": "images/03.png", "reason": "image without mask: there is no masks/03.*"},
        {"file": "images/04.png", "reason": "empty file"},
    ]
    problems = " ".join(findings.problems)
    assert "1 file cannot be paired with a mask and will be set aside: images/03.png" in problems
    assert "1 file cannot be used and will be set aside: images/04.png (empty file)." in problems
    assert "A run stops at so many bad files" in problems


def test_mixed_images_are_suspected(tmp_path: Path):
    root = pairs(tmp_path, 20)
    save(root / "images/00.png", RNG.integers(0, 2**16, (30, 40)).astype(np.uint16))
    save(root / "images/01.png", RNG.integers(0, 256, (30, 40, 3), np.uint8))
    save(root / "images/02.png", np.full((30, 40), 9, np.uint8))
    findings = planning.inspect(root)
    problems = " ".join(findings.problems)
    assert "Pixel types differ: uint8 in 19, uint16 in 1; the 1 that are not uint8" in problems
    assert "Channels differ: 1 in 19, 3 in 1." in problems
    assert "Images of a single colour: 02." in problems
    # Grey becomes RGB without loss, RGB does not become grey.
    assert findings.data.channels == 3
    assert findings.data.dtype == "uint8"


def test_few_images_are_split_by_order(tmp_path: Path):
    findings = planning.inspect(pairs(tmp_path, 2))
    assert findings.data.split == SplitConfig(train=("00",), eval=("01",))
    assert findings.problems[0].startswith("Only 2 labelled images")


def test_few_images_of_a_list_are_split_by_its_groups(tmp_path: Path):
    pairs(tmp_path, 6)
    lines = [f"images/{n:02}.png,masks/{n:02}.png,{'pq'[n % 2]}" for n in range(6)]
    (tmp_path / "list.csv").write_text("\n".join(["image,mask,group", *lines]))
    data = planning.inspect(tmp_path / "list.csv").data
    # By seed 0 both patients go to one side; a list of images by order would tear both.
    assert {side_by_hash(group, SplitConfig()) for group in "pq"} != {"train", "eval"}
    assert {side_by_hash(group, data.split) for group in "pq"} == {"train", "eval"}
    assert not data.split.train


def test_frames_are_split_by_blocks(tmp_path: Path):
    # A scene of blocks 32 pixels wide that drifts by 4 pixels a frame.
    scene = np.kron(RNG.integers(0, 256, (8, 8), np.uint8), np.ones((8, 32), np.uint8))
    for number in range(30):
        save(tmp_path / f"images/{number}.png", scene[:, 4 * number : 4 * number + 128])
        save(tmp_path / f"masks/{number}.png", np.eye(64, 128, dtype=np.uint8) * 255)
    findings = planning.inspect(tmp_path)
    # 30 frames, the last 6 evaluate.
    assert findings.data.split == SplitConfig(train=("0..23",), eval=("24..29",))
    assert any("Neighbouring images are much alike" in line for line in findings.problems)


def test_unrelated_images_are_not_frames():
    images = RNG.normal(size=(30, 32, 32)).astype(np.float32)
    assert not related_frames([str(number) for number in range(30)], images)


def test_stack(tmp_path: Path):
    images = RNG.integers(0, 2**16, (25, 20, 20)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "train-volume.tif", images, photometric="minisblack")
    masks = (images > 30000).astype(np.uint8)
    tifffile.imwrite(tmp_path / "train-labels.tif", masks, photometric="minisblack")
    data = planning.inspect(tmp_path).data
    assert (data.format, data.images, data.dtype) == ("stack", "train-volume.tif", "uint16")
    written = tmp_path / "overtile.yaml"
    planning.write_config(planning.inspect(tmp_path), written)
    assert "file of the images" in written.read_text()


def test_folders_of_stacks(tmp_path: Path):
    for name in "ab":
        images = RNG.integers(0, 256, (25, 20, 20)).astype(np.uint8)
        for folder, values in (("images", images), ("masks", (images > 99).astype(np.uint8))):
            (tmp_path / folder).mkdir(exist_ok=True)
            tifffile.imwrite(tmp_path / folder / f"{name}.tif", values, photometric="minisblack")
    found = planning.inspect(tmp_path)
    assert (found.data.format, found.data.images) == ("stack", "images")
    assert len(found.survey.listing.samples) == 50
    written = tmp_path / "overtile.yaml"
    planning.write_config(found, written)
    assert config.load(written).data.format == "stack"
    assert "folder of the images" in written.read_text()
    data, _ = planning.complete(DataConfig(path=tmp_path), IngestConfig())
    assert data.format == "stack"


@pytest.mark.parametrize(
    ("values", "lossy", "classes", "ignore"),
    [
        ({0: 9, 255: 1}, False, {"background": (0,), "foreground": (255,)}, ()),
        ({0: 5, 1: 3, 2: 1}, False, {"class_0": (0,), "class_1": (1,), "class_2": (2,)}, ()),
        # 255 beside small ids is what VOC calls void.
        ({0: 5, 5: 3, 255: 1}, False, {"background": (0,), "foreground": (5,)}, (255,)),
        ({0: 90, 1: 1, 2: 1, 255: 8}, False, {f"class_{n}": (n,) for n in range(3)}, (255,)),
        # A few stray values between greys: the nearest class takes them. 64 is midway of 0 and 127.
        (
            {0: 400, 127: 300, 128: 50, 233: 1, 255: 249},
            False,
            {
                "class_0": tuple(range(64)),
                "class_1": tuple(range(64, 191)),
                "class_2": tuple(range(191, 256)),
            },
            (),
        ),
        # JPEG.
        (
            {0: 50, 1: 9, 2: 3, 250: 3, 255: 35},
            True,
            {"background": tuple(range(128)), "foreground": tuple(range(128, 256))},
            (),
        ),
    ],
)
def test_meaning(values: dict[int, int], lossy: bool, classes: dict, ignore: tuple[int, ...]):
    found = meaning(values, lossy, {})
    assert found.classes == classes
    assert found.ignore == ignore


def test_object_numbers_are_foreground():
    found = meaning(dict.fromkeys(range(300), 10), False, {})
    assert found.instances
    # All numbers of as many bits as the greatest: 2^9 - 1.
    assert found.classes == {"background": (0,), "foreground": tuple(range(1, 512))}


def test_tile_side():
    # Held whole, rounded up to a multiple of 32.
    assert tile_side(Counter({(480, 360): 5})) == 480
    assert tile_side(Counter({(500, 375): 5, (90, 90): 1})) == 512
    # 584 x 565: nine tiles of 256 store 589,824 pixels, four of 512 over a million.
    assert tile_side(Counter({(565, 584): 5})) == 256
    # 1024 x 1024: as many pixels either way, so the one with more context.
    assert tile_side(Counter({(1024, 1024): 5})) == 512


def test_complete_fills_what_is_not_said(tmp_path: Path):
    root = pairs(tmp_path, 20, values=(0, 1), folders=("photos", "labels"))
    data, ingest = planning.complete(DataConfig(path=root), IngestConfig())
    assert (data.images, data.masks) == ("photos", "labels")
    assert (data.channels, data.dtype) == (1, "uint8")
    assert data.classes == {"background": (0,), "foreground": (1,)}
    assert ingest.tile == 64
    # Guessed anew with each run, a split could move images: the hash stays.
    assert data.split == SplitConfig()


def test_complete_keeps_what_is_said(tmp_path: Path):
    root = pairs(tmp_path, 20, values=(0, 1, 255))
    said = DataConfig(path=root, channels=3, classes={"a": (1,), "b": (0, 255)})
    data, ingest = planning.complete(said, IngestConfig(tile=32))
    assert data == said.model_copy(update={"format": data.format, "dtype": "uint8"})
    assert ingest == IngestConfig(tile=32)


def test_complete_reads_nothing_if_all_is_said(tmp_path: Path):
    said = DataConfig(
        path=tmp_path / "nowhere", channels=1, dtype="uint8", classes={"a": (0,), "b": (1,)}
    )
    assert planning.complete(said, IngestConfig()) == (said, IngestConfig())


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "holds no images"),
        (["a.png"], "holds 1 images, but no folder of masks"),
        (["x/a.png", "x/a.json"], "JSON or XML files that are no export of COCO"),
    ],
)
def test_folders_that_are_not_understood(tmp_path: Path, files: list[str], message: str):
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(b"")
    with pytest.raises(InputError, match=message):
        planning.inspect(tmp_path)


def test_masks_of_one_value_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="all masks hold the one value 0"):
        planning.inspect(pairs(tmp_path, 20, values=(0,)))


@pytest.mark.parametrize(
    ("name", "classes", "split"),
    [
        ("isbi2012", {"background": (0,), "foreground": (255,)}, (("00..18",), ("19..23",))),
        # Inverted: several cells are 0.
        ("dic_hela", {"background": (65535,), "foreground": (0,)}, (("000..047",), ("048..059",))),
        ("pets", {f"class_{n}": (n,) for n in range(3)}, ((), ())),
    ],
)
def test_real_data(shared_data: Path, name: str, classes: dict, split: tuple):
    findings = planning.inspect(shared_data / name)
    assert findings.data.classes == classes
    assert (findings.data.split.train, findings.data.split.eval) == split


def test_real_data_of_many_classes(shared_data: Path):
    findings = planning.inspect(shared_data / "camvid")
    assert len(findings.data.classes) == 11
    assert findings.data.ignore == (11,)
    assert (findings.data.images, findings.data.masks) == ("{SPLIT}", "{SPLIT}annot")
    assert any("Bicyclist (0.68 %)" in problem for problem in findings.problems)
    # The data set's own split: 123 train, 34 evaluate.
    assert Counter(sample.split for sample in findings.survey.listing.samples) == {
        "train": 123,
        "eval": 34,
    }
    assert findings.data.split == SplitConfig()


def test_names_may_be_numbered_or_in_order(tmp_path: Path):
    (tmp_path / "labels.txt").write_text("# ids\n0: sky\n7: road\n")
    assert guessing.class_names(tmp_path, tmp_path)[0] == {0: "sky", 7: "road"}
    (tmp_path / "classes.txt").write_text("sky\n\nroad\n")
    assert guessing.class_names(tmp_path, tmp_path)[0] == {0: "sky", 1: "road"}


def test_spans_are_recognised_by_their_marker(tmp_path: Path):
    for name in ("week-2", "week-10"):
        pairs(tmp_path / "data" / name, 60)
    assert planning.inspect(tmp_path / "data").data.spans is None
    (tmp_path / "data/week-10/_COMPLETE").touch()
    findings = planning.inspect(tmp_path / "data")
    assert findings.data.path == tmp_path / "data"
    assert findings.data.spans is not None
    assert findings.data.spans.pattern == "week-{SPAN}"
    # The first that is whole.
    assert findings.to_json()["pairs"] == 60
    assert "week-{SPAN}; what follows is about the first" in shown(findings)
    target = tmp_path / "overtile.yaml"
    planning.write_config(findings, target)
    assert config.load(target).data == findings.data
