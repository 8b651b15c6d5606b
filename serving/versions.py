"""The versions of a model on disk, and the one that is served.

As TensorFlow Serving does by default: the newest version is served, and one that replaces another
is loaded before the other is let go. Unlike there, an older version stands in when the newest does
not load.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

from serving.errors import Code, ServingError, missing
from serving.model import Model

# TensorFlow Serving's names, in the order of a version's life.
START, LOADING, AVAILABLE, UNLOADING, END = 10, 20, 30, 40, 50

logger = logging.getLogger(__name__)


@dataclasses.dataclass
class Version:
    """A version that was seen.

    Attributes:
      number: its folder's name.
      folder: of its SavedModel.
      state: one of TensorFlow Serving's ModelVersionStatus.State.
      error: why it could not be loaded; empty if it could.
      fingerprint: of the files that failed to load; others in their place are tried again.
      model: while it is loaded.
      users: requests that it answers now.
    """

    number: int
    folder: Path
    state: int = START
    error: str = ""
    fingerprint: tuple[object, ...] = ()
    model: Model | None = None
    users: int = 0


class Versions:
    """Loads versions as they appear; requests use them meanwhile, from any thread."""

    def __init__(self, name: str, folder: Path, limit: int) -> None:
        """Looks at nothing yet.

        Args:
          name: of the model.
          folder: of versions, each in a folder whose name is a number; or of one SavedModel,
            which is then the only version.
          limit: bytes that a tensor of a request may take.
        """
        self.name = name
        self._folder = folder
        self._limit = limit
        self._seen: dict[int, Version] = {}
        self._lock = threading.Lock()

    def load_first(self) -> int:
        """Looks at the folder for the first time.

        Returns:
          The number of the version that is served.

        Raises:
          ServingError: there is none, or none that loads; of these the newest says why.
        """
        self.update()
        number = self.served()
        if number is not None:
            return number
        if not self._seen:
            raise missing(f"{self._folder} holds no model: no saved_model.pb and no version.")
        raise ServingError(Code.FAILED_PRECONDITION, self._seen[max(self._seen)].error)

    def update(self) -> None:
        """Looks at the folder once: loads the newest version, and lets the former one go.

        Call it from one thread only.
        """
        found = found_versions(self._folder)
        for number in sorted(found, reverse=True):
            version = self._seen.get(number)
            if version is not None and version.state == AVAILABLE:
                break  # what is older is not wanted
            if self._load(number, found[number]):
                break
        available = [v.number for v in self._seen.values() if v.state == AVAILABLE]
        # One that has gone from the disk stays only if there is no other.
        keep = max((n for n in available if n in found), default=max(available, default=None))
        for number in available:
            if number != keep:
                self._retire(self._seen[number])

    def watch(self, seconds: float, stop: threading.Event) -> None:
        """Updates until it is told to stop."""
        while not stop.wait(seconds):
            try:
                self.update()
            except Exception:  # such as a disk that is gone for a while: what is loaded serves on
                logger.exception("%s could not be looked at", self._folder)

    @contextlib.contextmanager
    def use(self, number: int | None) -> Iterator[tuple[int, Model]]:
        """A loaded version, kept while it is in use.

        Args:
          number: of the version; None for the newest.

        Raises:
          ServingError: it is not loaded.
        """
        with self._lock:
            available = [v for v in self._seen.values() if v.state == AVAILABLE]
            wanted = [v for v in available if number in (None, v.number)]
            if not wanted:
                served = ", ".join(str(v.number) for v in available)
                if number is None or not served:
                    raise missing(f"No version of {self.name} is served.")
                raise missing(f"Version {number} of {self.name} is not served; {served} is.")
            version = max(wanted, key=lambda version: version.number)
            version.users += 1
            model = version.model
        assert model is not None, "what is available is loaded"
        try:
            yield version.number, model
        finally:
            del model
            with self._lock:
                version.users -= 1
            self._finish(version)

    def served(self) -> int | None:
        """The number of the version that requests get; None while nothing is loaded."""
        with self._lock:
            available = [v.number for v in self._seen.values() if v.state == AVAILABLE]
        return max(available, default=None)

    def status(self, number: int | None) -> list[Version]:
        """The versions that were seen, the newest first.

        Args:
          number: only this one.

        Raises:
          ServingError: there is none.
        """
        with self._lock:
            chosen = [v for v in self._seen.values() if number in (None, v.number)]
        if not chosen:
            which = "any version" if number is None else f"version {number}"
            raise missing(f"Could not find {which} of model {self.name}.")
        return sorted(chosen, key=lambda version: -version.number)

    def _load(self, number: int, folder: Path) -> bool:
        """Whether a version could be loaded; one that failed is not tried again as it is."""
        fingerprint = _fingerprint(folder)
        former = self._seen.get(number)
        if former is not None and former.error and former.fingerprint == fingerprint:
            return False
        version = Version(number, folder, LOADING, fingerprint=fingerprint)
        with self._lock:
            self._seen[number] = version
        logger.info("loading version %d", number)
        try:
            model = Model(folder, self._limit)
        except ServingError as error:
            logger.warning("version %d: %s", number, error.message)
            logger.debug("version %d", number, exc_info=True)
            with self._lock:
                version.state, version.error = END, error.message
            return False
        with self._lock:
            version.model, version.state = model, AVAILABLE
        logger.info("serving version %d", number)
        return True

    def _retire(self, version: Version) -> None:
        """Takes no more requests to a version; it goes when the last has been answered."""
        with self._lock:
            version.state = UNLOADING
        self._finish(version)

    def _finish(self, version: Version) -> None:
        with self._lock:
            if version.state != UNLOADING or version.users:
                return
            version.model, version.state = None, END
        gc.collect()  # a SavedModel refers to itself, and holds a lot
        logger.info("unloaded version %d", version.number)


def found_versions(folder: Path) -> dict[int, Path]:
    """The whole versions on disk, by number.

    Args:
      folder: of versions, or of one SavedModel; its version is its folder's name, or else 1.
    """
    if (folder / "saved_model.pb").is_file():
        return {int(folder.name) if folder.name.isdecimal() else 1: folder}
    if not folder.is_dir():
        return {}
    return {
        int(path.name): path
        for path in folder.iterdir()
        if path.name.isdecimal() and (path / "saved_model.pb").is_file()
    }


def _fingerprint(folder: Path) -> tuple[object, ...]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    stats = [(str(path), path.stat()) for path in files]
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)
