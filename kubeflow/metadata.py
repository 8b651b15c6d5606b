"""Addresses of ML Metadata -> TFX's connections."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration import metadata

PASSWORD = "OVERTILE_METADATA_PASSWORD"
"""The environment variable that holds the database's password; a Kubernetes secret fills it."""

_UNLIMITED = -1  # gRPC's own limit of 4 MB is a few thousand artifacts


def connection(address: str, workspace: Path) -> metadata.ConnectionConfigType:
    """What TFX connects to.

    Args:
      address: as `kubeflow.metadata` holds it.
      workspace: that `sqlite` keeps its file in, the one that `overtile run` uses.
    """
    if address == "sqlite":
        return metadata.sqlite_metadata_connection_config(str(workspace / "metadata.sqlite"))
    parts = urlsplit(address)
    assert parts.hostname, "KubeflowConfig has checked it"
    assert parts.port, "KubeflowConfig has checked it"
    if parts.scheme == "grpc":
        return metadata_store_pb2.MetadataStoreClientConfig(
            host=parts.hostname,
            port=parts.port,
            channel_arguments={"max_receive_message_length": _UNLIMITED},
        )
    user, database = unquote(parts.username or ""), parts.path.lstrip("/")
    password = os.environ.get(PASSWORD, "")
    if parts.scheme == "mysql":
        return metadata.mysql_metadata_connection_config(
            parts.hostname, parts.port, database, user, password
        )
    return metadata_store_pb2.ConnectionConfig(
        postgresql=metadata_store_pb2.PostgreSQLDatabaseConfig(
            host=parts.hostname,
            port=str(parts.port),
            dbname=database,
            user=user,
            password=password,
        )
    )
