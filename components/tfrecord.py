"""tf.Example and TFRecord as bytes, without TensorFlow.

Ingestion's workers would import TensorFlow for these alone, which takes them longer than some data
sets; it writes only to some of the filesystems that data sets lie on; and its objects copy pixels
several times.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, TypeAlias

import google_crc32c
import numpy as np

_VALUE = b"\x0a"  # field 1, of a length: the values of a list, the name of an entry, and others
_LENGTHS = struct.Struct("<Q")
_CHECKS = struct.Struct("<I")


Part: TypeAlias = Any
"""Of a record: bytes, or a contiguous array; NumPy's types do not say that that is a buffer."""

Feature: TypeAlias = bytes | tuple[bytes, np.ndarray]
"""An encoded feature; or its first bytes, and an array whose bytes follow."""


def octets(value: bytes | str) -> bytes:
    """A feature of one string."""
    return _text(value) if isinstance(value, str) else _within(b"\x0a", _within(_VALUE, value))


# Most texts and numbers are those of the record before.
@functools.lru_cache(maxsize=1024)
def _text(value: str) -> bytes:
    return octets(value.encode())


def pixels(values: np.ndarray) -> Feature:
    """A feature of one string, the bytes of an array in C order, which are not copied."""
    return _head_of_pixels(values.nbytes), values


@functools.lru_cache(maxsize=1024)
def _head_of_pixels(size: int) -> bytes:
    head = _VALUE + _varint(size)
    return b"\x0a" + _varint(len(head) + size) + head


def floats(values: Iterable[float]) -> bytes:
    """A feature of float32 values."""
    packed = np.asarray(values, "<f4").tobytes()
    return _within(b"\x12", _within(_VALUE, packed))


@functools.lru_cache(maxsize=1024)
def integers(*values: int) -> bytes:
    """A feature of integers, none negative."""
    return _within(b"\x1a", _within(_VALUE, b"".join(map(_varint, values))))


def example(features: Mapping[str, Feature]) -> list[Part]:
    """A tf.Example, in parts; the same features give the same bytes, in whatever order.

    The bytes are those of `SerializeToString(deterministic=True)`, whose map entries are sorted.
    https://protobuf.dev/programming-guides/encoding

    Args:
      features: what `octets`, `pixels`, `floats` and `integers` returned, by name.
    """
    # Few parts, since each is a call of whoever checks or writes them.
    parts: list[Part] = []
    text: list[bytes] = []
    for name in _sorted(tuple(features)):
        feature = features[name]
        if isinstance(feature, bytes):
            text.append(_entry(name, feature))
        else:
            head, values = feature
            parts += [b"".join((*text, _head(name, len(head) + values.nbytes), head)), values]
            text = []
    parts.append(b"".join(text))
    return [_VALUE + _varint(sum(map(_size, parts))) + parts[0], *parts[1:]]


@functools.lru_cache(maxsize=64)
def _sorted(names: tuple[str, ...]) -> list[str]:
    return sorted(names, key=str.encode)


@functools.lru_cache(maxsize=1024)
def _entry(name: str, feature: bytes) -> bytes:
    return _head(name, len(feature)) + feature


@functools.lru_cache(maxsize=1024)
def _head(name: str, size: int) -> bytes:
    """What stands before a feature of so many bytes."""
    key, length = _key(name), _varint(size)
    return b"".join((_VALUE, _varint(len(key) + 1 + len(length) + size), key, b"\x12", length))


@functools.lru_cache(maxsize=1024)
def _key(name: str) -> bytes:
    return _within(_VALUE, name.encode())


def _size(part: Part) -> int:
    return len(part) if isinstance(part, bytes) else part.nbytes


def write(file: BinaryIO, record: bytes | Sequence[Part]) -> None:
    """Adds a record, whole or in parts, to a TFRecord file.

    https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
    """
    parts = [record] if isinstance(record, bytes) else record
    length = _LENGTHS.pack(sum(map(_size, parts)))
    file.writelines((length + checksum(length), *parts, checksum(*parts)))


def read(file: BinaryIO) -> Iterator[bytes]:
    """The records of a TFRecord file that `write` wrote."""
    while header := file.read(_LENGTHS.size + _CHECKS.size):
        (length,) = _LENGTHS.unpack(header[: _LENGTHS.size])
        yield file.read(length)
        file.read(_CHECKS.size)


def checksum(*parts: Part) -> bytes:
    """The 4 bytes of a CRC-32C of parts that follow one another, masked as TFRecord has it.

    Args:
      parts: bytes, or arrays that are contiguous.
    """
    crc = functools.reduce(google_crc32c.extend, parts, 0)
    return _CHECKS.pack(((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _within(tag: bytes, value: bytes) -> bytes:
    return b"".join((tag, _varint(len(value)), value))


def _varint(value: int) -> bytes:
    if value < 128:
        return _SMALL[value]
    septets = bytearray()
    while value > 127:
        septets.append(value & 127 | 128)
        value >>= 7
    septets.append(value)
    return bytes(septets)


_SMALL = [bytes((value,)) for value in range(128)]
