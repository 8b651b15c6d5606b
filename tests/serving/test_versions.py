"""Which version is served, with models that load in no time."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from serving import versions as module
from serving.errors import Code, ServingError
from serving.versions import AVAILABLE, END, UNLOADING, Versions


class Fake:
    """A model that is what its saved_model.pb says; `bad` does not load."""

    loaded: list[str]

    def __init__(self, folder: Path, limit: int) -> None:
        self.text = (folder / "saved_model.pb").read_text()
        Fake.loaded.append(folder.name)
        if self.text == "bad":
            raise ServingError(Code.FAILED_PRECONDITION, f"{folder.name} is bad.")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    Fake.loaded = []
    monkeypatch.setattr(module, "Model", Fake)
    return tmp_path


def push(folder: Path, number: int, text: str = "good") -> None:
    (folder / str(number)).mkdir()
    (folder / str(number) / "saved_model.pb").write_text(text)


def states(versions: Versions) -> dict[int, int]:
    return {version.number: version.state for version in versions.status(None)}


def test_the_newest_is_served_by_number_and_not_by_name(folder: Path) -> None:
    push(folder, 9)
    push(folder, 10)
    (folder / "temporary").mkdir()
    (folder / ".incoming-11").mkdir()
    (folder / "12").mkdir()  # not whole yet
    versions = Versions("m", folder, 0)
    assert versions.load_first() == 10
    assert Fake.loaded == ["10"]
    assert states(versions) == {10: AVAILABLE}
    for number in (None, 10):
        with versions.use(number) as (used, _):
            assert used == 10


def test_a_newer_one_replaces_it_once_it_is_loaded(folder: Path) -> None:
    push(folder, 1)
    versions = Versions("m", folder, 0)
    versions.load_first()
    with versions.use(None) as (number, model):
        push(folder, 2)
        versions.update()
        # The old one takes no more requests, and stays until this one has been answered.
        assert versions.served() == 2
        assert states(versions) == {2: AVAILABLE, 1: UNLOADING}
        assert number == 1
        assert model is not None
        with pytest.raises(ServingError, match="Version 1 of m is not served; 2 is"):
            versions.use(1).__enter__()
    assert states(versions) == {2: AVAILABLE, 1: END}


def test_one_that_does_not_load_replaces_nothing_and_says_why(folder: Path) -> None:
    push(folder, 1)
    versions = Versions("m", folder, 0)
    versions.load_first()
    push(folder, 2, "bad")
    for _ in range(3):
        versions.update()
    assert Fake.loaded == ["1", "2"]  # tried once
    assert versions.served() == 1
    assert states(versions) == {2: END, 1: AVAILABLE}
    assert versions.status(2)[0].error == "2 is bad."
    # Mended in its place, as a slow copy mends itself.
    (folder / "2" / "saved_model.pb").write_text("good at last")
    versions.update()
    assert versions.served() == 2
    assert versions.status(2)[0].error == ""


def test_an_older_one_stands_in_at_the_start(folder: Path) -> None:
    push(folder, 1)
    push(folder, 2, "bad")
    versions = Versions("m", folder, 0)
    assert versions.load_first() == 1
    assert states(versions) == {2: END, 1: AVAILABLE}


def test_one_that_goes_from_the_disk(folder: Path) -> None:
    push(folder, 1)
    push(folder, 2)
    versions = Versions("m", folder, 0)
    versions.load_first()
    shutil.rmtree(folder / "2")  # somebody goes back by hand
    versions.update()
    assert versions.served() == 1
    assert states(versions) == {2: END, 1: AVAILABLE}
    shutil.rmtree(folder / "1")  # nothing else is there: it goes on
    versions.update()
    assert versions.served() == 1
    push(folder, 2)  # and again
    versions.update()
    assert versions.served() == 2


def test_nothing_to_serve(folder: Path) -> None:
    with pytest.raises(ServingError, match="holds no model") as refused:
        Versions("m", folder / "absent", 0).load_first()
    assert refused.value.code is Code.NOT_FOUND
    push(folder, 1, "bad")
    push(folder, 2, "bad")
    with pytest.raises(ServingError, match="2 is bad"):
        Versions("m", folder, 0).load_first()


def test_the_folder_of_one_model(folder: Path) -> None:
    push(folder, 7)
    assert Versions("m", folder / "7", 0).load_first() == 7
    (folder / "7").rename(folder / "model")
    assert Versions("m", folder / "model", 0).load_first() == 1


def test_a_watch_outlives_a_disk_that_is_away(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(folder, 1)
    versions = Versions("m", folder, 0)
    versions.load_first()
    looked = threading.Semaphore(0)
    found, away = module.found_versions, [True]

    def look(path: Path) -> dict[int, Path]:
        looked.release()
        if away:
            away.pop()
            raise OSError("stale file handle")
        return found(path)

    monkeypatch.setattr(module, "found_versions", look)
    push(folder, 2)
    stop = threading.Event()
    thread = threading.Thread(target=versions.watch, args=(0.001, stop))
    thread.start()
    for _ in range(3):
        assert looked.acquire(timeout=60)
    stop.set()
    thread.join()
    assert versions.served() == 2
