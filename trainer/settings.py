"""What the DAG tells the Trainer and the Tuner."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from components.records import Layout
from trainer import space
from trainer.config import AugmentConfig, ModelConfig, TrainConfig
from trainer.models import registry

# Settings that change where and how fast a step is computed, and not what it comes to.
_ELSEWHERE = ("strategy", "jit")


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the DAG tells the Trainer and the Tuner, as their `custom_config`.

    Attributes:
      layout: of the records.
      model, train, augment: sections of the configuration.
    """

    layout: Layout
    model: ModelConfig
    train: TrainConfig
    augment: AugmentConfig

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON values."""
        sections = {name: getattr(self, name) for name in ("model", "train", "augment")}
        return {
            "layout": self.layout.to_json(),
            **{name: section.model_dump(mode="json") for name, section in sections.items()},
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Settings:
        """The settings that `to_json` wrote; further keys are somebody else's."""
        return cls(
            Layout.from_json(values["layout"]),
            ModelConfig(**values["model"]),
            TrainConfig(**values["train"]),
            AugmentConfig(**values["augment"]),
        )

    def replaced(self, values: Mapping[str, Any]) -> Settings:
        """With hyperparameters in the sections; see `trainer.space.chosen`."""
        sections = space.chosen(self.model, self.train, self.augment, values)
        return dataclasses.replace(self, **sections)

    @property
    def geometry(self) -> registry.Geometry:
        """The model's."""
        return registry.geometry(self.model.name, self.model.options)


def key(settings: Settings, *inputs: Any) -> str:
    """A name for a directory that is the same for the same settings and inputs.

    Also on another number of devices: a training that was killed there goes on here.
    """
    told = settings.to_json()
    told["train"] = {name: one for name, one in told["train"].items() if name not in _ELSEWHERE}
    serialized = json.dumps([told, inputs], sort_keys=True)
    return hashlib.sha256(serialized.encode()).hexdigest()[:16]
