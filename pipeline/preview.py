"""Training tiles as augmentation changes them, on one sheet."""

from __future__ import annotations

import dataclasses
import itertools
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from pydantic import ValidationError

from components.errors import BadFileError, InputError
from components.image_example_gen import sources, spans, splitting
from components.image_example_gen.config import DataConfig
from components.image_example_gen.config import layout as records_layout
from components.image_example_gen.ingest_config import IngestConfig
from components.image_example_gen.ordering import natural_key
from components.image_example_gen.reading import Reader, SampleError
from components.records import IGNORE, TRAIN, Layout, encode, parse
from pipeline import planning

if TYPE_CHECKING:
    import tensorflow as tf
    from ml_metadata.proto import metadata_store_pb2 as proto

    from pipeline.config import PipelineConfig

progress = logging.getLogger("overtile.progress")

# Of so many tiles those are chosen that show most; some 100 MB are read for it.
_MOST_SEEN = 400
_MOST_OF_IMAGE = 50
# ML Metadata's name of the ImageExampleGen; to ask the class itself takes TFX's long import.
_INGESTION = "components.image_example_gen.component.ImageExampleGen"


@dataclasses.dataclass(frozen=True)
class Shown:
    """A tile with its changes.

    Attributes:
      name: of the image that it is cut from.
      tile: (y, x) of its core in that image.
      images: [H, W, C] in the data set's unit, the tile as it is and then one a change.
      masks: class ids, uint8 [H, W], of these.
      weights: what pixels count beside their class, float32 [H, W], of these; without any, none.
    """

    name: str
    tile: tuple[int, int]
    images: list[np.ndarray]
    masks: list[np.ndarray]
    weights: list[np.ndarray]


@dataclasses.dataclass(frozen=True)
class Preview:
    """What a sheet shows.

    Attributes:
      layout: of the tiles.
      read_from: `records` of a run, or the `images` where there are none of this configuration.
      shown: the tiles.
    """

    layout: Layout
    read_from: str
    shown: list[Shown]


def preview(config: PipelineConfig, tiles: int, variants: int) -> Preview:
    """Takes a few training tiles and changes each as training does.

    Args:
      config: `data` and `ingest` say where tiles come from, `train.crop`, `train.seed` and
        `augment` how they are changed.
      tiles: how many at most.
      variants: how many changes of each.

    Raises:
      InputError: there is no data, or none of it can be read.
    """
    data, ingest = planning.complete(config.data, config.ingest)
    layout = records_layout(data, ingest)
    files = recorded(config.workspace, data, ingest)
    candidates = _of_records(files) if files else _of_images(data, ingest, layout, tiles)
    chosen = _telling_most(candidates, layout, tiles)
    if not chosen:
        raise InputError(f"None of the training images in {data.path} can be read.")
    shown = []
    for place, serialized in enumerate(chosen):
        progress.info("", extra={"what": "tile", "done": place, "total": len(chosen)})
        shown.append(_changed(serialized, layout, config, place, variants))
    return Preview(layout, "records" if files else "images", shown)


def recorded(workspace: Path, data: DataConfig, ingest: IngestConfig) -> list[str]:
    """The newest files of training records that were made of this data by these settings.

    Args:
      workspace: of the runs.
      data: complete.
      ingest: complete.
    """
    file = workspace / "metadata.sqlite"
    if not file.is_file():
        return []
    from ml_metadata import errors
    from ml_metadata.metadata_store import metadata_store
    from ml_metadata.proto import metadata_store_pb2 as proto

    connection = proto.ConnectionConfig()
    connection.sqlite.filename_uri = str(file)
    connection.sqlite.connection_mode = proto.SqliteMetadataSourceConfig.READONLY
    try:
        store = metadata_store.MetadataStore(connection)
        executions = store.get_executions_by_type(_INGESTION)
    except errors.NotFoundError:
        return []
    wanted = {"data": _decisive(data), "ingest": ingest.model_dump_json()}
    ended = [
        execution.id
        for execution in executions
        if execution.last_known_state == proto.Execution.COMPLETE
        and wanted == {name: _said(execution, name) for name in wanted}
    ]
    if not ended:
        return []
    written = [
        event.artifact_id
        for event in store.get_events_by_execution_ids([max(ended)])
        if event.type == proto.Event.OUTPUT
    ]
    folders = [
        Path(artifact.uri) / f"Split-{TRAIN}" for artifact in store.get_artifacts_by_id(written)
    ]
    return sorted(
        str(path) for folder in folders for path in folder.glob("*") if path.stat().st_size
    )


def _decisive(data: DataConfig) -> str:
    """What decides which records there are: no colours, and of spans only where they lie."""
    return data.model_dump_json(exclude={"colours", "spans"})


def _said(execution: proto.Execution, section: str) -> str | None:
    """A section of the configuration that an ingestion worked by, as JSON with today's keys."""
    for values in (execution.custom_properties, execution.properties):
        if section in values:
            told = values[section].string_value
            try:
                if section == "data":
                    return _decisive(DataConfig.model_validate_json(told))
                return IngestConfig.model_validate_json(told).model_dump_json()
            except ValidationError:
                return None  # an older version's
    return None


def _of_records(files: list[str]) -> Iterator[bytes]:
    import tensorflow as tf

    return itertools.islice(tf.data.TFRecordDataset(files).as_numpy_iterator(), _MOST_SEEN)


def _of_images(
    data: DataConfig, ingest: IngestConfig, layout: Layout, images: int
) -> Iterator[bytes]:
    """Serialised tiles of so many images of the train split, spread over all of them."""
    data = spans.one_of(data)
    source, reader = sources.of(data), Reader(data, ingest)
    digests: dict[str, str] = {}
    samples = []
    for sample in sources.listing(data).samples:
        try:
            digests[sample.key] = source.digest(sample.image)
        except BadFileError:
            continue  # a run names it; here others do as well
        samples.append(sample)
    placed = [one for one in splitting.plan(samples, digests, data).placed if one.split == TRAIN]
    read = 0
    # From all over the data set; where one cannot be read, another.
    spread = _spread(images, len(placed))
    for place in [*spread, *(place for place in range(len(placed)) if place not in spread)]:
        if read == images:
            return
        try:
            tiles = list(itertools.islice(reader.records(placed[place]), _MOST_OF_IMAGE))
        except SampleError:
            continue
        read += 1
        yield from (encode(tile, layout) for tile in tiles)


def _spread(count: int, of: int) -> list[int]:
    """Indices below `of`, so many at most, as far apart as they can be."""
    return [place * of // min(count, of) for place in range(min(count, of))]


class _Scored(NamedTuple):
    """A tile, and how much it shows."""

    source: str
    score: tuple[int, float]
    serialized: bytes


def _telling_most(candidates: Iterable[bytes], layout: Layout, count: int) -> list[bytes]:
    """The tile with most classes of each image, and of images as many as are wanted."""
    import tensorflow as tf

    best: dict[str, _Scored] = {}
    for serialized in candidates:
        example = tf.train.Example.FromString(serialized)
        pixels = list(example.features.feature["mask/class_pixels"].int64_list.value)[:-1]
        source = example.features.feature["source"].bytes_list.value[0].decode()
        labelled = sum(pixels)
        rarest = min((each for each in pixels if each), default=0) / max(labelled, 1)
        scored = _Scored(source, (sum(each > 0 for each in pixels), rarest), serialized)
        if source not in best or scored.score > best[source].score:
            best[source] = scored
    tiles = sorted(best.values(), key=lambda tile: natural_key(tile.source))
    return [tiles[place].serialized for place in _spread(count, len(tiles))]


def _changed(
    serialized: bytes, layout: Layout, config: PipelineConfig, place: int, variants: int
) -> Shown:
    import tensorflow as tf

    from trainer import input as model_input

    record = parse(tf.constant(serialized), layout)
    tiles = [_apart(*_as_it_is(record))]
    for variant in range(variants):
        seed = tf.constant([config.train.seed, place * variants + variant], tf.int64)
        changed = model_input.varied(record, config.train.crop, config.augment, seed)
        tiles.append(_apart(*changed))
    y, x = (int(value) for value in record["tile"])
    return Shown(
        record["source"].numpy().decode(),
        (y, x),
        [image for image, _, _ in tiles],
        [mask for _, mask, _ in tiles],
        [weight for _, _, weight in tiles if weight is not None],
    )


def _as_it_is(record: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    from trainer import input as model_input
    from trainer.config import AugmentConfig

    nothing = AugmentConfig(flip=False, quarter_turns=False)
    return model_input.varied(record, None, nothing, np.zeros(2, np.int64))


def _apart(image: tf.Tensor, mask: tf.Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    labels = mask.numpy()
    if labels.ndim == 2:
        return image.numpy(), labels, None
    ids = labels[..., 0].astype(np.uint8)
    return image.numpy(), ids, np.where(ids == IGNORE, 0, labels[..., 1])
