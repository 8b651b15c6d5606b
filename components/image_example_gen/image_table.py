"""`images.parquet` beside the records: one row an image, a few hundred bytes each.

Columns are read on their own, so that whoever compares digests does not read histograms.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.image_example_gen import image_rows
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


def table(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """A table of rows, each with what `SCHEMA` names."""
    return pa.Table.from_pylist(list(rows), schema=SCHEMA)


def empty(columns: Sequence[str] | None = None) -> pa.Table:
    """A table of no rows, and of these columns; of all by default."""
    schema = pa.schema([SCHEMA.field(name) for name in columns]) if columns else SCHEMA
    return schema.empty_table()


def write(file: Path, tables: Iterable[pa.Table]) -> None:
    """Writes a file of tables of all columns, in one step, so that nobody reads half of it."""
    stream = io.BytesIO()
    with pq.ParquetWriter(stream, SCHEMA, compression="zstd") as writer:
        for some in _together(tables):
            writer.write_table(pa.concat_tables(some))
    image_rows.put(file, stream.getvalue())


def _together(tables: Iterable[pa.Table]) -> Iterator[list[pa.Table]]:
    """Tables that are written at once: as many of them as take little memory."""
    some: list[pa.Table] = []
    for one in tables:
        some.append(one)
        if sum(len(each) for each in some) >= _ROWS_AT_ONCE:
            yield some
            some = []
    if some:
        yield some


_ROWS_AT_ONCE = 4096


def read(file: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Rows of a file that `write` wrote.

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
    return pa.concat_tables(tables) if tables else empty(columns)
