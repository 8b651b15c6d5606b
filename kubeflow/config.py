"""The `kubeflow` section of overtile.yaml."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import BaseModel, Field, NonNegativeInt, PositiveFloat, field_validator

_METADATA = re.compile(
    r"sqlite|(grpc://[^/@\s]+:\d+)|((mysql|postgresql)://[^/@:\s]+@[^/@\s]+:\d+/[\w-]+)"
)


class ComponentConfig(BaseModel, extra="forbid", frozen=True):
    """What one component gets of the cluster."""

    cpu: PositiveFloat = Field(2, description="cores at most; also the threads that it starts")
    memory: str = Field(
        "8Gi", pattern=r"^[0-9]+([KMGTPE]i?)?$", description="memory at most: 16Gi, 500M"
    )
    gpu: NonNegativeInt = Field(0, description="GPUs")
    retries: NonNegativeInt = Field(2, description="how often it is tried again when it fails")


class KubeflowConfig(BaseModel, extra="forbid", frozen=True):
    """How the pipeline runs on Kubeflow Pipelines; see docs/kubeflow.md."""

    image: str | None = Field(
        None, description="container image that kubeflow/Dockerfile makes, with its registry"
    )
    volumes: dict[str, Path] = Field(
        default_factory=dict,
        description="persistent volume claims, each with the path where every component sees it",
    )
    workspace: Path | None = Field(
        None, description="`workspace` as the components see it; default: the same path as here"
    )
    data: Path | None = Field(
        None, description="`data.path` as the components see it; default: the same path as here"
    )
    metadata: str = Field(
        "grpc://metadata-grpc-service.kubeflow:8080",
        description="ML Metadata: grpc://HOST:PORT, mysql://USER@HOST:PORT/DATABASE, "
        "postgresql://USER@HOST:PORT/DATABASE, or sqlite for a file in the workspace",
    )
    metadata_secret: str | None = Field(
        None,
        pattern=r"^[^/\s]+/[^/\s]+$",
        description="Kubernetes secret with the database's password, as NAME/KEY",
    )
    gpu_resource: str = Field("nvidia.com/gpu", description="what the cluster calls its GPUs")
    default: ComponentConfig = ComponentConfig()
    components: dict[str, ComponentConfig] = Field(
        default_factory=dict,
        description="what single components get in place of `default`: "
        "`Trainer: {gpu: 1, memory: 32Gi}`",
    )
    endpoint: str | None = Field(
        None, pattern=r"^https?://", description="KFP's API, such as http://localhost:8888"
    )
    namespace: str | None = Field(
        None, description="the profile's, where Kubeflow serves several users"
    )
    experiment: str | None = Field(None, description="that runs belong to; default: `name`")
    service_account: str | None = Field(None, description="that the components run as")

    @field_validator("metadata")
    @classmethod
    def _names_a_store(cls, value: str) -> str:
        if not _METADATA.fullmatch(value):
            raise ValueError(
                "write grpc://HOST:PORT, mysql://USER@HOST:PORT/DATABASE, "
                "postgresql://USER@HOST:PORT/DATABASE or sqlite; a password belongs in a secret, "
                "which metadata_secret names"
            )
        return value

    @field_validator("workspace", "data")
    @classmethod
    def _is_absolute(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_absolute():
            raise ValueError("must be absolute: it is a path in the container")
        return value

    def of(self, component: str) -> ComponentConfig:
        """What a component gets: its own entry over `default`."""
        own = self.components.get(component)
        changes = own.model_dump(exclude_unset=True) if own else {}
        return self.default.model_copy(update=changes)
