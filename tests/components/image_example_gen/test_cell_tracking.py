from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from components.errors import BadFileError, InputError
from components.image_example_gen import sources
from components.image_example_gen.config import DataConfig
from components.image_example_gen.sources import cell_tracking
from pipeline import planning


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, pixels.astype(np.uint16))


def sequence(root: Path, name: str, frames: int, labelled: tuple[int, ...], truth: str = "GT"):
    rng = np.random.default_rng(int(name))
    for frame in range(frames):
        save(root / f"{name}/t{frame:03}.tif", rng.integers(0, 4000, (6, 8)))
    for frame in labelled:
        objects = np.zeros((6, 8))
        objects[1:3, 1:3], objects[4:, 5:] = 7, 300
        save(root / f"{name}_{truth}/SEG/man_seg{frame:03}.tif", objects)


def data(root: Path, **keys: object) -> DataConfig:
    assert cell_tracking.recognise(root) == {"format": "cell_tracking"}
    return DataConfig(path=root, format="cell_tracking", **keys)


def test_sequences_are_groups_and_other_frames_are_not_labelled(tmp_path: Path):
    sequence(tmp_path, "01", 5, (1, 3))
    sequence(tmp_path, "02", 4, (0,))
    save(tmp_path / "02_GT/SEG/man_seg0009.tif", np.zeros((6, 8)))
    listing = sources.listing(data(tmp_path))
    assert [(one.key, one.group) for one in listing.samples] == [
        ("01/t001", "01"),
        ("01/t003", "01"),
        ("02/t000", "02"),
    ]
    # 9 frames, of which 3 have objects.
    assert listing.unlabelled == 6
    assert [(one.file, one.reason) for one in listing.lone_masks] == [
        ("02_GT/SEG/man_seg0009.tif", "mask without image: there is no 02/t009.tif")
    ]


def test_cells_are_instances(tmp_path: Path):
    sequence(tmp_path, "01", 2, (0, 1))
    config = data(tmp_path)
    sample = sources.listing(config).samples[0]
    labels = cell_tracking.read_labels(sample, config, (6, 8))
    assert labels.names == ("background", "cell")
    assert labels.values.sum() == 4 + 6
    assert np.unique(labels.instances).tolist() == [0, 7, 300]
    assert labels.region is None


def test_gold_counts_before_silver(tmp_path: Path):
    sequence(tmp_path, "01", 3, (0,))
    sequence(tmp_path, "01", 3, (0, 1, 2), "ST")
    listing = sources.listing(data(tmp_path))
    folders = [Path(one.mask.path).parts[-3] for one in listing.samples]
    assert folders == ["01_GT", "01_ST", "01_ST"]


def test_frames_that_are_labelled_in_part(tmp_path: Path):
    sequence(tmp_path, "01", 3, (0, 1, 2))
    markers = np.zeros((6, 8))
    markers[1, 1], markers[5, 6] = 1, 2
    save(tmp_path / "01_GT/TRA/man_track000.tif", markers)
    markers[0, 7] = 3  # a cell that nobody has drawn
    save(tmp_path / "01_GT/TRA/man_track001.tif", markers)
    config = data(tmp_path, unlabelled="ignore")
    whole, part, unknown = (
        cell_tracking.read_labels(one, config, (6, 8)) for one in sources.listing(config).samples
    )
    assert whole.region is None
    for labels in (part, unknown):
        np.testing.assert_array_equal(labels.region, labels.values == 1)
    assert len(cell_tracking.files(config)) == 3 + 3 + 2
    save(tmp_path / "01_GT/TRA/man_track000.tif", np.zeros((2, 2)))
    with pytest.raises(BadFileError, match=r"man_track000\.tif has another size"):
        cell_tracking.read_labels(sources.listing(config).samples[0], config, (6, 8))


def test_a_sequence_is_never_on_both_sides(tmp_path: Path):
    sequence(tmp_path, "01", 4, (0, 1, 2, 3))
    sequence(tmp_path, "02", 4, (0, 1, 2, 3))
    split = planning.inspect(tmp_path).data.split
    if split.train:
        assert split.train == ("01/*",)
        assert split.eval == ("02/*",)


def test_none_labelled(tmp_path: Path):
    sequence(tmp_path, "01", 2, (0,))
    config = data(tmp_path)
    (tmp_path / "01_GT/SEG/man_seg000.tif").unlink()
    with pytest.raises(InputError, match="no frame"):
        sources.listing(config)
    assert cell_tracking.recognise(tmp_path) is None


def test_real_masks_agree_with_tifffile(shared_data: Path):
    config = data(shared_data / "ctc/Fluo-N2DL-HeLa")
    samples = sources.listing(config).samples
    assert [one.key for one in samples] == ["01/t013", "01/t052"]
    for sample in samples:
        expected = tifffile.imread(sample.mask.path)
        labels = cell_tracking.read_labels(sample, config, expected.shape)
        np.testing.assert_array_equal(labels.instances, expected)
        np.testing.assert_array_equal(labels.values, expected > 0)
    # The folder above, which may hold several data sets, is one too.
    assert len(sources.listing(data(shared_data / "ctc")).samples) == 2
