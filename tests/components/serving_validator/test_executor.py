from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tfx.components.pusher import executor as pusher
from tfx.types import standard_artifacts

from components.records import EVAL
from components.serving_validator import checks
from components.serving_validator.config import ValidationConfig
from components.serving_validator.executor import Executor, validate
from trainer.export import Exported

pytestmark = pytest.mark.slow  # each test starts a server

CONFIG = ValidationConfig(images=2)


class Shifted(Exported):
    """Answers clients one column to the side; the gate does not see it."""

    def serving_default(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        masks = super().serving_default(image_bytes)["mask_bytes"]

        def shift(mask: tf.Tensor) -> tf.Tensor:
            return tf.io.encode_png(tf.roll(tf.io.decode_png(mask), 1, axis=1))

        return {"mask_bytes": tf.map_fn(shift, masks)}


class Flattering(Exported):
    """Tells the gate that every labelled pixel is right."""

    def evaluate(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        counts = tf.reshape(super().evaluate(examples)["confusion"], [-1, 2, 2])
        right = tf.linalg.diag(tf.reduce_sum(counts, axis=2))
        return {"confusion": tf.reshape(right, [-1, 4])}


def failed(found: list[checks.Check]) -> dict[str, str]:
    return {check.name: check.sentence for check in found if not check.passed}


def bless(exported: Path, eval_files: list[str], folder: Path) -> Any:
    """The blessing that the component gives an exported model, or withholds."""
    model = standard_artifacts.Model()
    model.id, model.uri = 7, str(folder / "artifact")
    Path(model.uri).mkdir()
    exported.rename(Path(model.uri) / "Format-Serving")
    examples = standard_artifacts.Examples()
    examples.uri = str(folder / "examples")
    examples.split_names = json.dumps(["train", "eval"])
    split = Path(examples.uri) / f"Split-{EVAL}"
    split.mkdir(parents=True)
    (split / "records").symlink_to(eval_files[0])
    blessing = standard_artifacts.InfraBlessing()
    blessing.uri = str(folder / "blessing")
    Executor().Do(
        {"model": [model], "examples": [examples]},
        {"blessing": [blessing]},
        {"name": "cells", "validation": CONFIG.model_dump_json()},
    )
    return blessing


def test_a_model_that_answers_as_it_must_is_blessed(
    exported: Callable[..., Path], eval_files: list[str], tmp_path: Path
) -> None:
    blessing = bless(exported(), eval_files, tmp_path)
    found = [
        checks.Check(**one) for one in checks.read((Path(blessing.uri) / checks.FILE).read_text())
    ]
    assert failed(found) == {}
    assert [check.name for check in found] == [
        "loads",
        "signatures",
        "gRPC, serving_default",
        "REST, serving_default",
        "gRPC, probabilities",
        "gRPC, tensor",
        "gRPC, evaluate",
        "latency",
        "memory",
        "answer size",
    ]
    assert pusher.Executor().CheckBlessing({"infra_blessing": [blessing]})
    assert blessing.get_int_custom_property("current_model_id") == 7


@pytest.mark.parametrize(
    ("broken", "name", "told"),
    [
        (Shifted, "gRPC, serving_default", "other masks than the model itself"),
        (Flattering, "gRPC, evaluate", "the gate counted"),
    ],
)
def test_a_model_that_answers_wrongly_is_not(
    broken: type[Exported],
    name: str,
    told: str,
    exported: Callable[..., Path],
    eval_files: list[str],
) -> None:
    found = failed(validate(str(exported(broken)), eval_files, "cells", CONFIG))
    assert told in found.pop(name)
    if broken is Shifted:
        assert told in found.pop("REST, serving_default")
    assert found == {}


def test_a_model_without_a_signature_is_not(
    exported: Callable[..., Path], eval_files: list[str], tmp_path: Path
) -> None:
    directory = exported()
    loaded = tf.saved_model.load(str(directory))
    kept = {name: loaded.signatures[name] for name in ("tensor", "evaluate", "serving_default")}
    poorer = tmp_path / "poorer"
    tf.saved_model.save(loaded, str(poorer), signatures=kept)
    (directory / "assets.extra").rename(poorer / "assets.extra")
    (poorer / "assets.extra" / "tf_serving_warmup_requests").unlink()
    found = failed(validate(str(poorer), eval_files, "cells", CONFIG))
    assert found == {"signatures": "the model has no signature probabilities"}


def test_a_model_that_does_not_load_is_not(
    exported: Callable[..., Path], eval_files: list[str], tmp_path: Path
) -> None:
    directory = exported()
    for file in (directory / "variables").iterdir():
        file.unlink()
    blessing = bless(directory, eval_files, tmp_path)
    found = failed(
        [checks.Check(**one) for one in checks.read((Path(blessing.uri) / checks.FILE).read_text())]
    )
    assert list(found) == ["loads"]
    assert found["loads"].startswith("the model does not load: ")
    assert not pusher.Executor().CheckBlessing({"infra_blessing": [blessing]})


def test_a_model_that_takes_its_server_down_is_not(
    exported: Callable[..., Path],
    eval_files: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What TensorFlow does where a check of its own fails, done by a module that Python imports
    # before anything else.
    (tmp_path / "sitecustomize.py").write_text("import os; os.abort()\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = failed(validate(str(exported()), eval_files, "cells", CONFIG))
    assert found == {
        "loads": "the model does not load: The server was killed by SIGABRT while it loaded"
    }


def test_a_server_that_takes_too_long_is_no_model_that_does_not_load(
    exported: Callable[..., Path], eval_files: list[str]
) -> None:
    # Importing TensorFlow alone takes longer.
    hasty = ValidationConfig(max_loading_seconds=1)
    found = failed(validate(str(exported()), eval_files, "cells", hasty))
    assert found == {
        "loads": "its server did not answer in 1 s (push.validation.max_loading_seconds; a busy "
        "machine needs more)"
    }


def test_limits_are_held(exported: Callable[..., Path], eval_files: list[str]) -> None:
    tight = ValidationConfig(images=1, max_latency_ms=1e-6, max_memory_gb=1e-6, max_answer_mb=1e-6)
    found = failed(validate(str(exported()), eval_files, "cells", tight))
    assert list(found) == ["latency", "memory", "answer size"]
    assert found["latency"].endswith("above 1e-06 (push.validation.max_latency_ms)")
