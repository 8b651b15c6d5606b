"""Segmentation from before networks, to compare with: no method here needs training steps.

None of these methods knows classes; they find segments. How a segment gets a class is learnt from
labelled images of the train split, in the same way for all, and from nothing else:

- A pixel, or the segment that it belongs to, is described by a few numbers, and these are coded by
  the nearest of some centres (k-means over the train split's pixels). Two-phase methods have two
  codes, the darker phase and the brighter one.
- Each code gets the one class for which the mean IoU over the train images is highest
  (`assignment.best`). Pixels to be ignored have no part in it.

The result is a function of the image and of the train images alone: every random choice is seeded.
An image with a longer side than a method takes is reduced by a whole factor first, and the class
ids are enlarged again, so that no image takes long.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from components.display import displayable
from trainer.baselines import assignment, codes, cutting, phases, regions

Predict = Callable[[np.ndarray], np.ndarray]
"""From an image [H, W, C] of any dtype to class ids, uint8 [H, W]."""


class Sample(NamedTuple):
    """A labelled image of the train split.

    Attributes:
      image: [H, W, C].
      label: class ids, uint8 [H, W]; IGNORE counts nowhere.
    """

    image: np.ndarray
    label: np.ndarray


@dataclasses.dataclass(frozen=True)
class Method:
    """One of the methods.

    Attributes:
      title: what people call it.
      source: who described it, and when.
      side: pixels that the longer side of an image has at most; longer ones are reduced.
      learn: from train images of at most that side, the number of classes and a seed, to what
        predicts images of at most that side: uint8 [H, W, 3] to class ids.
    """

    title: str
    source: str
    side: int
    learn: Callable[[Sequence[Sample], int, int], Predict]


def learn(name: str, samples: Sequence[Sample], classes: int, seed: int = 0) -> Predict:
    """Learns how a method's segments become classes.

    Args:
      name: one of `METHODS`.
      samples: of the train split, of any size.
      classes: K.
      seed: of k-means and of the mixtures of GrabCut.

    Raises:
      ValueError: no sample has a labelled pixel.
    """
    method = METHODS[name]
    reduced = []
    for sample in samples:
        step = _step(sample.label.shape, method.side)
        label = sample.label[step // 2 :: step, step // 2 :: step]
        image = _reduced(displayable(sample.image), label.shape)
        reduced.append(Sample(image, label))
    predict = method.learn(reduced, classes, seed)

    def whole(image: np.ndarray) -> np.ndarray:
        seen = displayable(image)
        step = _step(seen.shape, method.side)
        height, width = (-(-extent // step) for extent in seen.shape[:2])
        ids = predict(_reduced(seen, (height, width)))
        large = ids.repeat(step, axis=0).repeat(step, axis=1)
        return large[: seen.shape[0], : seen.shape[1]].astype(np.uint8)

    return whole


def _step(shape: Sequence[int], side: int) -> int:
    return max(1, -(-max(shape[:2]) // side))


def _reduced(image: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    if image.shape[:2] == tuple(shape):
        return image
    return cv2.resize(image, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)


def _by_codes(
    describe: Callable[[np.ndarray], np.ndarray],
) -> Callable[[Sequence[Sample], int, int], Predict]:
    """A method that describes each pixel by numbers, float32 [H, W, F]."""

    def learn_codes(samples: Sequence[Sample], classes: int, seed: int) -> Predict:
        described = [describe(sample.image) for sample in samples]
        labels = [sample.label for sample in samples]
        book = codes.learn(described, labels, codes.size(classes), seed)
        coded = [codes.nearest(one, book) for one in described]
        ids = assignment.best(assignment.count(coded, labels, len(book.centres), classes))
        return lambda image: ids[codes.nearest(describe(image), book)]

    return learn_codes


def _by_phases(
    split: Callable[[np.ndarray], np.ndarray],
) -> Callable[[Sequence[Sample], int, int], Predict]:
    """A method that tells two phases apart: int [H, W], 0 for the darker one, 1 for the other."""

    def learn_phases(samples: Sequence[Sample], classes: int, seed: int) -> Predict:
        del seed  # nothing is drawn
        labels = [sample.label for sample in samples]
        coded = [split(sample.image) for sample in samples]
        ids = assignment.best(assignment.count(coded, labels, 2, classes))
        return lambda image: ids[split(image)]

    return learn_phases


def _grabcut(samples: Sequence[Sample], classes: int, seed: int) -> Predict:
    """Begins with what k-means says, since there is nobody who draws a rectangle."""
    begin = _by_codes(codes.pixels)(samples, classes, seed)
    counted = [label[label < classes] for label in (sample.label for sample in samples)]
    frequency = np.bincount(np.concatenate(counted), minlength=classes)
    order = [int(place) for place in np.argsort(-frequency, kind="stable") if frequency[place]]
    return lambda image: cutting.grabcut(image, begin(image), order, seed)


METHODS: dict[str, Method] = {
    "otsu": Method("Otsu threshold", "Otsu 1979", 640, _by_phases(phases.otsu)),
    "k_means": Method("k-means", "Lloyd 1982", 640, _by_codes(codes.pixels)),
    "region_growing": Method(
        "region growing", "Adams, Bischof 1994", 320, _by_codes(regions.grown)
    ),
    "normalised_cut": Method(
        "normalised cut", "Shi, Malik 2000", 320, _by_codes(cutting.normalised_cut)
    ),
    "grabcut": Method("GrabCut", "Rother, Kolmogorov, Blake 2004", 320, _grabcut),
    "level_set": Method(
        "level set",
        "Chan, Vese 2001, by morphology",
        320,
        _by_phases(phases.chan_vese),
    ),
}
"""By the names that compare and its JSON give them."""
