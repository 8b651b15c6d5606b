import importlib.metadata
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from pipeline import doctor


def by_name(checks: list[doctor.Check]) -> dict[str, doctor.Check]:
    return {check.name: check for check in checks}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_IMPORTS", ("json",))


def test_whatever_is_not_ok_says_what_to_do(tmp_path: Path) -> None:
    found = by_name(list(doctor.checks(tmp_path / "overtile.yaml", must_exist=False)))
    for check in found.values():
        assert check.found
        assert check.state == "ok" or check.advice
    # This installation is from the lock file, or the other tests would not run.
    assert found["Python"].state == found["packages"].state == "ok"


def test_a_package_of_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    true = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "2.21.0" if name == "tensorflow" else true(name)
    )
    check = doctor._packages()
    assert check.state == "wrong"
    assert check.found == "tensorflow is 2.21.0, not ==2.15.1"


def test_another_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 12, 1))
    assert doctor._python().state == "wrong"


class Usage(NamedTuple):
    free: float


@pytest.mark.parametrize(("free", "state"), [(1e9, "wrong"), (9e9, "warning"), (90e9, "ok")])
def test_disk(monkeypatch: pytest.MonkeyPatch, free: float, state: str) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(free))
    assert doctor._disk(Path("/")).state == state


def test_the_project(tmp_path: Path) -> None:
    file = tmp_path / "overtile.yaml"
    assert by_name(list(doctor._project(file, must_exist=True)))["configuration"].state == "wrong"
    file.write_text("data: {path: nowhere}")
    found = by_name(list(doctor._project(file, must_exist=False)))
    assert found["configuration"].state == "ok"
    assert found["data"].state == "wrong"
    assert "nowhere does not exist" in found["data"].found
    assert found["workspace"].state == "ok"


def test_imports_that_fail_or_crash(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "crashes.py").write_text("import os; os._exit(7)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(doctor, "_IMPORTS", ("json", "no_such_module", "crashes", "never"))
    found = list(doctor._imports())
    assert [(check.name, check.state) for check in found] == [
        ("import json", "ok"),
        ("import no_such_module", "wrong"),
        ("import crashes", "wrong"),
    ]
    assert found[1].found == "ModuleNotFoundError: No module named 'no_such_module'"
    assert found[2].found == "crashed with exit code 7"
