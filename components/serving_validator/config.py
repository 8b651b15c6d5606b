"""What is asked of an exported model before it is pushed: `push.validation` of overtile.yaml."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field, PositiveFloat, PositiveInt


class ValidationConfig(BaseModel, extra="forbid", frozen=True):
    """How a model shows that it can be served."""

    by: Literal["embedded", "docker", "kubernetes", "none"] = Field(
        "embedded",
        description="embedded: Overtile's own server in a process of its own; docker, kubernetes: "
        "TFX's InfraValidator with TensorFlow Serving's image; none: pushed unseen",
    )
    images: PositiveInt = Field(3, description="eval images to ask for")
    max_latency_ms: PositiveFloat | None = Field(
        10_000, description="median time of an answer to one image, on the processor; embedded only"
    )
    max_memory_gb: PositiveFloat | None = Field(
        None, description="memory of the server at its peak; embedded only"
    )
    max_answer_mb: PositiveFloat | None = Field(
        4.0, description="size of a mask; gRPC clients refuse more than 4 by default; embedded only"
    )
    max_loading_seconds: PositiveInt = Field(120, description="until the server answers")
