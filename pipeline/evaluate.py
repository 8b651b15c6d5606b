"""Metrics of a pushed model on labelled images, without a pipeline around it."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from components import records
from components.errors import InputError, SetAside
from components.evaluation import seg
from components.evaluation import slices as slicing
from components.evaluation.confusion import metrics
from components.image_example_gen import (
    borders,
    hashing,
    masks,
    pieces,
    sources,
    spans,
    splitting,
)
from components.image_example_gen.config import BORDER, DataConfig
from components.image_example_gen.ingest_config import IngestConfig
from components.image_example_gen.reading import Reader, SampleError
from components.image_example_gen.sources.contract import Sample
from components.image_example_gen.splitting import Placed
from pipeline import planning
from pipeline.pushed import Model

progress = logging.getLogger("overtile.progress")

# Tiles a call; the model takes them one by one, so more would save nothing.
_BATCH = 8


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What a model is worth on a data set.

    Attributes:
      model: its folder.
      data: the data set's folder.
      images: that were evaluated.
      metrics: `mean_iou`, `iou/<class>`, ...; without the undefined ones. Where the labels tell
        objects apart, or records keep objects, also `seg` (components.evaluation.seg).
      confusion: pixels, rows are labels, columns predictions.
      set_aside: files that could not be used.
      slices: the metrics on the images of each value of an attribute, `site=A`.
    """

    model: str
    data: str
    images: int
    metrics: dict[str, float]
    confusion: list[list[int]]
    set_aside: list[SetAside]
    slices: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """What `overtile evaluate --json` prints."""
        return dataclasses.asdict(self)


def evaluate(
    model: Model,
    data: DataConfig,
    ingest: IngestConfig,
    whole: bool,
    slices: Sequence[str] = (),
) -> Evaluation:
    """Compares a model's masks with labels.

    Args:
      model: an exported one.
      data: the labelled images; what it does not say is guessed as for a run.
      ingest: how they are cut into tiles.
      whole: whether all images evaluate, or only those that a run with this configuration keeps
        from training.
      slices: attributes of images, of whose values each has metrics of its own.

    Raises:
      InputError: there are no such images, or their classes are not the model's.
    """
    layout = model.layout
    if data.spans:
        # The spans' first holds the evaluation set; a folder that is named is whole by itself.
        data = data.model_copy(update={"spans": None}) if whole else spans.one_of(data)
    data, ingest = planning.complete(
        data.model_copy(update={"channels": layout.channels, "dtype": layout.dtype}), ingest
    )
    if tuple(data.classes) != layout.classes:
        raise InputError(
            f"The model knows the classes {', '.join(layout.classes)}, and this data set has "
            f"{', '.join(data.classes)}: give the configuration whose data.classes says what the "
            "masks' values mean."
        )
    objects = _Objects(model, data, ingest)
    only_labels = {"border_weights": None, "instances": False, "oversample": None}
    reader = Reader(data, ingest.model_copy(update=only_labels))
    listing = sources.listing(data)
    bad = [*listing.lone_images, *listing.lone_masks]
    if whole:
        placed = [Placed(sample, records.EVAL, "", "") for sample in listing.samples]
    else:
        placed = _kept_from_training(listing.samples, data, bad)

    confusion = np.zeros((len(layout.classes), len(layout.classes)), np.int64)
    by_slice: dict[str, np.ndarray] = {}
    images = 0
    for place, sample in enumerate(placed):
        progress.info("", extra={"what": "image", "done": place, "total": len(placed)})
        try:
            # Added once it is whole: of a large image a later piece may prove to be bad.
            counted = np.zeros_like(confusion)
            for batch in _batches(sample, reader, layout):
                counted += model.confusion(batch)
            objects.add(sample.sample)
            confusion += counted
            for name in _slices(sample.sample, slices):
                by_slice[name] = by_slice.get(name, 0) + counted
            images += 1
        except SampleError as error:
            bad.append(error.set_aside)
    progress.info("", extra={"what": "image", "done": len(placed), "total": len(placed)})
    if not images:
        raise InputError(f"None of the {len(placed)} images in {data.path} can be read.", bad)
    return Evaluation(
        model=str(model.path),
        data=str(data.path),
        images=images,
        metrics={**_defined(confusion, layout.classes), **objects.metrics()},
        confusion=confusion.tolist(),
        set_aside=sorted(bad, key=lambda entry: entry.file),
        slices={name: _defined(by_slice[name], layout.classes) for name in sorted(by_slice)},
    )


class _Objects:
    """How well a model tells objects apart, where the labels do.

    Where labels are of classes alone, and the records keep objects, these are what hangs together.
    """

    def __init__(self, model: Model, data: DataConfig, ingest: IngestConfig) -> None:
        self._model, self._reader = model, Reader(data)
        names = masks.coding(data).names
        background = borders.background_class(data, ingest.background)
        self._background = background
        self._hang_together = ingest.instances or ingest.border_weights is not None
        self._none = [background, names.get(BORDER, background)]
        self._values: list[np.ndarray] | None = []

    def add(self, sample: Sample) -> None:
        """Adds an image; raises SampleError where it cannot be read."""
        # Objects of an image that is read piece by piece are not known as wholes.
        if self._values is None or pieces.large(sample.image):
            return
        pair = self._reader.pair(sample)
        instances = pair.instances
        if instances is None and self._hang_together:
            instances = borders.components(pair.mask, self._background)
        if instances is None:
            self._values = None
            return
        predicted = self._model.mask(pair.image)
        nothing = np.isin(predicted, self._none) | (pair.mask == records.IGNORE)
        predicted = np.where(nothing, records.IGNORE, predicted)
        labelled = np.where(pair.mask == records.IGNORE, 0, instances)
        self._values.append(seg.values(labelled, borders.components(predicted, records.IGNORE)))

    def metrics(self) -> dict[str, float]:
        """`seg`, if it is known."""
        values = np.concatenate(self._values) if self._values else np.zeros(0)
        return {"seg": float(values.mean())} if len(values) else {}


def _slices(sample: Sample, wanted: Sequence[str]) -> list[str]:
    return [slicing.name({name: value}) for name, value in sample.attributes if name in wanted]


def _defined(confusion: np.ndarray, classes: Sequence[str]) -> dict[str, float]:
    values = metrics(confusion, classes)
    return {name: value for name, value in values.items() if np.isfinite(value)}


def _batches(placed: Placed, reader: Reader, layout: records.Layout) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    for record in reader.records(placed):
        batch.append(records.encode(record, layout))
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _kept_from_training(
    samples: Sequence[Sample], data: DataConfig, bad: list[SetAside]
) -> list[Placed]:
    """The images of the eval split; adds those that cannot be read to `bad`."""
    assert data.path is not None
    digests, unreadable = hashing.digests(sources.of(data), samples, data.path)
    bad += unreadable
    plan = splitting.plan([sample for sample in samples if sample.key in digests], digests, data)
    return [place for place in plan.placed if place.split == records.EVAL]
