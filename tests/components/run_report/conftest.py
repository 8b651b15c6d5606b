"""Facts of a run that never was, so that each corner of the page can be seen without a pipeline."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import yaml

from components import display
from components.evaluation import bootstrap, confusion
from components.evaluation.gate import Evaluation, Rule
from components.records import IGNORE, Layout
from components.run_report import images, pictures
from components.run_report.facts import Facts, Pushed
from components.run_report.joining import Picture
from components.run_report.looks import Look
from components.run_report.splits import Split

MakeFacts = Callable[..., Facts]


def scene(seed: int, classes: int, side: int = 48) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An image [S, S, 1], its label with an ignored corner, and a prediction with mistakes."""
    random = np.random.default_rng(seed)
    bands = (np.indices((side, side)).sum(0) // 9 + seed) % classes
    label = bands.astype(np.uint8)
    label[:6, :6] = IGNORE
    shift = 1 + seed % 3
    prediction = np.roll(bands, shift, axis=0).astype(np.uint8)
    image = (bands * (200 // classes) + random.integers(0, 40, bands.shape)).astype(np.uint8)
    return image[..., None], label, prediction


def split(layout: Layout, count: int, pixels: np.ndarray, ignored: int) -> Split:
    channels = (120.0,) * layout.channels
    return Split(
        count, count, tuple(int(n) for n in pixels), ignored, channels, channels, (48, 48), (48, 48)
    )


@pytest.fixture(scope="session")
def make_facts() -> MakeFacts:
    def make(
        classes: tuple[str, ...] = ("background", "cell", "border"),
        count: int = 5,
        with_baseline: bool = True,
        floor: float = 0.3,
        **changes: Any,
    ) -> Facts:
        layout = Layout(1, "uint8", classes)
        scenes = [scene(seed, len(classes)) for seed in range(count)]
        matrices = [
            confusion.confusion(label, prediction, len(classes)) for _, label, prediction in scenes
        ]
        measured = [
            images.Measured((0, f"image_{seed:02}"), bootstrap.marginals(matrix))
            for seed, matrix in enumerate(matrices)
        ]
        total = sum(matrices, np.zeros((len(classes), len(classes)), np.int64))
        metrics = {
            name: value
            for name, value in confusion.metrics(total, classes).items()
            if np.isfinite(value)
        }
        mean = metrics["mean_iou"]
        rules = [Rule("min_mean_iou", "mean_iou", mean, floor, mean >= floor)]
        baseline = None
        if with_baseline:
            baseline = {name: value * 0.97 for name, value in metrics.items()}
            limit = baseline["mean_iou"]
            rules.append(Rule("max_drop", "mean_iou", mean, limit, mean >= limit))
        chosen = images.choose(measured)
        shown = {
            image.key: Picture((48, 48), 1, *scenes[int(image.key[1][-2:])])
            for image in chosen.images()
        }
        drawn = pictures.draw_all(list(shown.values()), display.colours(classes, {}))
        configuration = {
            "name": "cells",
            "data": {"path": "/data/cells", "colours": {}},
            "evaluate": {"min_mean_iou": floor},
            "model": {"name": "unet", "options": {"width": 8}},
            "train": {"learning_rate": 0.001},
        }
        history = [
            {"epoch": epoch, "loss": 1 / epoch, "mean_iou": 1 - 0.6 / epoch,
             "val_loss": 1.1 / epoch, "val_mean_iou": 1 - 0.7 / epoch}
            for epoch in range(1, 8)
        ]  # fmt: skip
        blessed = all(rule.passed for rule in rules)
        facts = Facts(
            run="20260102-030405",
            created="2026-01-02 03:10 +0000",
            configuration=configuration,
            configuration_text=yaml.safe_dump(configuration, sort_keys=False),
            layout=layout,
            train=split(layout, 3 * count, 3 * total.sum(1), 12),
            eval=split(layout, count, total.sum(1), 36 * count),
            images_found=4 * count,
            unused=0,
            findings=[],
            near_duplicates=[],
            train_look=Look(),
            eval_look=Look(),
            relabelled={},
            set_aside=[],
            held_back=[],
            fingerprints=["0123456789abcdef" * 4],
            trials=[],
            training={
                "resumed_from_step": 0, "steps": 700, "best_step": 600, "precision": "float32",
                "replicas": 1, "parameters": 1945250, "history": history,
                "settings": {
                    "model": {"name": "unet", "options": {"width": 8}},
                    "train": {"learning_rate": 0.00316, "seed": 0, "optimizer": "adam"},
                    "augment": {"flip": True, "elastic": False, "elastic_sigma": 10.0},
                },
            },
            model="/work/Trainer/model/7/Format-Serving",
            evaluation=Evaluation(metrics, baseline, rules, blessed),
            intervals=bootstrap.intervals(
                np.stack([image.marginals for image in measured]), classes, resamples=100
            ),
            confusion=total,
            chosen=chosen,
            panels=dict(zip(shown, drawn)),
            sizes={key: picture.size for key, picture in shown.items()},
            reductions=dict.fromkeys(shown, 1),
            serving_check=None,
            pushed=Pushed("/serving/cells/1795", "1795") if blessed else None,
        )  # fmt: skip
        return dataclasses.replace(facts, **changes)

    return make
