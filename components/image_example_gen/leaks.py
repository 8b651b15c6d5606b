"""What only the pixels tell of a split, once its records are written; see `duplicates`.

Records of an image that trains and has the pixels of one that evaluates are taken out again: that
is rare, and cheaper than to decode every image twice.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from components import tfrecord
from components.image_example_gen import duplicates, image_rows, image_table
from components.image_example_gen.frozen import Frozen
from components.places import place
from components.records import EVAL, TRAIN


class Removed(NamedTuple):
    """What was taken out of the train split again.

    Attributes:
      twins: name of the image that evaluates, by the source of the one that was taken out.
      records: of them.
      repeats: as in `integrity.Counts`, of these records.
    """

    twins: dict[str, str]
    records: int = 0
    repeats: int = 0


def separate(
    folders: Mapping[str, str],
    names: Mapping[str, str],
    frozen: Frozen | None,
) -> Removed:
    """Takes pixel copies out of the train split, gathers `images.parquet`, lists what looks alike.

    Args:
      folders: the artifact's URI of each split, where its records and the parts of the table are.
      names: file of each image, by source.
      frozen: the evaluation set, where it is another span's.
    """
    parts = {split: _parts(uri, split) for split, uri in folders.items()}
    # Each part is read once for all that is asked here.
    tables = {
        split: {part: image_table.table(image_rows.read(part), duplicates.COLUMNS) for part in some}
        for split, some in parts.items()
    }
    if frozen is None:
        evaluating = _whole(tables[EVAL].values())
        pixels, sources = (evaluating[name].to_pylist() for name in ("pixels", "source"))
        known = {one: names[source] for one, source in zip(pixels, sources)}
    else:
        evaluating = image_table.of([frozen.uri], duplicates.COLUMNS)
        known = frozen.pixels
    removed = _remove_twins(tables[TRAIN], known)

    train = _whole(tables[TRAIN].values())
    if removed.twins:
        kept = [source not in removed.twins for source in train["source"].to_pylist()]
        train = train.filter(kept)
    duplicates.write(place(folders[TRAIN]) / duplicates.FILE, duplicates.near(train, evaluating))

    for uri in dict.fromkeys(folders.values()):
        own = [part for split, at in folders.items() if at == uri for part in parts[split]]
        image_table.gather(own, place(uri) / image_table.FILE, frozenset(removed.twins))
    return removed


def _parts(uri: str, split: str) -> list[Path]:
    folder = place(uri)
    if not folder.is_dir():
        return []
    return sorted(file for file in folder.iterdir() if image_rows.is_part(file, split))


def _whole(tables: Iterable[pa.Table]) -> pa.Table:
    return pa.concat_tables([image_table.table([], duplicates.COLUMNS), *tables])


def _remove_twins(tables: Mapping[Path, pa.Table], known: Mapping[str, str]) -> Removed:
    """Rewrites the TFRecord files that hold pixel copies."""
    twins: dict[str, str] = {}
    records = repeats = 0
    for part, table in tables.items():
        found = duplicates.same_pixels(table, known.items())
        if found:
            lost = _leave_out(image_rows.shard_of(part, TRAIN), frozenset(found))
            records, repeats = records + lost[0], repeats + lost[1]
            twins |= found
    return Removed(twins, records, repeats)


def _leave_out(shard: Path, sources: frozenset[str]) -> tuple[int, int]:
    """Rewrites a TFRecord file without the records of some images; how many, and their repeats."""
    import tensorflow as tf

    unfinished = shard.parent.parent / f"unfinished-{uuid.uuid4().hex}"
    records = repeats = 0
    with shard.open("rb") as old, unfinished.open("wb") as new:
        for record in tfrecord.read(old):
            feature = tf.train.Example.FromString(record).features.feature
            if feature["source"].bytes_list.value[0].decode() not in sources:
                tfrecord.write(new, record)
                continue
            records += 1
            if "tile/repeats" in feature:
                repeats += feature["tile/repeats"].int64_list.value[0] - 1
    unfinished.replace(shard)
    return records, repeats
