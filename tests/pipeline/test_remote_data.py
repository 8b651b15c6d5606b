"""A data set on an object store is looked at as one on a disk is."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.image_example_gen.fingerprint import fingerprint
from components.places import files_below, place
from pipeline import config as configuration
from pipeline import doctor, planning
from tests.components.image_example_gen.conftest import make_pair
from tests.filesystems import MemoryFileSystem


@pytest.fixture
def local(tmp_path: Path) -> Path:
    for number in range(6):
        make_pair(tmp_path / "data", f"f{number}", seed=number)
    (tmp_path / "data" / "images" / "alone.png").write_bytes(b"")
    return tmp_path / "data"


@pytest.fixture
def remote(local: Path) -> Iterator[Path]:
    for file in files_below(local):
        name = file.relative_to(local).as_posix()
        MemoryFileSystem.files[f"mem://bucket/data/{name}"] = file.read_bytes()
    yield place("mem://bucket/data")
    MemoryFileSystem.files.clear()


def test_init_finds_what_it_finds_on_a_disk(local: Path, remote: Path, tmp_path: Path) -> None:
    here, there = planning.inspect(local), planning.inspect(remote)
    told, expected = there.to_json(), here.to_json()
    assert told.pop("path") == "mem://bucket/data"
    expected.pop("path")
    assert told == expected

    planning.write_config(there, tmp_path / "overtile.yaml")
    read = configuration.load(tmp_path / "overtile.yaml")
    assert read.data.path == remote
    assert dataclasses.replace(there, data=read.data).data.classes == here.data.classes


def test_the_doctor_counts_its_pairs(remote: Path, tmp_path: Path) -> None:
    file = tmp_path / "overtile.yaml"
    file.write_text("data: {path: 'mem://bucket/data'}\n")
    found = {check.name: check for check in doctor._project(file, True)}
    assert found["data"].found.startswith("6 pairs in mem://bucket/data, 1 file")
    assert (found["engine"].state, found["engine"].found) == ("ok", "Beam runs here")


def test_its_fingerprint_changes_with_a_file(remote: Path) -> None:
    data = planning.inspect(remote).data
    before = fingerprint(data)
    assert fingerprint(data) == before
    MemoryFileSystem.files["mem://bucket/data/images/f0.png"] += b"x"
    assert fingerprint(data) != before


def test_the_doctor_names_what_is_wrong_with_an_engine(tmp_path: Path) -> None:
    file = tmp_path / "overtile.yaml"
    file.write_text("beam: {runner: spark}\n")
    found = {check.name: check for check in doctor._project(file, True)}
    assert found["engine"].state == "wrong"
    assert "beam.spark.master is not set" in found["engine"].found
