from __future__ import annotations

import dataclasses
import itertools
import json
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from components.image_example_gen import decode, measuring, pieces
from components.image_example_gen.config import DataConfig, layout
from components.image_example_gen.ingest_config import IngestConfig
from components.image_example_gen.reading import Reader, SampleError
from components.image_example_gen.shards import Settings, Shard, take_reports, write
from components.image_example_gen.sources import paired, stack
from components.image_example_gen.sources.contract import Box, Reference
from components.image_example_gen.splitting import Placed
from components.records import EVAL, TRAIN, encode
from tests.components.image_example_gen.conftest import data_of
from tests.components.image_example_gen.tiffs import repeated_tile

SIZE = (150, 230)


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes an image of 100 x 100 pixels for large, and two tiles of 32 for a piece."""
    monkeypatch.setattr(pieces, "LARGE", 100 * 100)
    monkeypatch.setattr(pieces, "_PIECE", 2 * 32 * 48)


def make_tiff(root: Path, key: str, tile: tuple[int, int] | None = (16, 16), **options) -> None:
    """An image and a mask of squares numbered from 1, both compressed TIFF of 230 x 150."""
    rng = np.random.default_rng(0)
    rows, columns = np.indices(SIZE)
    numbers = (rows // 20) * 12 + columns // 20 + 1
    mask = np.where((rows % 20 < 17) & (columns % 20 < 18), numbers, 0).astype(np.uint8)
    for folder, pixels in (("images", rng.integers(0, 256, SIZE, np.uint8)), ("masks", mask)):
        (root / folder).mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(
            root / folder / f"{key}.tif",
            pixels,
            tile=tile,
            rowsperstrip=None if tile else 11,
            compression="deflate",
            **options,
        )


def objects_of(root: Path) -> DataConfig:
    """Each number is an object of its own."""
    return data_of(
        root, classes={"background": (0,), "cell": tuple(range(1, 256))}, coding="objects"
    )


def placed_of(data: DataConfig, split: str = TRAIN) -> Placed:
    (sample, *_) = paired.listing(data).samples
    return Placed(sample, split, "g", "abc")


@pytest.mark.parametrize("tile", [(16, 16), None])
@pytest.mark.parametrize(
    "options",
    [
        {"tile": 32},
        {"tile": 48, "margin": 40},
        {"tile": 300, "margin": 8},
        {"tile": 32, "margin": 4, "border_weights": {"w0": 10, "sigma": 3}, "instances": True},
    ],
)
def test_a_large_image_gives_the_records_that_a_small_one_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tile, options
):
    make_tiff(tmp_path, "a", tile)
    data, ingest = objects_of(tmp_path), IngestConfig(**options)
    shape = layout(data, ingest)
    whole = [encode(record, shape) for record in Reader(data, ingest).records(placed_of(data))]

    boxes = []
    monkeypatch.setattr(pieces, "LARGE", 100 * 100)
    monkeypatch.setattr(pieces, "_PIECE", 2 * 32 * 48)
    decode_image = decode.decode_image

    def watched(path: Path, page: int | None = None, box: Box | None = None) -> np.ndarray:
        boxes.append(box)
        return decode_image(path, page, box)

    monkeypatch.setattr(decode, "decode_image", watched)
    assert [
        encode(record, shape) for record in Reader(data, ingest).records(placed_of(data))
    ] == whole
    assert None not in boxes
    assert len(boxes) > 1 or ingest.tile > max(SIZE)


def test_border_labels_agree_between_pieces(tmp_path: Path, small_pieces, monkeypatch):
    make_tiff(tmp_path, "a")
    data = objects_of(tmp_path).model_copy(
        update={"instances": "border", "border_width": 3, "ignore": ("border",)}
    )
    ingest = IngestConfig(tile=32)
    in_pieces = [record.mask for record in Reader(data, ingest).records(placed_of(data))]
    monkeypatch.setattr(pieces, "LARGE", 2**24)
    whole = [record.mask for record in Reader(data, ingest).records(placed_of(data))]
    np.testing.assert_array_equal(in_pieces, whole)


def test_a_mask_of_another_format_is_read_once_whole(tmp_path: Path, small_pieces, monkeypatch):
    make_tiff(tmp_path, "a")
    mask = tifffile.imread(tmp_path / "masks/a.tif")
    (tmp_path / "masks/a.tif").unlink()
    Image.fromarray(mask).save(tmp_path / "masks/a.png")
    reads = []
    read_labels = paired.read_labels
    monkeypatch.setattr(
        paired, "read_labels", lambda *args: reads.append(args) or read_labels(*args)
    )
    data = objects_of(tmp_path)
    records = list(Reader(data, IngestConfig(tile=64)).records(placed_of(data)))
    assert len(reads) == 1
    np.testing.assert_array_equal(records[1].mask, mask[:64, 64:128] > 0)

    # Past what may be read at once it is refused, and the reason says what to do.
    monkeypatch.setattr(pieces, "MAX_PIXELS", 100 * 100)
    with pytest.raises(SampleError, match=r"masks/a.png: labels of 230x150 .* from a tiled TIFF"):
        next(Reader(data, IngestConfig(tile=64)).records(placed_of(data)))


def test_a_mask_of_another_size_is_refused_before_the_first_record(tmp_path: Path, small_pieces):
    make_tiff(tmp_path, "a")
    tifffile.imwrite(tmp_path / "masks/a.tif", np.zeros((150, 229), np.uint8), tile=(16, 16))
    data = objects_of(tmp_path)
    with pytest.raises(SampleError, match=r"masks/a.tif: mask is 229x150, image is 230x150"):
        next(Reader(data, IngestConfig(tile=64)).records(placed_of(data)))


def test_objects_that_only_components_tell_apart_are_not_numbered(tmp_path: Path, small_pieces):
    make_tiff(tmp_path, "a")
    data = objects_of(tmp_path).model_copy(update={"coding": "values"})
    with pytest.raises(SampleError, match=r"not searched for them; set ingest.instances: false"):
        next(Reader(data, IngestConfig(tile=64, instances=True)).records(placed_of(data)))


def test_an_image_that_proves_bad_amid_its_tiles_leaves_no_record(tmp_path: Path, small_pieces):
    make_tiff(tmp_path, "a")
    make_tiff(tmp_path, "b")
    make_tiff(tmp_path, "c")
    # The last tile's bytes are overwritten: what is stored is all there, but is no deflate stream.
    file = tmp_path / "images/b.tif"
    with tifffile.TiffFile(file) as opened:
        offset, count = opened.pages[0].dataoffsets[-1], opened.pages[0].databytecounts[-1]
    raw = bytearray(file.read_bytes())
    raw[offset : offset + count] = b"\xff" * count
    file.write_bytes(raw)
    data, ingest = objects_of(tmp_path), IngestConfig(tile=64)
    placed = [Placed(sample, TRAIN, "g", "") for sample in paired.listing(data).samples]
    some = Reader(data, ingest).records(placed[1])
    assert next(some).tile == (0, 0)
    with pytest.raises(SampleError, match=r"images/b.tif: corrupt TIFF"):
        list(some)

    def written(name: str, samples: list[Placed]) -> tuple[dict, bytes]:
        shard = Shard(str(tmp_path / "records" / "Split-train" / name), TRAIN, tuple(samples))
        Path(shard.path).parent.mkdir(parents=True, exist_ok=True)
        write(shard, Settings(data, ingest))
        (report,) = take_reports([shard])
        return dataclasses.asdict(report), Path(shard.path).read_bytes()

    report, records = written("three", placed)
    # 3 x 4 tiles of 64 in each of the two good images.
    assert (report["images"], report["records"]) == (2, 24)
    (bad,) = report["set_aside"]
    assert bad["file"] == "images/b.tif"
    assert json.dumps(report)
    assert records == written("two", [placed[0], placed[2]])[1]


def test_a_large_image_has_one_digest_in_whatever_file(tmp_path: Path, small_pieces: None) -> None:
    make_tiff(tmp_path / "pieces", "a")
    make_tiff(tmp_path / "whole", "a")
    file = tmp_path / "whole/images/a.tif"
    cv2.imwrite(str(file.with_suffix(".png")), tifffile.imread(file))
    file.unlink()

    def row(name: str) -> dict:
        data = objects_of(tmp_path / name)
        measured = measuring.Measurement(layout(data, IngestConfig(tile=32)))
        parts = 0
        for part in Reader(data, IngestConfig(tile=32, margin=8)).parts(placed_of(data)):
            measured.look(part.image, part.start, part.size)
            for record in part.records:
                measured.add(record)
            parts += 1
        assert parts > 1
        return {**measuring.rows([measured], TRAIN)[0], "sha256": ""}

    assert row("whole") == row("pieces")


def test_a_truncated_image_is_refused_before_the_first_record(tmp_path: Path, small_pieces):
    make_tiff(tmp_path, "a")
    file = tmp_path / "images/a.tif"
    file.write_bytes(file.read_bytes()[:-1000])
    data = objects_of(tmp_path)
    with pytest.raises(SampleError, match=r"images/a.tif: truncated TIFF: \d+ of 150 tiles"):
        next(Reader(data, IngestConfig(tile=64)).records(placed_of(data)))


def test_pieces_have_the_tiles_of_the_grid_in_its_order(tmp_path: Path, small_pieces):
    data, ingest = data_of(tmp_path), IngestConfig(tile=32, margin=8)
    planned = list(pieces.plan(SIZE, data, ingest))
    # 230 columns in tiles of 32: eight a row, two a piece; five rows.
    assert [len(starts) for starts, _, _ in planned] == [2] * 20
    starts, box, labels = planned[1]
    assert starts == [(0, 64), (0, 96)]
    assert box == (0, 56, 40, 136)
    assert labels == (0, 64, 32, 128)
    # The last tile's core ends at 256 of 230 columns, its margin at 264. The mirror shows columns
    # 2 * 229 - 263 = 195 on; its piece begins at 192 - 8.
    assert planned[3][1] == (0, 184, 40, 230)


def test_a_glimpse_is_put_together_from_windows(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(pieces, "_GLIMPSE", 20)
    make_tiff(tmp_path, "a")
    data = objects_of(tmp_path)
    sample = placed_of(data).sample
    image, labels = pieces.glimpse(paired, sample, data, SIZE)
    whole = tifffile.imread(tmp_path / "images/a.tif")
    assert image.shape == (80, 80, 1)
    assert labels.values.shape == (80, 80)
    # Windows begin at 0, 130 // 3 = 43, 86, 130 of 150 rows, and at 0, 70, 140, 210 of 230 columns.
    np.testing.assert_array_equal(image[20:40, 60:80, 0], whole[43:63, 210:230])
    mask = tifffile.imread(tmp_path / "masks/a.tif")
    np.testing.assert_array_equal(labels.values[60:80, 20:40], mask[130:150, 70:90])


def test_rare_classes_are_shown_more_often_in_training_alone(tmp_path: Path):
    make_tiff(tmp_path, "a")
    # Number 1 is the square at rows 0 to 16 and columns 0 to 17, 17 * 18 = 306 pixels.
    classes = {"background": (0,), "cell": tuple(range(2, 256)), "rare": (1,)}
    data = data_of(tmp_path, classes=classes)
    for split, least, repeats in ((TRAIN, 306, [3, 1]), (TRAIN, 307, [1, 1]), (EVAL, 1, [1, 1])):
        ingest = IngestConfig(
            tile=128, oversample={"classes": ["rare"], "times": 3, "min_pixels": least}
        )
        records = list(Reader(data, ingest).records(placed_of(data, split)))
        assert [record.repeats for record in records[:2]] == repeats


def test_a_large_page_has_the_digest_that_it_has_whole(tmp_path: Path, monkeypatch):
    stack_of = tmp_path / "images.tif"
    pages = np.random.default_rng(0).integers(0, 256, (2, *SIZE, 3), np.uint8)
    tifffile.imwrite(stack_of, pages, tile=(64, 64), photometric="rgb", compression="deflate")
    page = Reference(str(stack_of), 1)
    whole = stack.digest(page)
    monkeypatch.setattr(pieces, "LARGE", 100 * 100)
    monkeypatch.setattr(stack, "_ROWS", 40)
    assert stack.digest(page) == whole
    assert stack.digest(page._replace(page=0)) != whole


def test_memory_is_bounded_by_the_piece_and_not_by_the_image(tmp_path: Path):
    # 2^29 pixels, twice as many as are ever read at once: 512 MB as an image and as a mask.
    tile = np.random.default_rng(0).integers(0, 2, (1024, 1024), np.uint8)
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        repeated_tile(tmp_path / folder / "a.tif", tile, down=16, across=32)
    data = data_of(tmp_path, classes={"a": (0,), "b": (1,)})
    placed = placed_of(data)
    tracemalloc.start()
    try:
        records = itertools.islice(Reader(data, IngestConfig(margin=32)).records(placed), 300)
        (*_, last) = records  # the third row of 128 tiles
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert last.tile == (512, 43 * 256)
    assert last.source_size == (2**14, 2**15)
    y, x = 512, 43 * 256 % 1024
    np.testing.assert_array_equal(last.mask[32:-32, 32:-32], tile[y : y + 256, x : x + 256])
    # A piece has 2^22 pixels, which take some 16 bytes while labels become class ids.
    assert peak < 2**27
