"""Writes records: one Beam element is one file, so pixels never pass between stages.

Beam keeps what passes between two stages in memory (FnApiRunner) or ships it over the network. A
file's images are fixed before Beam starts, and are read and written one after another, so memory
holds one image a worker and the same data gives the same bytes.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import apache_beam as beam

from components.errors import SetAside
from components.image_example_gen.config import DataConfig, IngestConfig, layout
from components.image_example_gen.reading import SampleError, read_sample
from components.image_example_gen.splitting import Placed
from components.records import encode

# Bytes of image files a TFRecord file: of compressed images, some five times as much when decoded.
_BYTES_A_SHARD = 32 << 20
# Small data sets too are spread over workers, and read from several files at once in training.
_LEAST_SHARDS = 8


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
    size = sum(Path(file).stat().st_size for file in {place.sample.image.path for place in placed})
    count = min(len(placed), max(_LEAST_SHARDS, -(-size // _BYTES_A_SHARD)))
    return [
        Shard(
            f"{folder}/data_tfrecord-{index:05}-of-{count:05}", split, tuple(placed[index::count])
        )
        for index in range(count)
    ]


class WriteShard(beam.DoFn):
    """Writes a `Shard` and yields its `ShardReport`."""

    def __init__(self, data: DataConfig, ingest: IngestConfig, span: int, images: int):
        self._data, self._ingest, self._span, self._images = data, ingest, span, images

    def process(self, shard: Shard) -> Iterator[ShardReport]:
        """Writes one file; Beam calls it on a worker."""
        import tensorflow as tf

        shape = layout(self._data, self._ingest)
        images = records = 0
        set_aside = []
        # Beam may run an element twice; each run writes its own file and the last one stays.
        unfinished = f"{Path(shard.path).parent.parent}/unfinished-{uuid.uuid4().hex}"
        with tf.io.TFRecordWriter(unfinished) as writer:
            for placed in shard.samples:
                try:
                    for record in read_sample(placed, self._data, self._ingest, self._span):
                        writer.write(encode(record, shape))
                        records += 1
                    images += 1
                except SampleError as error:
                    set_aside.append(error.set_aside)
                _tell(self._images)
        tf.io.gfile.rename(unfinished, shard.path, overwrite=True)
        yield ShardReport(shard.split, images, records, tuple(set_aside))


_progress = logging.getLogger("overtile.progress")
_lock = threading.Lock()
_done = 0
_told = 0.0


def start_telling() -> None:
    """Counts from nought again."""
    global _done, _told
    _done, _told = 0, time.monotonic()


def _tell(total: int) -> None:
    """Says about once a second how far the workers of this process are."""
    global _done, _told
    with _lock:
        _done += 1
        if time.monotonic() - _told < 1 and _done != total:
            return
        _told = time.monotonic()
        _progress.info("", extra={"done": _done, "total": total, "what": "image"})
