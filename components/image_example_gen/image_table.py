"""`images.parquet` beside the records: one row an image, a few hundred bytes each.

Columns are read on their own, so that whoever compares digests does not read histograms.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.places import place

FILE = "images.parquet"

SCHEMA = pa.schema(
    [
        ("source", pa.string()),  # as in the records
        ("split", pa.string()),
        ("span", pa.int64()),
        ("group", pa.string()),
        ("sha256", pa.string()),  # of the file
        ("pixels", pa.string()),  # digest of the decoded pixels, whatever file they were in
        ("height", pa.int64()),
        ("width", pa.int64()),
        ("class_pixels", pa.list_(pa.int64())),
        ("ignored_pixels", pa.int64()),
        ("one_colour", pa.bool_()),
        ("mean", pa.list_(pa.float64())),  # a value a channel, as the next four
        ("deviation", pa.list_(pa.float64())),
        ("percentile_1", pa.list_(pa.float64())),
        ("median", pa.list_(pa.float64())),
        ("percentile_99", pa.list_(pa.float64())),
        ("histogram", pa.list_(pa.int64())),  # channels one after another; see measuring.histogram
        ("difference_hash", pa.int64()),
        ("thumbnail", pa.binary()),  # int8, measuring.GRID
    ]
)


def part(shard: str, split: str) -> Path:
    """The rows of one TFRecord file, until they are gathered.

    Args:
      shard: the TFRecord file, `<artifact>/Split-<name>/<file>`.
      split: that it belongs to.
    """
    file = place(shard)
    return file.parent.parent / f"images-{split}-{file.name}.parquet"


def is_part(file: Path, split: str) -> bool:
    """Whether `part` named a file."""
    return file.name.startswith(f"images-{split}-") and file.suffix == ".parquet"


def shard_of(part: Path, split: str) -> Path:
    """The TFRecord file that a part is of."""
    name = part.name.removeprefix(f"images-{split}-").removesuffix(".parquet")
    return part.parent / f"Split-{split}" / name


def write(file: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes rows in one step, so that nobody ever reads half of them."""
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema=SCHEMA), stream, compression="zstd")
    _put(file, stream.getvalue())


def gather(parts: Sequence[Path], file: Path, without: frozenset[str] = frozenset()) -> None:
    """Makes one file of parts, and removes them.

    Args:
      parts: in the order of the rows.
      file: what they become.
      without: sources to leave out.
    """
    stream = io.BytesIO()
    with pq.ParquetWriter(stream, SCHEMA, compression="zstd") as writer:
        for one in parts:
            table = read(one)
            if without:
                keep = [source not in without for source in table["source"].to_pylist()]
                table = table.filter(pa.array(keep, pa.bool_()))
            writer.write_table(table)
    _put(file, stream.getvalue())
    for one in parts:
        one.unlink()


def read(file: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Rows of a file that `write` or `gather` wrote.

    Args:
      file: it.
      columns: which; all by default.
    """
    with file.open("rb") as stream:
        opened = pq.ParquetFile(pa.BufferReader(stream.read()))
        return opened.read(columns=list(columns) if columns else None)


def of(uris: Iterable[str], columns: Sequence[str] | None = None) -> pa.Table:
    """Rows of all images of some artifacts; records of an older version have none.

    Args:
      uris: of Examples artifacts.
      columns: which; all by default.
    """
    files = [place(uri) / FILE for uri in uris]
    tables = [read(file, columns) for file in files if file.is_file()]
    schema = pa.schema([SCHEMA.field(name) for name in columns]) if columns else SCHEMA
    return pa.concat_tables(tables) if tables else schema.empty_table()


def _put(file: Path, content: bytes) -> None:
    unfinished = file.with_name(f"unfinished-{uuid.uuid4().hex}")
    unfinished.write_bytes(content)
    unfinished.replace(file)
