"""What only the pixels tell of a split, once its records are written; see `duplicates`.

Records of an image that trains and has the pixels of one that evaluates are taken out again: that
is rare, and cheaper than to decode every image twice.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterable, Iterator, Mapping
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
    held = [image_table.table(image_rows.read(part)) for part in parts[EVAL]]
    if frozen is None:
        evaluating = _looks(held)
        pixels, sources = (evaluating[name].to_pylist() for name in ("pixels", "source"))
        known = {one: names[source] for one, source in zip(pixels, sources)}
    else:
        evaluating = image_table.of([frozen.uri], duplicates.COLUMNS)
        known = frozen.pixels

    train = _Train(known)
    trained = train.without_twins(parts[TRAIN])
    if folders[EVAL] == folders[TRAIN]:
        trained = itertools.chain(trained, held)
    else:
        image_table.write(place(folders[EVAL]) / image_table.FILE, held)
    image_table.write(place(folders[TRAIN]) / image_table.FILE, trained)
    for part in itertools.chain.from_iterable(parts.values()):
        part.unlink()
    near = duplicates.near(_looks(train.looks), evaluating)
    duplicates.write(place(folders[TRAIN]) / duplicates.FILE, near)
    return train.removed


def _parts(uri: str, split: str) -> list[Path]:
    folder = place(uri)
    if not folder.is_dir():
        return []
    return sorted(file for file in folder.iterdir() if image_rows.is_part(file, split))


def _looks(tables: Iterable[pa.Table]) -> pa.Table:
    """What is compared of some images."""
    columns = list(duplicates.COLUMNS)
    return pa.concat_tables([image_table.empty(columns), *(one.select(columns) for one in tables)])


class _Train:
    """The train split, of whose images no more is kept than is compared.

    Attributes:
      looks: that, a table a part.
      removed: what was taken out.
    """

    def __init__(self, known: Mapping[str, str]) -> None:
        self._known = known
        self.looks: list[pa.Table] = []
        self.removed = Removed({})

    def without_twins(self, parts: Iterable[Path]) -> Iterator[pa.Table]:
        """The rows of each part; rewrites the TFRecord files that hold pixel copies."""
        for part in parts:
            table = image_table.table(image_rows.read(part))
            found = duplicates.same_pixels(table, self._known.items())
            if found:
                records, repeats = _leave_out(image_rows.shard_of(part, TRAIN), frozenset(found))
                self.removed = Removed(
                    {**self.removed.twins, **found},
                    self.removed.records + records,
                    self.removed.repeats + repeats,
                )
                table = table.filter([one not in found for one in table["source"].to_pylist()])
            self.looks.append(table.select(list(duplicates.COLUMNS)))
            yield table


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
