"""What a training starts from: the last blessed model, another one's weights, or nothing."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from typing import Any

import keras

from trainer import warm_start
from trainer.settings import Settings

progress = logging.getLogger("overtile.progress")


@dataclasses.dataclass(frozen=True)
class Start:
    """Where a model's first weights are from.

    Attributes:
      path: of the other model; None where they are random.
      taken: how many layers have weights from there.
    """

    path: str | None = None
    taken: warm_start.Taken | None = None

    def told(self) -> dict[str, Any] | None:
        """For `training.json`."""
        return {"path": self.path, **self.taken._asdict()} if self.taken else None


def weights(
    model: keras.Model,
    build: Callable[[], keras.Model],
    settings: Settings,
    base_model: str | None,
) -> Start:
    """Gives a model the weights that it is to start from.

    Args:
      model: of any precision, in its strategy's scope.
      build: makes such a model in float32.
      settings: that name what to start from.
      base_model: folder of the last blessed model; it goes before `train.start_from` if it fits.

    Raises:
      InputError: what `train.start_from` names does not fit.
    """
    other = settings.train.start_from
    if base_model is not None:
        try:
            model.set_weights(warm_start.weights(base_model, settings.model, build()))
        except warm_start.OtherModelError as error:
            instead = f"starts from {other}" if other else "starts afresh"
            _note(f"Training {instead}, not from the last blessed model: {error}.")
        else:
            layers = len(warm_start.leaves(model))
            return Start(base_model, warm_start.Taken(layers, layers))
    if other is None:
        return Start()
    plain = build()
    taken = warm_start.start(plain, str(other), settings.model)
    model.set_weights(plain.get_weights())
    _note(f"Training starts from {other}: {taken.layers} of {taken.of} layers have its weights.")
    return Start(str(other), taken)


def _note(note: str) -> None:
    progress.info(note, extra={"note": note})
