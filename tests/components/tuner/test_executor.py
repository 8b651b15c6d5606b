from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from keras_tuner import HyperParameters
from tfx.types import standard_artifacts

from components.tuner import trials
from components.tuner.executor import Executor

TOLD = [
    trials.Trial(1, {"train.learning_rate": 0.1}, "completed", 0.5, 9, 1.5),
    trials.Trial(2, {"train.learning_rate": 0.2}, "failed", None, 0, 0.1, "No memory."),
    trials.Trial(3, {"train.learning_rate": 0.3}, "completed", 0.75, 9, 1.5),
]


class Tuner:
    """As much of one as TFX's executor asks for."""

    tuner_id = "tuner0"
    oracle = SimpleNamespace(max_trials=3, get_best_trials=lambda count: [])

    def search(self) -> None:
        pass

    def get_best_hyperparameters(self) -> list[HyperParameters]:
        best = HyperParameters()
        best.values["train.learning_rate"] = 0.3
        return [best]

    def told(self) -> list[trials.Trial]:
        return TOLD


def tuner_fn(arguments: Any) -> Any:
    """Called by TFX's executor."""
    return SimpleNamespace(tuner=Tuner(), fit_kwargs={})


def test_all_trials_are_beside_the_best_values(tmp_path: Path) -> None:
    graph, examples = standard_artifacts.TransformGraph(), standard_artifacts.Examples()
    graph.uri, examples.uri = str(tmp_path / "graph"), str(tmp_path / "examples")
    examples.split_names = '["train", "eval"]'
    best, results = standard_artifacts.HyperParameters(), standard_artifacts.TunerResults()
    best.uri, results.uri = str(tmp_path / "best"), str(tmp_path / "results")
    Executor(Executor.Context(tmp_dir=str(tmp_path / "tmp"), unique_id="1")).Do(
        {"examples": [examples], "transform_graph": [graph]},
        {"best_hyperparameters": [best], "tuner_results": [results]},
        {
            "tuner_fn": f"{__name__}.tuner_fn",
            "train_args": '{"splits": ["train"]}',
            "eval_args": '{"splits": ["eval"]}',
            "custom_config": "{}",
        },
    )
    written = json.loads((tmp_path / "best" / "best_hyperparameters.txt").read_text())
    assert written["values"] == {"train.learning_rate": 0.3}
    # The best first, what failed last.
    assert trials.read(results.uri) == [TOLD[2], TOLD[0], TOLD[1]]
