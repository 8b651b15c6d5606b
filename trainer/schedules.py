"""Learning rates and the optimizers that follow them."""

from __future__ import annotations

from typing import Any

import keras

from trainer.config import TrainConfig


def learning_rate(train: TrainConfig) -> Any:
    """The rate of each step: a linear warm-up from zero, then constant or a cosine to zero.

    The cosine is that of Loshchilov and Hutter 2017 (https://arxiv.org/abs/1608.03983, equation
    5), over one period.
    """
    if train.schedule == "constant":
        if not train.warmup_steps:
            return train.learning_rate
        return keras.optimizers.schedules.PolynomialDecay(
            0.0, train.warmup_steps, end_learning_rate=train.learning_rate
        )
    falling = max(train.steps - train.warmup_steps, 1)
    if not train.warmup_steps:
        return keras.optimizers.schedules.CosineDecay(train.learning_rate, falling)
    return keras.optimizers.schedules.CosineDecay(
        0.0, falling, warmup_target=train.learning_rate, warmup_steps=train.warmup_steps
    )


def optimizer(train: TrainConfig) -> keras.optimizers.Optimizer:
    """Adam, or the U-Net paper's SGD with high momentum (section 3)."""
    if train.optimizer == "sgd":
        return keras.optimizers.SGD(learning_rate(train), momentum=train.momentum)
    return keras.optimizers.Adam(learning_rate(train))
