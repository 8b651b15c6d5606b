"""`images.parquet` beside the records: one row an image, a few hundred bytes each.

Columns are read on their own, so that whoever compares digests does not read histograms.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
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


def table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str] | None = None) -> pa.Table:
    """A table of rows.

    Args:
      rows: each with what `SCHEMA` names.
      columns: which; all by default.
    """
    schema = _schema(columns)
    picked = [{name: row[name] for name in schema.names} for row in rows]
    return pa.Table.from_pylist(picked, schema=schema)


def _schema(columns: Sequence[str] | None) -> pa.Schema:
    return pa.schema([SCHEMA.field(name) for name in columns]) if columns else SCHEMA


def gather(parts: Sequence[Path], file: Path, without: frozenset[str] = frozenset()) -> None:
    """Makes one file of parts, and removes them.

    Args:
      parts: that `image_rows.write` wrote, in the order of the rows.
      file: what they become.
      without: sources to leave out.
    """
    stream = io.BytesIO()
    with pq.ParquetWriter(stream, SCHEMA, compression="zstd") as writer:
        for one in parts:
            rows = (row for row in image_rows.read(one) if row["source"] not in without)
            writer.write_table(table(rows))
    image_rows.put(file, stream.getvalue())
    for one in parts:
        one.unlink()


def read(file: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Rows of a file that `gather` wrote.

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
    return pa.concat_tables(tables) if tables else _schema(columns).empty_table()
