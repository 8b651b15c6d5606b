"""Each model on each evaluation image: the same images, the same labels, the same counting."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from components.errors import InputError
from components.evaluation import bootstrap, confusion
from components.records import Layout
from components.run_report import images, joining, splits
from components.run_report.images import Key, Measured
from components.run_report.joining import Picture
from pipeline.comparison.recorded import Recorded
from trainer import baselines

progress = logging.getLogger("overtile.progress")

# Labelled images from which classical methods learn what their segments mean.
_SAMPLES = 16
# Images in memory at once.
_AT_ONCE = 32


@dataclasses.dataclass(frozen=True)
class Measurement:
    """What a model, or a classical method, is worth.

    Attributes:
      images: each evaluation image, by key.
      metrics: by the names of `confusion.names`; without the undefined ones.
      intervals: of mean IoU and each class's, over images.
      predict: from an image [H, W, C] to class ids, uint8 [H, W].
    """

    images: list[Measured]
    metrics: dict[str, float]
    intervals: dict[str, bootstrap.Interval]
    predict: joining.Predict

    def marginals(self) -> np.ndarray:
        """int64 [N, 3, K], of the images in the order of their keys."""
        return np.stack([image.marginals for image in self.images])


def model(run: Recorded, records: int) -> Measurement:
    """Asks an exported model about each evaluation record, as the Evaluator did.

    Args:
      run: whose model.
      records: how many there are, for whoever waits.
    """
    loaded = tf.saved_model.load(run.model)
    classes = len(run.layout.classes)

    def evaluate(batch: list[bytes]) -> np.ndarray:
        counts = loaded.signatures["evaluate"](examples=tf.constant(batch))["confusion"]
        return counts.numpy().reshape(-1, classes, classes)

    def predict(image: np.ndarray) -> np.ndarray:
        return loaded.signatures["tensor"](image=tf.constant(image[None]))["mask"][0].numpy()

    measured, counts = images.measure(run.eval_files, evaluate, classes, records)
    return _measurement(measured, counts, run.layout, predict)


def same_images(runs: Sequence[Recorded], names: Sequence[str]) -> list[splits.Split]:
    """The eval split of each run, once it is clear that they are the same.

    Raises:
      InputError: classes, pixels, images or labels differ.
    """
    first, *others = runs
    for one, name in zip(others, names[1:]):
        for what, mine, theirs in (
            ("classes", first.layout.classes, one.layout.classes),
            ("channels", first.layout.channels, one.layout.channels),
            ("pixels", first.layout.dtype, one.layout.dtype),
        ):
            if mine != theirs:
                raise InputError(
                    f"{names[0]} and {name} are not on the same data set: their {what} are "
                    f"{_listed(mine)} and {_listed(theirs)}."
                )
    sources = [labelled(one) for one in runs]
    for found, name in zip(sources[1:], names[1:]):
        if found.keys() != sources[0].keys():
            odd = sorted(found.keys() ^ sources[0].keys())
            which = names[0] if odd[0] in sources[0] else name
            number = "1 image evaluates" if len(odd) == 1 else f"{len(odd)} images evaluate"
            raise InputError(
                f"{names[0]} and {name} are not on the same eval split: {number} one of them "
                f"alone, {odd[0][1]} for instance only {which}."
            )
        for key, pixels in found.items():
            if not np.array_equal(pixels, sources[0][key]):
                raise InputError(
                    f"{names[0]} and {name} are not on the same eval split: the labels of {key[1]} "
                    "are others."
                )
    return [splits.read(one.eval_files, one.layout) for one in runs]


def labelled(run: Recorded) -> dict[Key, np.ndarray]:
    """Labelled pixels of each class of each evaluation image; ignored ones are nobody's concern.

    They are the same however images are cut into tiles.
    """
    classes = len(run.layout.classes)
    spec = {
        "source": tf.io.FixedLenFeature([], tf.string),
        "span": tf.io.FixedLenFeature([], tf.int64),
        "mask/class_pixels": tf.io.FixedLenFeature([classes + 1], tf.int64),
    }
    found: dict[Key, np.ndarray] = {}
    for serialized in tf.data.TFRecordDataset(tf.constant(list(run.eval_files), tf.string)):
        told = tf.io.parse_single_example(serialized, spec)
        key = int(told["span"]), told["source"].numpy().decode()
        pixels = told["mask/class_pixels"].numpy()[:classes]
        found[key] = found.get(key, 0) + pixels
    return found


def classical(run: Recorded, keys: Sequence[Key]) -> dict[str, Measurement]:
    """Each classical method on the same images.

    Args:
      run: any of those that are compared; its train split teaches what segments mean.
      keys: the evaluation images.
    """
    train = _keys(run.train_files)
    chosen = [train[place] for place in _spread(len(train), _SAMPLES)]
    samples = [
        baselines.Sample(picture.image, picture.label)
        for picture in _join(run.train_files, chosen, run.layout).values()
    ]
    predictors = {
        name: baselines.learn(name, samples, len(run.layout.classes)) for name in baselines.METHODS
    }
    counts = {name: {key: _nothing(run.layout) for key in keys} for name in predictors}
    for first in range(0, len(keys), _AT_ONCE):
        some = keys[first : first + _AT_ONCE]
        predicted: dict[tuple[str, Key], np.ndarray] = {}
        pictures = _join(run.eval_files, some, run.layout)
        for done, (key, picture) in enumerate(pictures.items()):
            told = {"what": "image", "done": first + done, "total": len(keys)}
            progress.info("", extra=told)
            for name, predict in predictors.items():
                predicted[name, key] = predict(picture.image)
        # Every labelled pixel counts, also where the method saw a reduced image.
        for key, record in joining.tiles(run.eval_files, some, run.layout):
            mask = record.mask[record.core]
            step = pictures[key].reduction
            places = [
                (start + np.arange(extent)) // step
                for start, extent in zip(record.tile, mask.shape)
            ]
            for name in predictors:
                counts[name][key] += confusion.confusion(
                    mask, predicted[name, key][np.ix_(*places)], len(run.layout.classes)
                )
    return {
        name: _measurement(
            [Measured(key, bootstrap.marginals(of_image)) for key, of_image in found.items()],
            sum(found.values(), _nothing(run.layout)),
            run.layout,
            predictors[name],
        )
        for name, found in counts.items()
    }


def pictures(run: Recorded, keys: Sequence[Key], predict: joining.Predict) -> dict[Key, Picture]:
    """Some evaluation images with a model's predictions, no larger than a page needs them."""
    return joining.join(run.eval_files, keys, run.layout, predict)


def repainted(pictures: Mapping[Key, Picture], predict: joining.Predict) -> dict[Key, Picture]:
    """The same pictures with what a classical method says of the whole image."""
    return {
        key: dataclasses.replace(picture, prediction=predict(picture.image))
        for key, picture in pictures.items()
    }


def _measurement(
    measured: list[Measured], counts: np.ndarray, layout: Layout, predict: joining.Predict
) -> Measurement:
    values = confusion.metrics(counts, layout.classes)
    stacked = np.stack([image.marginals for image in measured])
    return Measurement(
        measured,
        {name: value for name, value in values.items() if np.isfinite(value)},
        bootstrap.intervals(stacked, layout.classes),
        predict,
    )


def _join(files: Sequence[str], keys: Sequence[Key], layout: Layout) -> dict[Key, Picture]:
    """Images with their labels alone."""
    return joining.join(files, keys, layout, lambda image: np.zeros(image.shape[:2], np.uint8))


def _keys(files: Sequence[str]) -> list[Key]:
    """Every image of some records, in their order."""
    spec = {
        "source": tf.io.FixedLenFeature([], tf.string),
        "span": tf.io.FixedLenFeature([], tf.int64),
    }
    found = set()
    for serialized in tf.data.TFRecordDataset(tf.constant(list(files), tf.string)):
        told = tf.io.parse_single_example(serialized, spec)
        found.add((int(told["span"]), told["source"].numpy().decode()))
    return sorted(found)


def _spread(number: int, most: int) -> list[int]:
    """At most so many places out of a number of them, evenly apart.

    >>> _spread(10, 4), _spread(3, 4)
    ([0, 2, 5, 7], [0, 1, 2])
    """
    taken = min(number, most)
    return [place * number // taken for place in range(taken)]


def _nothing(layout: Layout) -> np.ndarray:
    return np.zeros((len(layout.classes),) * 2, np.int64)


def _listed(value: Any) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)
