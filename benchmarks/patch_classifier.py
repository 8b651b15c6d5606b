"""A patch classifier slid over an image pixel by pixel, against its dense form, in one run.

    python benchmarks/patch_classifier.py [--side 48] [--repetitions 3]

Makes network N4 of Ciresan et al. 2012 (windows of 95 x 95 pixels) with random weights, and takes
turns, so that what else the machine does hits all alike, at the answers for a square of
`side` x `side` pixels by

    slid     every window, in batches of 256, as before there were fully convolutional networks
    dense    `trainer.models.patch_classifier.build`: each feature once
    strided  `trainer.models.surgery.convolutional`: each feature once, every 16th pixel

and prints the medians of the seconds and their ratio as one JSON line, with the largest difference
between the answers. Each form answers once before the clock runs. Half a minute on two cores. With
the square the ratio grows up to what windows share: of a pixel alone the two do the same work.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras
import numpy as np

from trainer.models import patch_classifier, registry, surgery
from trainer.models.options import PatchClassifierOptions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=48, help="pixels that are asked for, squared")
    parser.add_argument("--repetitions", type=int, default=3)
    given = parser.parse_args()

    options = PatchClassifierOptions()
    keras.utils.set_random_seed(0)
    patches = patch_classifier.classifier(1, 2, options)
    dense = registry.build("patch_classifier", {}, 2, [0.0], [1.0])
    patch_classifier.carry_over(patches, dense, options)
    strided = surgery.convolutional(patches)
    whole = given.side + options.window - 1
    images = np.random.default_rng(0).normal(size=(1, whole, whole, 1)).astype(np.float32)

    forms: dict[str, Callable[[], np.ndarray]] = {
        "slid": lambda: patch_classifier.slide(patches, images),
        "dense": lambda: dense.predict_on_batch(images),
        "strided": lambda: strided.predict_on_batch(images),
    }
    answers = {name: form() for name, form in forms.items()}
    seconds: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(given.repetitions):
        for name, form in forms.items():
            start = time.perf_counter()
            form()
            seconds[name].append(time.perf_counter() - start)

    medians = {name: statistics.median(times) for name, times in seconds.items()}
    print(
        json.dumps(
            {
                "side": given.side,
                "seconds": {name: round(value, 4) for name, value in medians.items()},
                "slid_over_dense": round(medians["slid"] / medians["dense"], 1),
                "largest_difference": float(np.max(np.abs(answers["slid"] - answers["dense"]))),
                "largest_answer": float(np.max(np.abs(answers["slid"]))),
            }
        )
    )


if __name__ == "__main__":
    main()
