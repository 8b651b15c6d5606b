"""Whether a data set has changed, found without reading it."""

from __future__ import annotations

import hashlib
import os

from components.image_example_gen import sources
from components.image_example_gen.config import DataConfig
from components.places import is_remote


def fingerprint(data: DataConfig) -> str:
    """A digest of name, size and time of change of each file of a data set.

    Raises:
      InputError: there is no such data set.
    """
    root = sources.folder(data)
    sha256 = hashlib.sha256()
    for path in sources.of(data).files(data):
        status = path.stat()
        # Not `relative_to`: data.images may lead out of the folder.
        name = str(path) if is_remote(path) else os.path.relpath(path, root)
        line = f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n"
        sha256.update(line.encode())
    return sha256.hexdigest()
