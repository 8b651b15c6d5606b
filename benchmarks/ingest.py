"""How fast labelled images become records, beside what nobody can do without: decoding them.

    python benchmarks/ingest.py [--images 1000] [--repetitions 5] [--formats png jpeg]

Makes pairs of 512 x 512 RGB images and masks of four classes, and takes turns, so that what else
the machine does hits all alike, at

    decode   a bare loop on one core: every image and mask is decoded, and forgotten, by the fastest
             decoders at hand, which are those of the ingestion
    pillow   the same loop with Pillow, which most scripts use
    plain    what one writes in an afternoon, in one process: Pillow decodes, sizes and values are
             checked, both are stored as PNG by tf.io.TFRecordWriter; a fifth of the images
    ingest   the ImageExampleGen's executor: listing, digests, split, Beam, records and accounts

and prints the medians and their ratios as one JSON line. `tenfold` runs the ingestion of a tenth of
the images and of all of them in processes of their own: seconds and peak memory of the one over
those of the other. Wanted, on two cores: png 1.2 and 2.5, jpeg 1.0 and 2.0, tenfold at most 11 and
1.15. Takes some six minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
from PIL import Image

SIDE = 512
CLASSES = {"ground": (0,), "grass": (1,), "stone": (2,), "water": (3,)}
_CANVAS = 2048
_NOISE = 3.0
_BLUR = 12
_PLAIN = 5


def canvas(seed: int, channels: int) -> np.ndarray:
    """Texture whose spectrum falls as 1/f, as that of photographs does.

    Field: Relations between the statistics of natural images (https://doi.org/10.1364/JOSAA.4.002379).

    Returns:
      float32 [2048, 2048, channels] of mean 0 and deviation 1; it can be repeated without a seam.
    """
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(_CANVAS)[:, None], np.fft.rfftfreq(_CANVAS))
    frequency[0, 0] = np.inf
    planes = []
    for _ in range(channels):
        spectrum = np.fft.rfft2(rng.standard_normal((_CANVAS, _CANVAS))) / frequency
        plane = np.fft.irfft2(spectrum)
        planes.append((plane / plane.std()).astype(np.float32))
    return np.stack(planes, axis=-1)


def make_pairs(folder: Path, count: int, suffix: str) -> None:
    """Writes images and masks of the same names, all different.

    Args:
      folder: that gets `images` and `masks`.
      count: of pairs.
      suffix: of the images, "png" or "jpg"; masks are PNG.
    """
    import cv2

    colours, heights = canvas(0, 3), cv2.GaussianBlur(canvas(1, 1), (0, 0), _BLUR)
    # Colours of a picture go together; their differences are small.
    colours = 0.8 * colours[..., :1] + 0.35 * colours
    levels = np.quantile(heights, (0.4, 0.7, 0.9))
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)

    def write(number: int) -> None:
        rng = np.random.default_rng((2, number))
        y, x = rng.integers(0, _CANVAS - SIDE, 2)
        cut = np.s_[y : y + SIDE, x : x + SIDE]
        noise = rng.normal(0, _NOISE, (SIDE, SIDE, 3))
        image = np.clip(120 + 40 * colours[cut] + noise, 0, 255).astype(np.uint8)
        mask = np.digitize(heights[cut], levels).astype(np.uint8)
        options = {"quality": 92} if suffix == "jpg" else {}
        Image.fromarray(image).save(folder / "images" / f"{number:05}.{suffix}", **options)
        Image.fromarray(mask).save(folder / "masks" / f"{number:05}.png")

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(write, range(count)))


def decode(folder: Path) -> None:
    """Decodes every file by imagecodecs."""
    import imagecodecs

    decoders = {".png": imagecodecs.png_decode, ".jpg": imagecodecs.jpeg8_decode}
    for file in _files(folder):
        decoders[file.suffix](file.read_bytes())


def pillow(folder: Path) -> None:
    """Decodes every file by Pillow."""
    for file in _files(folder):
        with Image.open(file) as picture:
            np.array(picture)


def _files(folder: Path) -> list[Path]:
    return [file for name in ("images", "masks") for file in sorted((folder / name).iterdir())]


def plain(folder: Path, out: Path) -> None:
    """The script of an afternoon, on a fifth of the images, since it takes long for each."""
    import tensorflow as tf

    def png(picture: Image.Image) -> tf.train.Feature:
        stream = io.BytesIO()
        picture.save(stream, format="PNG")
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[stream.getvalue()]))

    with tf.io.TFRecordWriter(str(out / "plain.tfrecord")) as writer:
        for file in sorted((folder / "images").iterdir())[::_PLAIN]:
            image = Image.open(file).convert("RGB")
            mask = Image.open(folder / "masks" / f"{file.stem}.png")
            if image.size != mask.size or np.array(mask).max() >= len(CLASSES):
                raise ValueError(f"{file} does not fit its mask")
            features = tf.train.Features(feature={"image": png(image), "mask": png(mask)})
            writer.write(tf.train.Example(features=features).SerializeToString())


def ingest(folder: Path, out: Path) -> None:
    """Ingests the pairs."""
    from components.image_example_gen.config import DataConfig
    from pipeline.config import PipelineConfig

    data = DataConfig(path=folder, channels=3, dtype="uint8", classes=CLASSES)
    execute(PipelineConfig(data=data), out)


def execute(config: Any, out: Path) -> None:
    """Does what TFX's launcher calls, with the options that a run on this machine gives it.

    Args:
      config: a PipelineConfig, whose `data` says everything.
      out: gets the folder `examples`.
    """
    from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
    from tfx.types import standard_artifacts

    from components.image_example_gen.executor import Executor
    from pipeline import engines

    examples = standard_artifacts.Examples()
    examples.uri = str(out / "examples")
    context = BaseBeamExecutor.Context(beam_pipeline_args=engines.for_images(config))
    sections = {name: getattr(config, name).model_dump_json() for name in ("data", "ingest")}
    Executor(context).Do({}, {"examples": [examples]}, {**sections, "span": 0})


def seconds(task: Callable[..., None], *folders: Path) -> float:
    """How long a task takes that gets a new folder for its output as its last argument."""
    with tempfile.TemporaryDirectory(dir=folders[0].parent) as out:
        began = time.perf_counter()
        task(*folders) if task in (decode, pillow) else task(*folders, Path(out))
        return time.perf_counter() - began


def compare(folder: Path, count: int, repetitions: int) -> dict[str, float]:
    """Medians in images a second, and the ratios of ingestion to the others."""
    tasks = {"decode": decode, "pillow": pillow, "plain": plain, "ingest": ingest}
    taken: dict[str, list[float]] = {name: [] for name in tasks}
    ingest_once = seconds(ingest, folder)  # imports, and files into the page cache
    print(f"# first ingestion, with imports: {ingest_once:.1f} s", file=sys.stderr)
    for _ in range(repetitions):
        for name, task in tasks.items():
            taken[name].append(seconds(task, folder))
    print(f"# seconds: {json.dumps(taken)}", file=sys.stderr)
    taken["plain"] = [each * _PLAIN for each in taken["plain"]]
    rates = {name: round(count / statistics.median(each), 1) for name, each in taken.items()}
    return {
        **rates,
        "ingest_over_decode": round(rates["ingest"] / rates["decode"], 2),
        "ingest_over_pillow": round(rates["ingest"] / rates["pillow"], 2),
        "ingest_over_plain": round(rates["ingest"] / rates["plain"], 2),
    }


def measure_alone(folder: Path) -> None:
    """Prints seconds and peak bytes of an ingestion, those of its own processes included."""
    import cv2  # noqa: F401 - as all imports, not what is measured
    import tensorflow  # noqa: F401

    from components.image_example_gen.engine import helpers
    from pipeline import graph  # noqa: F401

    end, peaks = helpers.Helper.end, [0]

    def end_and_tell(helper: helpers.Helper) -> None:
        peaks.append(_peak(helper._process.pid))
        end(helper)

    helpers.Helper.end = end_and_tell  # type: ignore[method-assign]
    taken = seconds(ingest, folder)
    print(json.dumps({"seconds": taken, "bytes": _peak("self") + sum(peaks)}))


def _peak(process: int | str) -> int:
    """The most bytes of memory that a process had at once."""
    # Not ru_maxrss, which begins with that of the process that started this one.
    status = Path(f"/proc/{process}/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(peak.split()[1]) * 1024


def tenfold(folder: Path, count: int) -> dict[str, float]:
    """Seconds and peak memory of all images over those of a tenth of them."""
    tenth = folder.with_name("tenth")
    for name in ("images", "masks"):
        (tenth / name).mkdir(parents=True)
        for file in sorted((folder / name).iterdir())[: count // 10]:
            os.link(file, tenth / name / file.name)
    told = []
    for each in (tenth, folder):
        command = [sys.executable, __file__, "--alone", str(each)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        told.append(json.loads(done.stdout.splitlines()[-1]))
    print(f"# tenth and all: {json.dumps(told)}", file=sys.stderr)
    return {key: round(told[1][key] / told[0][key], 2) for key in ("seconds", "bytes")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=1000, help="pairs of each format")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--formats", nargs="*", default=["png", "jpeg"])
    parser.add_argument("--tenfold", type=int, default=1000, help="pairs; 0 leaves it out")
    parser.add_argument("--alone", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    # What libraries print is not the answer.
    with contextlib.redirect_stdout(sys.stderr) if not options.alone else contextlib.nullcontext():
        if options.alone:
            measure_alone(options.alone)
            return
        told: dict[str, object] = {"benchmark": "ingest", "cores": os.cpu_count()}
        with tempfile.TemporaryDirectory() as temporary:
            top = Path(temporary)
            for name in options.formats:
                folder = top / name / "data"
                make_pairs(folder, options.images, "png" if name == "png" else "jpg")
                told[name] = compare(folder, options.images, options.repetitions)
            if options.tenfold:
                folder = top / "tenfold" / "data"
                make_pairs(folder, options.tenfold, "png")
                told["tenfold"] = tenfold(folder, options.tenfold)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
