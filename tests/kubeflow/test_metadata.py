from __future__ import annotations

from pathlib import Path

import pytest

from kubeflow import metadata


def test_grpc() -> None:
    found = metadata.connection("grpc://metadata-grpc-service.kubeflow:8080", Path("/w"))
    assert (found.host, found.port) == ("metadata-grpc-service.kubeflow", 8080)


def test_sqlite_is_the_workspaces_own(tmp_path: Path) -> None:
    found = metadata.connection("sqlite", tmp_path)
    assert found.sqlite.filename_uri == str(tmp_path / "metadata.sqlite")


@pytest.mark.parametrize("kind", ["mysql", "postgresql"])
def test_a_databases_password_is_in_the_environment(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OVERTILE_METADATA_PASSWORD", "p@ss/word")
    found = getattr(metadata.connection(f"{kind}://me@db.example.org:3307/mlmd", Path("/w")), kind)
    assert (found.host, str(found.port)) == ("db.example.org", "3307")
    assert (found.user, found.password) == ("me", "p@ss/word")
    assert (found.database if kind == "mysql" else found.dbname) == "mlmd"
