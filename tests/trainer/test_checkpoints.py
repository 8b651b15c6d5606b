"""Trainings that are killed, disks that are full, files that are damaged."""

from __future__ import annotations

import errno
import logging
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.errors import InputError
from tests.trainer.apart import told_by
from trainer import strategy
from trainer.averaging import WeightAverage
from trainer.checkpoints import Checkpoints, best_weights


def model(value: float = 0.0) -> keras.Model:
    """One weight, and Adam's values for it."""
    dense = keras.layers.Dense(
        1, use_bias=False, kernel_initializer=keras.initializers.Constant(value)
    )
    made = keras.Sequential([keras.Input((1,)), dense])
    made.compile(optimizer=keras.optimizers.Adam(0.1), loss="mse")
    return made


def trained(directory: Path, ious: list[float]) -> Checkpoints:
    """Epochs with these eval mean IoUs; the weight of epoch n is n."""
    begun = model()
    callback = Checkpoints(begun, directory, patience=None)
    for epoch, iou in enumerate(ious, start=callback.epoch):
        begun.set_weights([np.array([[epoch + 1.0]])])
        callback.on_epoch_begin(epoch)
        callback.on_test_begin()
        callback.on_epoch_end(epoch, {"val_mean_iou": iou})
    return callback


def resumed(directory: Path) -> tuple[Checkpoints, float]:
    """A new training in that directory, and the weight that it goes on with."""
    again = model(-1.0)
    callback = Checkpoints(again, directory, patience=None)
    return callback, again.get_weights()[0].item()


def test_the_last_two_are_kept_each_with_the_best_weights_by_then(tmp_path: Path) -> None:
    trained(tmp_path, [0.5, 0.7, 0.6, 0.65])
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["epoch-000003", "epoch-000004"]
    assert best_weights(tmp_path)[0].item() == 2
    callback, weight = resumed(tmp_path)
    assert (callback.epoch, callback.best_epoch, callback.best_iou, weight) == (4, 2, 0.7, 4)
    seconds = [entry["seconds"] for entry in callback.history]
    assert len(seconds) == 4
    # Summed up, over a kill too.
    assert seconds == sorted(seconds)
    assert callback.seconds == seconds[-1] > 0


@pytest.mark.parametrize("part", ["state.data-00000-of-00001", "state.index", "best.npz"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "gone"])
def test_of_a_damaged_checkpoint_the_one_before_is_taken(
    part: str, damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trained(tmp_path, [0.5, 0.7, 0.6])
    file = tmp_path / "epoch-000003" / part
    content = bytearray(file.read_bytes())
    if damage == "gone":
        file.unlink()
    else:
        # In the middle of what the file holds: not in padding.
        content[len(content) // 2] ^= 0xFF
        file.write_bytes(content if damage == "flipped" else content[: len(content) // 2])
    with caplog.at_level(logging.INFO, "overtile.progress"):
        callback, weight = resumed(tmp_path)
    assert (callback.epoch, callback.best_iou, weight) == (2, 0.7, 2)
    assert [record.note for record in caplog.records] == [
        f"Training goes on from epoch 2, since {tmp_path}/epoch-000003 cannot be read: a damaged "
        "file."
    ]
    # And from there on as ever; the damaged one is replaced.
    trained(tmp_path, [0.8])
    assert best_weights(tmp_path)[0].item() == 3


def test_of_none_that_can_be_read_training_begins_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trained(tmp_path, [0.5])
    (tmp_path / "epoch-000001/state.index").write_bytes(b"")
    with caplog.at_level(logging.INFO, "overtile.progress"):
        callback, weight = resumed(tmp_path)
    # As it was built: nothing of what could be read has been taken.
    assert (callback.epoch, callback.history, weight) == (0, [], -1)
    assert "Training begins anew" in caplog.text


@pytest.mark.parametrize("where", ["best", "state"])
def test_a_full_disk_is_told_and_loses_nothing(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(tmp_path, [0.5, 0.7])

    def full(*args: Any, **kwargs: Any) -> None:
        if where == "best":
            raise OSError(errno.ENOSPC, "No space left on device")
        # As TensorFlow has it, which has this error for memory too.
        raise tf.errors.ResourceExhaustedError(
            None, None, f"{tmp_path}/.writing/state.data_temp; No space left on device"
        )

    with monkeypatch.context() as patch:
        patch.setattr(*((np, "savez") if where == "best" else (tf.train.Checkpoint, "write")), full)
        with pytest.raises(InputError) as told:
            trained(tmp_path, [0.9])
    assert str(told.value) == (
        f"The checkpoint of epoch 3 could not be written to {tmp_path} (No space left on device): "
        "make room there and run again; training goes on from epoch 2."
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch-000001", "epoch-000002"]
    assert resumed(tmp_path)[0].epoch == 2


def test_the_scale_of_float16_and_the_average_go_on_too(tmp_path: Path) -> None:
    def begun() -> tuple[keras.Model, WeightAverage, Checkpoints]:
        with strategy.policy("mixed_float16"):
            made = model()
        average = WeightAverage(made, 0.9)
        return made, average, Checkpoints(made, tmp_path, None, average)

    one, average, callback = begun()
    assert isinstance(one.optimizer, keras.mixed_precision.LossScaleOptimizer)
    # Not finite in float16: the step is skipped and the scale of 2^15 halved.
    one.fit(np.array([[1e4]]), np.array([[-1e8]]), verbose=0)
    assert float(one.optimizer.loss_scale) == 2**14
    one.set_weights([np.array([[5.0]])])
    average.on_train_batch_end(0)
    callback.on_epoch_end(0, {"val_mean_iou": 0.5})
    two, other, _ = begun()
    assert float(two.optimizer.loss_scale) == 2**14
    assert int(two.optimizer.iterations) == 1
    assert two.get_weights()[0].item() == 5
    # From 0 to 5, keeping 2 / 11.
    assert other.weights()[0].item() == pytest.approx(5 * 9 / 11)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_kills_at_any_step_change_no_bit(
    precision: str, record_files: dict[str, str], tmp_path: Path
) -> None:
    files = [record_files["train"], record_files["eval"]]
    found = told_by("killed", *files, str(tmp_path), precision)
    # Step 6; after epoch 2, which began again at step 4; in the checkpoint of epoch 3.
    assert found["signals"] == [0, 9, 9, 9, 0]
    assert found["resumed_from_step"] == 8
    # Of weights with dropout, Adam, warm-up, augmentation, normalisation and a moving average.
    assert found["equal"]
    whole, killed = (
        [{key: value for key, value in entry.items() if key != "seconds"} for entry in history]
        for history in found["histories"]
    )
    assert whole == killed
    seconds = [entry["seconds"] for entry in found["histories"][1]]
    assert seconds == sorted(seconds)
    assert found["left"] == ["epoch-000002", "epoch-000003"]
