"""Models that were never trained, so that each corner of a comparison can be seen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.evaluation import bootstrap, confusion
from components.records import Layout
from components.run_report import images
from components.run_report.joining import Picture
from pipeline.comparison import charts, comparing, features, telling
from pipeline.comparison.measuring import Measurement
from pipeline.comparison.recorded import Recorded
from pipeline.comparison.results import Comparison, Entry
from tests.components.run_report.conftest import scene, split
from trainer.cost import Cost
from trainer.receptive_field import ReceptiveField

Make = Callable[..., Any]
CLASSES = ("background", "cell", "border")


@pytest.fixture(scope="session")
def make_run() -> Make:
    """A run without files."""

    def make(name: str = "a", architecture: str = "unet", **changes: Any) -> Recorded:
        history = [
            {"epoch": epoch, "loss": 1 / epoch, "val_loss": 1.1 / epoch,
             "val_mean_iou": 1 - 0.7 / epoch, "seconds": 30.0 * epoch}
            for epoch in range(1, 6)
        ]  # fmt: skip
        values: dict[str, Any] = {
            "run": f"20260102-03040{len(name)}",
            "workspace": Path("/work"),
            "file": f"/work/{name}.yaml",
            "configuration": {"data": {"path": "/data/cells"}, "ingest": {"tile": 128}},
            "model": f"/work/{name}/Format-Serving",
            "layout": Layout(1, "uint8", CLASSES),
            "training": {
                "steps": 500, "best_step": 400, "precision": "float32", "history": history,
                "settings": {
                    "model": {"name": architecture, "options": {}, "normalise": "data_set"},
                    "train": {"steps": 500, "seed": 0}, "augment": {},
                },
            },
            "seconds": 150.0,
            "train_files": (),
            "eval_files": (),
            "fingerprints": frozenset({"f"}),
            **changes,
        }  # fmt: skip
        return Recorded(**values)

    return make


@pytest.fixture(scope="session")
def make_entry(make_run: Make) -> Make:
    """A model whose predictions are the labels, moved down by some pixels."""

    def make(
        name: str,
        shifts: list[int],
        classes: tuple[str, ...] = CLASSES,
        trained: bool = True,
        **changes: Any,
    ) -> Entry:
        measured, total = [], np.zeros((len(classes), len(classes)), np.int64)
        for seed, shift in enumerate(shifts):
            _, label, _ = scene(seed, len(classes))
            matrix = confusion.confusion(label, moved(seed, shift, len(classes)), len(classes))
            measured.append(images.Measured((0, f"image_{seed:02}"), bootstrap.marginals(matrix)))
            total += matrix
        measurement = Measurement(
            measured,
            confusion.metrics(total, classes),
            bootstrap.intervals(
                np.stack([one.marginals for one in measured]), classes, resamples=200
            ),
            lambda image: np.zeros(image.shape[:2], np.uint8),
        )
        if not trained:
            return Entry(name, "Otsu 1979", measurement)
        grey = "data:image/webp;base64,UklGRiQAAABXRUJQVlA4IBgAAAAwAQCdASoBAAEAAUAmJaQAA3AA/v02aAA="
        return Entry(
            name,
            "unet",
            measurement,
            make_run(name, layout=Layout(1, "uint8", classes), **changes),
            Cost(7_768_962, 48_300_000_000, 512, ReceptiveField(204, 204, 16)),
            features.Features("relu_9", (128, 128, 32), 1, [(n, grey) for n in range(12)], False),
        )

    return make


def moved(seed: int, shift: int, classes: int) -> np.ndarray:
    bands = (np.indices((48, 48)).sum(0) // 9 + seed) % classes
    return np.roll(bands, shift, axis=0).astype(np.uint8)


@pytest.fixture(scope="session")
def make_comparison(make_entry: Make) -> Make:
    """Two models and a classical method on five images."""

    def make(
        shifts: dict[str, list[int]] | None = None,
        classes: tuple[str, ...] = CLASSES,
        classical: bool = True,
        **changes: Any,
    ) -> Comparison:
        shifts = shifts or {"unet": [1, 1, 1, 1, 2], "fcn16s_frozen": [3, 2, 4, 3, 3]}
        entries = [make_entry(name, moves, classes) for name, moves in shifts.items()]
        count = len(next(iter(shifts.values())))
        if classical:
            entries.append(make_entry("Otsu threshold", [7] * count, classes, trained=False))
            shifts = {**shifts, "Otsu threshold": [7] * count}
        groups = comparing.choose(entries)
        shown = [key for _, keys in groups for key in keys]
        pictures = {
            name: {
                key: Picture(
                    (48, 48), 1, *scene(int(key[1][-2:]), len(classes))[:2],
                    moved(int(key[1][-2:]), moves[int(key[1][-2:])], len(classes)),
                )
                for key in shown
            }
            for name, moves in shifts.items()
        }  # fmt: skip
        apart = comparing.differences(entries)
        layout = Layout(1, "uint8", classes)
        pixels = entries[0].measurement.marginals()[:, 1].sum(0)
        runs = {entry.name: entry.run.training for entry in entries if entry.run}
        values: dict[str, Any] = {
            "created": "2026-01-02 03:10 +0000",
            "data": "/data/cells",
            "layout": layout,
            "colours": {},
            "entries": entries,
            "train": split(layout, 20, 4 * pixels, 0),
            "eval": split(layout, count, pixels, 36),
            "differences": apart,
            "settings": [("model.name", ["unet", "fcn16s"]), ("train.loss", ["a: 1", "b: 1"])],
            "charts": charts.of_trainings(runs),
            "groups": groups,
            "pictures": pictures,
            "conclusion": telling.conclusion(entries, apart),
            "notes": ["A note."],
            "command": ["overtile", "compare", "a b.yaml", "b.yaml"],
            **changes,
        }
        return Comparison(**values)

    return make
