"""How much memory an image takes that does not fit into it: 20,000 x 20,000 pixels of RGB.

    python benchmarks/large_tiff.py [--side 20000] [--tile 256] [--compression jpeg] [--borders]

Makes a tiled TIFF (1.2 GB of pixels) and a mask of the same size, tile by tile, beside a small one
that evaluates, and has a process of its own ingest both by the ImageExampleGen's executor. Prints
one JSON line with that process's peak memory, TensorFlow, TFX and all, and its ratio to 1.5 GB,
which it must not pass. The same for what `overtile init` looks at. Takes a minute, and 2 GB
of disk.

`--borders` adds U-Net's border weights, of objects that the mask numbers.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np

LIMIT = 1_500_000_000
_STORED = 512  # side of the TIFF's own tiles
_OBJECT = 40  # side of the squares that objects lie in


def make(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Writes `images/large.tif`, RGB, and `masks/large.tif`, objects numbered from 1 to 250."""
    started = time.monotonic()
    import tifffile

    side = given.side
    compression = None if given.compression == "none" else given.compression
    options: dict[str, Any] = {"tile": (_STORED, _STORED), "bigtiff": True, "maxworkers": 1}
    for name, shape, tiles, more in (
        ("images/large", (side, side, 3), _pixels(side), {"compression": compression}),
        ("masks/large", (side, side), _objects(side), {"compression": "deflate"}),
        ("images/small", (_STORED, _STORED, 3), _pixels(_STORED), {}),
        ("masks/small", (_STORED, _STORED), _objects(_STORED), {}),
    ):
        file = folder / f"{name}.tif"
        file.parent.mkdir(exist_ok=True)
        photometric = "rgb" if len(shape) == 3 else "minisblack"
        tifffile.imwrite(
            file,
            tiles,
            shape=shape,
            dtype=np.uint8,
            photometric=photometric,
            **options,
            **more,
        )
    return _taken(started)


def _corners(side: int) -> Iterator[tuple[int, int]]:
    for y in range(0, side, _STORED):
        for x in range(0, side, _STORED):
            yield y, x


def _pixels(side: int) -> Iterator[np.ndarray]:
    """Smooth colours with noise, no two tiles alike."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 40, (2 * _STORED, 2 * _STORED, 3), np.uint8)
    for y, x in _corners(side):
        at = rng.integers(0, _STORED, 2)
        grain = noise[at[0] : at[0] + _STORED, at[1] : at[1] + _STORED]
        rows, columns = np.ogrid[y : y + _STORED, x : x + _STORED]
        waves = 100 + 50 * np.sin(rows / 97) + 50 * np.cos(columns / 131)
        yield grain + waves[..., np.newaxis].astype(np.uint8)


def _objects(side: int) -> Iterator[np.ndarray]:
    for y, x in _corners(side):
        rows, columns = np.ogrid[y : y + _STORED, x : x + _STORED]
        number = (rows // _OBJECT * 7 + columns // _OBJECT * 3) % 250 + 1
        middle = _OBJECT // 2
        inside = (rows % _OBJECT - middle) ** 2 + (columns % _OBJECT - middle) ** 2 < 18**2
        yield np.where(inside, number, 0).astype(np.uint8)


def ingest(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Makes records of all tiles; what it took, this process's imports included."""
    started = time.monotonic()
    from ingest import execute

    from components.image_example_gen.ingest_config import IngestConfig
    from pipeline.config import PipelineConfig

    options = IngestConfig(tile=given.tile, border_weights={} if given.borders else None)
    execute(PipelineConfig(data=_data(folder), ingest=options), folder)
    counts = json.loads((folder / "examples/counts.json").read_text())
    assert counts["used"] == {"train": 1, "eval": 1}
    return {"tiles": counts["records"]["train"], **_taken(started)}


def look(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Looks at the data set as `overtile init` does."""
    del given
    started = time.monotonic()
    from pipeline.survey import survey

    seen = survey(_data(folder), 2)
    assert seen.glimpsed == 1
    return _taken(started)


def _data(folder: Path) -> Any:
    from components.image_example_gen.config import DataConfig

    classes = {"ground": (0,), "object": tuple(range(1, 256))}
    return DataConfig(
        path=folder,
        channels=3,
        dtype="uint8",
        classes=classes,
        coding="objects",
        split={"train": ("large",), "eval": ("small",)},
    )


def _taken(started: float) -> dict[str, Any]:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "seconds": round(time.monotonic() - started, 1),
        "peak_bytes": peak,
        "of_limit": round(peak / LIMIT, 3),
    }


def main() -> None:
    """Makes the image, and measures in processes of their own."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--tile", type=int, default=256)
    parser.add_argument("--compression", choices=("jpeg", "deflate", "none"), default="jpeg")
    parser.add_argument("--borders", action="store_true")
    parser.add_argument("--step", choices=("make", "ingest", "look"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        steps = {"make": make, "ingest": ingest, "look": look}
        print(json.dumps(steps[given.step](given.folder, given)))
        return

    with tempfile.TemporaryDirectory() as name:
        # Each in a process of its own, and none in this one: Linux counts the memory of a parent
        # as its child's.
        again = [sys.executable, __file__, *sys.argv[1:], "--folder", name, "--step"]
        made, found, seen = (
            json.loads(subprocess.run([*again, step], check=True, stdout=subprocess.PIPE).stdout)
            for step in ("make", "ingest", "look")
        )
        files = sum(path.stat().st_size for path in Path(name).glob("*/large.tif"))
    print(
        json.dumps(
            {
                "benchmark": "large_tiff",
                "side": given.side,
                "pixel_bytes": 3 * given.side**2,
                "file_bytes": files,
                "compression": given.compression,
                "tile": given.tile,
                "borders": given.borders,
                **found,
                "look": seen,
                "make": made,
                "pass": max(found["peak_bytes"], seen["peak_bytes"]) <= LIMIT,
            }
        )
    )


if __name__ == "__main__":
    main()
