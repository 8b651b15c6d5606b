"""The resolver and the Pusher in real pipelines, on a real metadata store."""

import json
from pathlib import Path
from typing import Any

import pytest
from tfx import v1 as tfx
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import InfraBlessing, Model, ModelBlessing

from components.evaluation.baseline import BaselineStrategy
from components.pusher.component import Pusher

pytestmark = pytest.mark.slow


@component
def Train(model: OutputArtifact[Model], iou: Parameter[float]) -> None:
    """A model is its mean IoU."""
    serving = Path(model.uri) / "Format-Serving"
    (serving / "assets.extra").mkdir(parents=True)
    (serving / "saved_model.pb").write_text(str(iou))
    layout = {"classes": ["a", "b"], "channels": 1, "dtype": "uint8"}
    (serving / "assets.extra" / "overtile.json").write_text(json.dumps({"layout": layout}))


@component
def Evaluate(
    model: InputArtifact[Model],
    blessing: OutputArtifact[ModelBlessing],
    floor: Parameter[float],
    baseline: InputArtifact[Model] = None,  # type: ignore[assignment]
) -> None:
    """Blesses what reaches the floor and is no worse than the baseline."""

    def iou(of: Any) -> float:
        return float((Path(of.uri) / "Format-Serving" / "saved_model.pb").read_text())

    good = iou(model) >= floor and (not baseline or iou(model) >= iou(baseline))
    blessing.set_int_custom_property("blessed", int(good))
    blessing.set_int_custom_property("current_model_id", model.id)


def run(folder: Path, iou: float, floor: float) -> list[str]:
    """Runs the joint once; what is served after it, oldest first."""
    trainer = Train(iou=iou)
    baseline = tfx.dsl.Resolver(
        strategy_class=BaselineStrategy,
        candidate=trainer.outputs["model"],
        model=tfx.dsl.Channel(type=Model),
        model_blessing=tfx.dsl.Channel(type=ModelBlessing),
        infra_blessing=tfx.dsl.Channel(type=InfraBlessing),
    ).with_id("Baseline")
    evaluator = Evaluate(
        model=trainer.outputs["model"], baseline=baseline.outputs["model"], floor=floor
    )
    pusher = Pusher(
        model=trainer.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        push_destination=tfx.proto.PushDestination(
            filesystem=tfx.proto.PushDestination.Filesystem(base_directory=str(folder / "serving"))
        ),
    )
    tfx.orchestration.LocalDagRunner().run(
        tfx.dsl.Pipeline(
            pipeline_name="joint",
            pipeline_root=str(folder / "artifacts"),
            components=[trainer, baseline, evaluator, pusher],
            enable_cache=True,
            metadata_connection_config=(
                tfx.orchestration.metadata.sqlite_metadata_connection_config(
                    str(folder / "metadata.sqlite")
                )
            ),
        )
    )
    versions = sorted((folder / "serving").glob("[0-9]*"), key=lambda path: int(path.name))
    return [(version / "saved_model.pb").read_text() for version in versions]


def test_an_unchanged_run_pushes_nothing(tmp_path: Path) -> None:
    assert run(tmp_path, iou=0.8, floor=0.5) == ["0.8"]
    assert run(tmp_path, iou=0.8, floor=0.5) == ["0.8"]
    assert run(tmp_path, iou=0.9, floor=0.5) == ["0.8", "0.9"]
    assert run(tmp_path, iou=0.9, floor=0.5) == ["0.8", "0.9"]


def test_an_older_model_does_not_replace_a_better_one(tmp_path: Path) -> None:
    run(tmp_path, iou=0.8, floor=0.5)
    assert run(tmp_path, iou=0.9, floor=0.5) == ["0.8", "0.9"]
    # Back to the first settings: the Trainer answers from the cache with the older model, and
    # another floor makes the Evaluator judge it anew.
    assert run(tmp_path, iou=0.8, floor=0.6) == ["0.8", "0.9"]
