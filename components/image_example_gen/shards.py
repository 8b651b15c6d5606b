"""Files of records: what goes into each is fixed before any is written.

A file's images are read and written one after another, so memory holds one image a worker, or a
piece of a large one, and the same data gives the same bytes.
"""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from components import tfrecord
from components.errors import SetAside
from components.image_example_gen import image_rows, measuring
from components.image_example_gen.config import DataConfig, layout
from components.image_example_gen.ingest_config import IngestConfig
from components.image_example_gen.reading import Reader, SampleError
from components.image_example_gen.splitting import Placed
from components.places import is_remote, place
from components.records import Layout, encode_in_parts

# Bytes of image files a TFRecord file: of compressed images, some five times as much when decoded.
_BYTES_A_SHARD = 32 << 20
# Small data sets too are spread over workers, and read from several files at once in training.
_LEAST_SHARDS = 8
_ASKED_AT_ONCE = 16


class Shard(NamedTuple):
    """A TFRecord file to be written, and the samples that go into it, in order."""

    path: str
    split: str
    samples: tuple[Placed, ...]


@dataclasses.dataclass(frozen=True)
class ShardReport:
    """What became of a shard's samples."""

    split: str
    images: int
    records: int
    set_aside: tuple[SetAside, ...]
    repeats: int = 0  # how often more than once an epoch shows tiles, in sum

    @classmethod
    def from_json(cls, line: str) -> ShardReport:
        """The report whose fields, as a dict, are this JSON."""
        fields = json.loads(line)
        set_aside = tuple(SetAside(**entry) for entry in fields.pop("set_aside"))
        return cls(**fields, set_aside=set_aside)


def lay_out(placed: Sequence[Placed], folder: str, split: str) -> list[Shard]:
    """Deals the samples of one split over files, as TFX names them.

    Neighbours go to different files: consecutive frames then meet in no training batch.
    """
    size = _bytes({one.sample.image.path for one in placed})
    count = min(len(placed), max(_LEAST_SHARDS, -(-size // _BYTES_A_SHARD)))
    return [
        Shard(
            f"{folder}/data_tfrecord-{index:05}-of-{count:05}", split, tuple(placed[index::count])
        )
        for index in range(count)
    ]


def _bytes(paths: Collection[str]) -> int:
    """The size of all these files together."""
    files = [place(path) for path in paths]
    if not any(map(is_remote, files)):  # handing a file to a thread takes longer than to ask
        return sum(file.stat().st_size for file in files)
    with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:  # each is a request
        return sum(pool.map(lambda file: file.stat().st_size, files))


def take_reports(work: Sequence[Shard]) -> list[ShardReport]:
    """What became of shards that Beam has written; removes the files that say so.

    Raises:
      RuntimeError: Beam has left one out.
    """
    files = [_report_file(shard) for shard in work]
    missing = [
        shard.path
        for shard, file in zip(work, files)
        if not (file.is_file() and place(shard.path).is_file())
    ]
    if missing:
        raise RuntimeError(f"Beam left {len(missing)} files unwritten, {missing[0]} first")
    reports = [ShardReport.from_json(file.read_text()) for file in files]
    for file in files:
        file.unlink()
    return reports


def _report_file(shard: Shard) -> Path:
    file = place(shard.path)
    return file.parent.parent / f"report-{shard.split}-{file.name}.json"


class Settings(NamedTuple):
    """What all shards of a data set are written by."""

    data: DataConfig
    ingest: IngestConfig
    span: int = 0


def write(shard: Shard, settings: Settings, tell: Callable[[], None] = lambda: None) -> None:
    """Writes a file of records, and beside the artifact's splits one of its `ShardReport`.

    Args:
      shard: what is written.
      settings: how.
      tell: called after each image.
    """
    _keep_freed_memory()
    # Beam may run an element twice; each run writes its own file and the last one stays.
    target = place(shard.path)
    unfinished = target.parent.parent / f"unfinished-{uuid.uuid4().hex}"
    # Of a large image some tiles may be written when a later one proves to be bad. A file
    # cannot be taken back in part, so it is begun anew, without the image.
    spoiled: dict[str, SetAside] = {}
    told: set[str] = set()

    def tell_once(key: str) -> None:
        if key not in told:
            told.add(key)
            tell()

    while (report := _attempt(shard, settings, unfinished, spoiled, tell_once)) is None:
        pass
    unfinished.replace(target)
    _report_file(shard).write_text(json.dumps(dataclasses.asdict(report)))


def _keep_freed_memory() -> None:
    """Has the C library keep the memory of one image for the next.

    Else it would give most of it back to the system, to get it anew page by page: a third of the
    time that an image takes. glibc learns what to keep from the largest block that was freed, up to
    32 MiB, and keeps up to twice that much for as long as the process lives; other libraries do as
    they do. mallopt(3), M_MMAP_THRESHOLD.
    """
    np.empty(_LARGEST_TO_KEEP, np.uint8)  # which is not touched, so takes no memory


_LARGEST_TO_KEEP = 31 << 20


def _attempt(
    shard: Shard,
    settings: Settings,
    path: Path,
    spoiled: dict[str, SetAside],
    tell: Callable[[str], None],
) -> ShardReport | None:
    """Writes a file of all samples but the spoiled ones.

    Returns:
      What became of them; None where one more is spoiled, so that the file must not be used.
    """
    shape, reader = layout(settings.data, settings.ingest), Reader(*settings)
    images = records = repeats = 0
    set_aside, rows = [], []
    measured: list[measuring.Measurement] = []
    together = measuring.together(shape)
    with path.open("wb") as file:
        for placed in shard.samples:
            key = placed.sample.key
            if key in spoiled:
                set_aside.append(spoiled[key])
                continue
            image = measuring.Measurement(shape)
            try:
                _write_sample(file, placed, reader, shape, image)
                images += 1
                records += image.records
                repeats += image.repeats
                measured.append(image)
                if len(measured) == together:
                    rows += measuring.rows(measured, shard.split)
                    measured.clear()
            except SampleError as error:
                if image.records:
                    spoiled[key] = error.set_aside
                else:
                    set_aside.append(error.set_aside)
            tell(key)
            if key in spoiled:
                return None
    rows += measuring.rows(measured, shard.split)
    image_rows.write(image_rows.part(shard.path, shard.split), rows)
    return ShardReport(shard.split, images, records, tuple(set_aside), repeats)


def _write_sample(
    file: BinaryIO,
    placed: Placed,
    reader: Reader,
    shape: Layout,
    measured: measuring.Measurement,
) -> None:
    """Writes the records of one sample, and measures it.

    A function of its own, so that its pixels are forgotten before the next image is read: that then
    takes their memory, which the processor has at hand.
    """
    for part in reader.parts(placed):
        measured.look(part.image, part.start, part.size)
        for record in part.records:
            encoded = encode_in_parts(record, shape)
            measured.add(record)
            tfrecord.write(file, encoded)
