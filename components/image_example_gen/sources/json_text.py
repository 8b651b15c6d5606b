"""JSON files of strangers: read whole, or value by value where they are large."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from components.errors import BadFileError

_BLOCK = 1 << 20
# One value of a file that is read value by value: an annotation with its mask.
_LONGEST_VALUE = 1 << 28
_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


def read(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
      BadFileError: it cannot be read.
    """
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise BadFileError(f"cannot be opened: {error.strerror or error}") from error
    except RecursionError as error:
        raise BadFileError("corrupt JSON: nested too deep") from error
    except ValueError as error:
        raise damaged(error) from error


def damaged(error: ValueError) -> BadFileError:
    """Says what is wrong with a JSON text."""
    if isinstance(error, UnicodeDecodeError):
        return BadFileError("corrupt JSON: not UTF-8")
    if isinstance(error, json.JSONDecodeError):
        at = f"line {error.lineno}, column {error.colno}"
        early = error.pos >= len(error.doc.rstrip()) or error.msg.startswith("Unterminated string")
        kind = "truncated" if early else "corrupt"
        return BadFileError(f"{kind} JSON: {error.msg} at {at}")
    return BadFileError(f"corrupt JSON: {error}")


def values(path: Path, names: set[str]) -> Iterator[tuple[str, Any]]:
    """The values of a file's object or array, one by one, so that no more than one is held.

    Args:
      path: a JSON file that holds an object or an array.
      names: of the object's members that are wanted.

    Yields:
      Of an object (name, value); of a member that is an array (name, entry) for each entry; of an
      array ("", entry).

    Raises:
      BadFileError: at the place where the file cannot be read on.
    """
    try:
        with path.open("rb") as file:
            yield from _Reader(file).values(names)
    except OSError as error:
        raise BadFileError(f"cannot be opened: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise BadFileError("corrupt JSON: not UTF-8") from error


class _Reader:
    """Text of a file, as far as it is needed."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._text, self._at, self._whole = "", 0, False

    def values(self, names: set[str]) -> Iterator[tuple[str, Any]]:
        first = self._next()
        if first == "[":
            for entry in self._entries():
                yield "", entry
        elif first == "{":
            yield from self._members(names)
        else:
            raise BadFileError("corrupt JSON: it begins with neither { nor [")
        if _SPACE.fullmatch(self._text, self._at) is None or self._more():
            raise BadFileError("corrupt JSON: it goes on after its end")

    def _members(self, names: set[str]) -> Iterator[tuple[str, Any]]:
        self._at += 1
        if self._next() == "}":
            self._at += 1
            return
        while True:
            if self._next() != '"':
                raise BadFileError("corrupt JSON: an object's member has no name")
            name = self._value()
            self._expect(":")
            if name in names and self._next() == "[":
                for entry in self._entries():
                    yield name, entry
            else:
                value = self._value()
                if name in names:
                    yield name, value
            if self._expect(",}") == "}":
                return

    def _entries(self) -> Iterator[Any]:
        self._at += 1
        if self._next() == "]":
            self._at += 1
            return
        while True:
            yield self._value()
            if self._expect(",]") == "]":
                return

    def _next(self) -> str:
        """The next character that is no space; it is not taken."""
        while True:
            match = _SPACE.match(self._text, self._at)
            assert match is not None, "it matches nothing too"
            self._at = match.end()
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                raise BadFileError("truncated JSON: it has no end")

    def _expect(self, characters: str) -> str:
        found = self._next()
        if found not in characters:
            raise BadFileError(f"corrupt JSON: {found!r} where {' or '.join(characters)} is needed")
        self._at += 1
        return found

    def _value(self) -> Any:
        self._next()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
                # A number may go on in what is not read yet.
                if end < len(self._text) or not self._more():
                    self._at = end
                    return value
            except RecursionError as error:
                raise BadFileError("corrupt JSON: nested too deep") from error
            except ValueError as error:
                if len(self._text) - self._at > _LONGEST_VALUE:
                    raise BadFileError("corrupt JSON: a value without end") from error
                if not self._more():
                    raise damaged(error) from error

    def _more(self) -> bool:
        """Reads on: as much as is held again, so that a long value is not looked at too often."""
        if self._whole:
            return False
        held = self._text[self._at :]
        block = self._file.read(max(_BLOCK, len(held)))
        self._whole = not block
        self._text, self._at = held + self._decode(block, final=self._whole), 0
        return not self._whole
