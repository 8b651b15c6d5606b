"""What can be wrong with a user's input."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class SetAside:
    """A file that is left out, and why.

    Attributes:
      file: path within the data set, with forward slashes.
      reason: a short phrase, "truncated PNG: ...".
    """

    file: str
    reason: str


class InputError(Exception):
    """The input is at fault: its message is one sentence that says what to do.

    Attributes:
      set_aside: the bad files, where they are the cause.
    """

    def __init__(self, message: str, set_aside: Sequence[SetAside] = ()):
        super().__init__(message)
        self.set_aside = list(set_aside)


class BadFileError(Exception):
    """One file of the data set is at fault: its message is a short reason, without the name."""
