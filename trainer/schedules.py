"""Learning rates and the optimizers that follow them."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from trainer.adam import Adam
from trainer.config import TrainConfig
from trainer.lamb import LAMB

# Offsets and the scales of normalisation are not decayed: they do not overfit, and a scale of 0
# would switch a channel off. Names are Keras's: conv/bias:0, norm/gamma:0, and of the copies on
# further replicas conv/bias/replica_1:0.
_NOT_DECAYED = [r"(^|/)(bias|gamma|beta)(/replica_\d+)?(:|$)"]

_DECAY = {"sgd": 0.0, "adamw": 0.01, "lamb": 0.01}


def learning_rate(train: TrainConfig) -> Any:
    """The rate of each step: a linear warm-up from zero, then what `train.schedule` says.

    `polynomial` is that of DeepLab (Chen et al. 2017, https://arxiv.org/abs/1606.00915, section
    4.1), `cosine` that of Loshchilov and Hutter 2017 (https://arxiv.org/abs/1608.03983, equation
    5) over one period. Both reach zero at the last step.

    Returns:
      A number, or a schedule that gives a float32 scalar for a step counted from 0.
    """
    schedules = keras.optimizers.schedules
    rate, after = train.learning_rate, max(train.steps - train.warmup_steps, 1)
    if train.schedule == "constant":
        if not train.warmup_steps:
            return rate
        return schedules.PolynomialDecay(0.0, train.warmup_steps, end_learning_rate=rate)
    if train.schedule == "polynomial":
        schedule = schedules.PolynomialDecay(rate, after, 0.0, train.power)
    elif train.schedule == "step":
        schedule = _stairs(train, after)
    else:
        schedule = schedules.CosineDecay(rate, after)
    return WarmUp(schedule, rate, train.warmup_steps) if train.warmup_steps else schedule


def _stairs(train: TrainConfig, after: int) -> Any:
    schedules = keras.optimizers.schedules
    if train.step_every:
        return schedules.ExponentialDecay(
            train.learning_rate, train.step_every, train.step_factor, staircase=True
        )
    # Keras keeps a value up to and with its boundary; the first step is number 0.
    boundaries = [round(share * after) - 1 for share in train.step_at]
    values = [train.learning_rate * train.step_factor**n for n in range(len(boundaries) + 1)]
    return schedules.PiecewiseConstantDecay(boundaries, values)


class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """Rises in a line from zero to a rate, and then follows a schedule.

    Goyal et al. 2017 (https://arxiv.org/abs/1706.02677, section 2.2).

    Args:
      schedule: begins at its own step 0 once the rate is reached.
      rate: that it rises to.
      steps: that the rise takes, at least 1.
    """

    def __init__(self, schedule: Any, rate: float, steps: int) -> None:
        super().__init__()
        self.schedule, self.rate, self.steps = schedule, rate, steps

    def __call__(self, step: Any) -> tf.Tensor:
        """The rate of a step, counted from 0."""
        done = tf.cast(step, tf.float32)
        rising = self.rate * (done / self.steps)
        return tf.where(done < self.steps, rising, self.schedule(done - self.steps))

    def get_config(self) -> dict[str, Any]:
        """What Keras builds it from again."""
        return {"schedule": self.schedule, "rate": self.rate, "steps": self.steps}


def optimizer(train: TrainConfig) -> keras.optimizers.Optimizer:
    """The optimizer that `train` names.

    `sgd` with momentum 0.99 is the U-Net paper's (section 3), with 0.9 that of FCN and DeepLab.
    Weights decay beside the gradient, not as a part of it, in `sgd` and `adamw` (Loshchilov, Hutter
    2019, https://arxiv.org/abs/1711.05101, algorithms 1 and 2). Gradients are clipped after they
    were added up over replicas and, in float16, unscaled.
    """
    decay = _DECAY.get(train.optimizer, 0.0) if train.weight_decay is None else train.weight_decay
    common = {"learning_rate": learning_rate(train), "global_clipnorm": train.clip_norm}
    if train.optimizer == "adam":
        return Adam(**common)
    if train.optimizer == "sgd":
        made = keras.optimizers.SGD(
            momentum=train.momentum,
            nesterov=train.nesterov,
            weight_decay=decay or None,  # Keras would subtract a 0, weight by weight
            **common,
        )
    elif train.optimizer == "adamw":
        made = Adam(weight_decay=decay, **common)
    else:
        made = LAMB(weight_decay=decay, **common)
    made.exclude_from_weight_decay(var_names=_NOT_DECAYED)
    return made
