"""The rows of one TFRecord file, beside the splits, until `leaks` gathers them in `image_table`.

JSON, since those who write records would import Arrow for it alone.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from components.places import place


def part(shard: str, split: str) -> Path:
    """The file of rows.

    Args:
      shard: the TFRecord file, `<artifact>/Split-<name>/<file>`.
      split: that it belongs to.
    """
    file = place(shard)
    return file.parent.parent / f"images-{split}-{file.name}.jsonl"


def is_part(file: Path, split: str) -> bool:
    """Whether `part` named a file."""
    return file.name.startswith(f"images-{split}-") and file.suffix == ".jsonl"


def shard_of(part: Path, split: str) -> Path:
    """The TFRecord file that a part is of."""
    name = part.name.removeprefix(f"images-{split}-").removesuffix(".jsonl")
    return part.parent / f"Split-{split}" / name


def write(file: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes rows, of what `image_table.SCHEMA` names."""
    lines = (json.dumps({**row, "thumbnail": row["thumbnail"].hex()}) + "\n" for row in rows)
    put(file, "".join(lines).encode())


def read(file: Path) -> list[dict[str, Any]]:
    """The rows that `write` wrote."""
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [{**row, "thumbnail": bytes.fromhex(row["thumbnail"])} for row in rows]


def put(file: Path, content: bytes) -> None:
    """Writes a file in one step, so that nobody ever reads half of it."""
    unfinished = file.with_name(f"unfinished-{uuid.uuid4().hex}")
    unfinished.write_bytes(content)
    unfinished.replace(file)
