# ruff: noqa: PT017 - nothing here is a test of its own
"""Feeds damaged files of one format to its reader: `python -m ...hostile FORMAT COUNT SEED NOTE`.

A process of its own, since a decoder in C may take it down: the file NOTE then holds the seed. Each
seed makes one damaged file: whole formats are told apart by what stands in FORMATS.
"""

from __future__ import annotations

import base64
import gc
import io
import json
import random
import re
import resource
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image
from pycocotools import mask as cocotools

from components.errors import BadFileError, InputError
from components.image_example_gen import decode, sources
from components.image_example_gen.config import DataConfig
from components.image_example_gen.sources.contract import Box
from tests.components.image_example_gen.test_rle import pack

# Seconds that one file may take, and bytes of address space of the process.
_LONGEST = 20
_MOST_MEMORY = 6 << 30

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (23, 31), np.uint8)
COLOUR = RNG.integers(0, 256, (23, 31, 3), np.uint8)
OPAQUE = np.dstack([COLOUR, np.full((23, 31), 255, np.uint8)])
DEEP = RNG.integers(0, 2**16, (23, 31)).astype(np.uint16)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def tiff(pixels: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)  # type: ignore[arg-type]
    return file.getvalue()


def images() -> dict[str, list[bytes]]:
    """Small files of each kind."""
    palette = Image.fromarray(GREY % 7)
    palette.putpalette([value * 29 % 256 for value in range(21)])
    bilevel = Image.fromarray(GREY > 99)
    grey, colour, opaque = map(Image.fromarray, (GREY, COLOUR, OPAQUE))
    smooth = np.repeat(np.repeat(GREY[:4, :4], 16, 0), 16, 1)
    large = np.arange(64 * 48, dtype=np.uint16).reshape(64, 48)
    return {
        "png": [
            saved(picture, "PNG")
            for picture in (grey, colour, opaque, palette, bilevel, Image.fromarray(DEEP))
        ],
        "jpeg": [
            saved(grey, "JPEG"),
            saved(colour, "JPEG", quality=90),
            saved(colour, "JPEG", progressive=True),
        ],
        "gif": [saved(palette, "GIF"), saved(grey, "GIF", interlace=0)],
        "bmp": [saved(picture, "BMP") for picture in (grey, colour, opaque, palette, bilevel)],
        "tiff": [
            tiff(GREY),
            tiff(DEEP, byteorder=">"),
            tiff(large, rowsperstrip=7, compression="lzw"),
            tiff(large, tile=(16, 16), compression="deflate"),
            tiff(smooth, tile=(32, 32), compression="jpeg"),
            tiff(np.stack([GREY, GREY])),
            tiff(COLOUR, photometric="rgb", planarconfig="separate"),
            tiff(np.stack([DEEP]), ome=True, metadata={"axes": "ZYX"}),
            tiff(GREY.astype(np.float32)),
            tiff(large, predictor=True, compression="deflate"),
            tiff(large, tile=(16, 16), compression="zstd"),
            tiff(smooth, rowsperstrip=9, compression="packbits"),
            tiff(large, compression="lzma"),
            # A page a channel.
            tiff(np.stack([GREY, GREY]), ome=True, metadata={"axes": "CYX"}),
            tiff(np.stack([DEEP, DEEP]), imagej=True, metadata={"axes": "CYX"}),
            tiff(GREY, bigtiff=True),
            saved(bilevel, "TIFF", compression="group4"),
            saved(palette, "TIFF"),
        ],
    }


def broken(data: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    """Cuts, flips, overwrites, doubles or exchanges a part of a file, or mislabels it."""
    kind = rng.randrange(8)
    if kind == 0:
        return data[: rng.randrange(len(data))]
    if kind == 7:
        return rng.choice(others)[: rng.randrange(1, 4000)]
    changed = bytearray(data)
    # Headers decide most.
    reach = len(data) if rng.random() < 0.5 else min(len(data), 200)
    at = rng.randrange(reach)
    if kind in (1, 2, 3):
        for _ in range(kind):
            changed[rng.randrange(reach)] ^= 1 << rng.randrange(8)
    elif kind == 4:
        size = rng.choice((1, 2, 4, 8))
        changed[at : at + size] = rng.choice((b"\xff", b"\x00", b"\x7f", b"\x80")) * size
    elif kind == 5:
        changed[at:at] = changed[at : at + rng.randrange(1, 64)]
    else:
        del changed[at : at + rng.randrange(1, 64)]
    return bytes(changed)


def feed_images(kind: str) -> Callable[[random.Random], str]:
    whole = images()
    others = [data for name, files in whole.items() if name != kind for data in files]
    truth = [decode_or_none(data) for data in whole[kind]]

    def feed(rng: random.Random) -> str:
        which = rng.randrange(len(whole[kind]))
        data = broken(whole[kind][which], rng, others)
        outcome = "refused"
        for reader in (decode.decode_image, decode.decode_mask, decode.decode_colours):
            try:
                pixels = reader(data)
            except BadFileError as error:
                assert str(error), "a reason is needed"
                continue
            assert pixels.ndim in (2, 3)
            if reader is decode.decode_image:
                outcome = "read"
                same = pixels.shape == truth[which].shape and (pixels == truth[which]).all()
                # PNG alone has checksums of all that it holds.
                mislabelled = any(data.startswith(other[:8]) for other in others)
                assert same or kind != "png" or mislabelled, "other pixels, and nobody noticed"
        try:
            extent = decode.extent(data)
            if extent and extent.in_windows and min(extent[:2]) > 8:
                decode.decode_image(data, None, Box(2, 3, 7, 8))
        except BadFileError as error:
            assert str(error), "a reason is needed"
        return outcome

    return feed


def decode_or_none(data: bytes) -> np.ndarray:
    try:
        return decode.decode_image(data)
    except BadFileError:
        return np.zeros(0)


# What stands in place of a number or a text of an annotation.
_ODD = (
    "1e308", "-1", "99999999999999999999", "0", "null", '"x"', "[]", "{}", "true", "1e-320",
    '"../../../etc/passwd"', '"/etc/passwd"', "2147483648", "[[[[]]]]", '"\\u0000"', "NaN",
    "-Infinity", "65536", '""',
)  # fmt: skip


def garbled(text: str, rng: random.Random) -> bytes:
    """Damages a text, or replaces one of its values."""
    if rng.random() < 0.4:
        return broken(text.encode(), rng, [images_png(), b"\x00" * 99, b"[[[[" * 500])
    for _ in range(rng.choice((1, 1, 1, 3))):
        tokens = list(re.finditer(r'"[^"]*"|-?\d+(\.\d+)?', text))
        if not tokens:
            break
        token = rng.choice(tokens)
        odd = rng.choice(_ODD)
        if text.lstrip().startswith("<"):
            odd = json.dumps(odd.strip('"')) if token[0][0] == '"' else odd.strip('"')
        text = text[: token.start()] + odd + text[token.end() :]
    return text.encode()


def images_png() -> bytes:
    return saved(Image.fromarray(GREY), "PNG")


def annotations() -> dict[str, tuple[str, str, str, dict[str, str]]]:
    """Of each format: its name, the file's name, its text, and further keys of the section."""
    square = [[3, 3, 20, 4, 18, 17, 4.5, 15]]
    coded = cocotools.encode(np.asfortranarray((GREY > 128).astype(np.uint8)))
    coco = {
        "images": [{"id": 1, "file_name": "a.png", "height": 23, "width": 31}],
        "categories": [{"id": 2, "name": "cat"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 2, "iscrowd": 0, "segmentation": one}
            for one in (
                square,
                {"size": [23, 31], "counts": coded["counts"].decode()},
                {"size": [23, 31], "counts": [100, 13, 600]},
            )
        ],
    }
    points = [[3, 3], [20.5, 4], [18, 17]]
    shape = {"label": "cat", "group_id": 1, "flags": {}}
    picture = base64.b64encode(images_png()).decode()
    labelme = {
        "version": "5",
        "shapes": [
            {**shape, "shape_type": "polygon", "points": points},
            {**shape, "shape_type": "rectangle", "points": points[:2]},
            {**shape, "shape_type": "circle", "points": points[:2]},
            {**shape, "shape_type": "linestrip", "points": points},
            {**shape, "shape_type": "point", "points": points[:1]},
            {**shape, "shape_type": "mask", "points": points[:2], "mask": picture},
        ],
        "imagePath": "gone.png",
        "imageData": picture,
        "imageHeight": 23,
        "imageWidth": 31,
    }
    rgba = np.dstack([GREY] * 3 + [(GREY > 99) * np.uint8(255)])
    size = {"original_width": 31, "original_height": 23, "image_rotation": 0}
    results = [
        {**size, "id": "1", "type": kind, "value": {**value, kind: ["cat"]}}
        for kind, value in (
            ("polygonlabels", {"points": points}),
            ("rectanglelabels", {"x": 1, "y": 2, "width": 30, "height": 40, "rotation": 5}),
            ("ellipselabels", {"x": 40, "y": 50, "radiusX": 9, "radiusY": 8, "rotation": 3}),
            ("brushlabels", {"format": "rle", "rle": pack(rgba.ravel())}),
        )
    ]
    studio = [{"id": 1, "data": {"image": "a.png"}, "annotations": [{"result": results}]}]
    cvat = """<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version><meta><task>
<labels><label><name>cat</name></label></labels></task></meta>
<image id="0" name="a.png" width="31" height="23">
<polygon label="cat" points="3.0,3.0;20.5,4.0;18.0,17.0" z_order="1"/>
<box label="cat" xtl="3" ytl="4" xbr="9" ybr="12" rotation="12.0"/>
<ellipse label="cat" cx="9" cy="8" rx="5" ry="3" rotation="3.0"/>
<mask label="cat" rle="3, 4, 5" left="2" top="2" width="4" height="3"/></image></annotations>"""
    csv = "image,mask,split,weight,span,dose\na.png,m.png,train,1,2,0.5\nb.png,m.png,val,2,3,\n"
    row = {"image": "a.png", "mask": "m.png", "split": "train", "weight": 1, "span": 2, "dose": 1}
    return {
        "coco": ("coco", "x.json", json.dumps(coco), {}),
        "labelme": ("labelme", "x.json", json.dumps(labelme), {}),
        "label_studio": ("label_studio", "x.json", json.dumps(studio), {}),
        "cvat": ("cvat", "x.xml", cvat, {}),
        "csv": ("manifest", "list.csv", csv, {"manifest": "list.csv"}),
        "jsonl": ("manifest", "list.jsonl", json.dumps(row) + "\n" + json.dumps(row),
                  {"manifest": "list.jsonl"}),
        "voc": ("voc", "ImageSets/Segmentation/train.txt", "a\nb\nm\n",
                {"images": "JPEGImages", "masks": "SegmentationClass"}),
    }  # fmt: skip


def feed_annotations(kind: str, root: Path) -> Callable[[random.Random], str]:
    name, file, text, keys = annotations()[kind]
    picture, mask = images_png(), saved(Image.fromarray(GREY % 3), "PNG")
    for folder in (".", "JPEGImages", "SegmentationClass"):
        (root / folder).mkdir(exist_ok=True)
        for stem in ("a", "b", "m"):
            (root / folder / f"{stem}.png").write_bytes(mask if stem == "m" else picture)
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / "ImageSets/Segmentation").mkdir(parents=True, exist_ok=True)
    (root / "ImageSets/Segmentation/val.txt").write_text("b\n")
    config = DataConfig(path=root, format=name, crowds="ignore", unlabelled="ignore", **keys)

    def feed(rng: random.Random) -> str:
        (root / file).write_bytes(garbled(text, rng))
        return ingested(config)

    return feed


def folders() -> dict[str, tuple[dict[str, bytes], dict[str, str]]]:
    """Of each format that is a folder of TIFF files: the files, and further keys of the section."""
    pages = [RNG.integers(0, 256, (3, 23, 31)).astype(np.uint8) for _ in range(2)]
    frames = {f"01/t00{number}.tif": tiff(DEEP) for number in range(3)}
    objects = tiff((DEEP % 5).astype(np.uint16), compression="deflate")
    truth = {f"01_GT/SEG/man_seg00{number}.tif": objects for number in (0, 2)}
    return {
        "stack": (
            {
                "train-volume.tif": tiff(pages[0], photometric="minisblack"),
                "train-labels.tif": tiff(pages[1] % 3, photometric="minisblack", rowsperstrip=5),
            },
            {"images": "train-volume.tif", "masks": "train-labels.tif"},
        ),
        "cell_tracking": ({**frames, **truth, "01_GT/TRA/man_track000.tif": objects}, {}),
    }


def feed_folders(kind: str, root: Path) -> Callable[[random.Random], str]:
    whole, keys = folders()[kind]
    for name, data in whole.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    config = DataConfig(path=root, format=kind, unlabelled="ignore", **keys)

    def feed(rng: random.Random) -> str:
        name = rng.choice(sorted(whole))
        (root / name).write_bytes(broken(whole[name], rng, [images_png(), b"\x00" * 99]))
        try:
            return ingested(config)
        finally:
            (root / name).write_bytes(whole[name])

    return feed


def ingested(config: DataConfig) -> str:
    """What becomes of a data set of which a file is damaged, up to its records."""
    root = config.path
    assert root is not None
    source = sources.of(config)
    source.recognise(root)
    try:
        listing = sources.listing(config)
    except InputError as error:
        assert str(error), "a sentence is needed"
        return "refused"
    outcome = "read"
    for sample in listing.samples:
        assert Path(sample.image.path).resolve().is_relative_to(root.resolve())
        assert Path(sample.mask.path).resolve().is_relative_to(root.resolve())
        try:
            source.digest(sample.image)
            pixels = source.read_image(sample.image)
            labels = source.read_labels(sample, config, pixels.shape[:2])
            assert labels.values.shape[:2] == pixels.shape[:2] or config.format == "stack"
        except BadFileError as error:
            assert str(error), "a reason is needed"
            outcome = "set aside"
    for entry in (*listing.lone_images, *listing.lone_masks):
        assert entry.file, "a file is needed"
        assert entry.reason, "a reason is needed"
        outcome = "set aside"
    return outcome


FORMATS = ("png", "jpeg", "gif", "bmp", "tiff", *folders(), *annotations())


def main(kind: str, count: int, seed: int, note: Path) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # a hang in C is ended too
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder, note.open("w") as notes:
        root = Path(folder)
        if kind in annotations():
            feed = feed_annotations(kind, root)
        else:
            feed = feed_folders(kind, root) if kind in folders() else feed_images(kind)
        for number in range(seed, seed + count):
            notes.seek(0)
            notes.write(f"{number:<9}")
            notes.flush()
            signal.alarm(_LONGEST)
            try:
                outcomes[feed(random.Random(number))] += 1
            except BaseException as error:
                raise SystemExit(
                    f"{kind}, seed {number}: {type(error).__name__}: {error}"
                ) from error
        signal.alarm(0)
    gc.collect()
    # Not ru_maxrss, which begins with that of the process that started this one.
    status = Path("/proc/self/status").read_text()
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    peak >>= 10  # of KiB
    print(json.dumps({"outcomes": outcomes, "peak_mib": peak}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
