"""tf.Example and TFRecord as bytes, without TensorFlow.

Ingestion's workers would import TensorFlow for these alone, which takes them longer than some data
sets; it writes only to some of the filesystems that data sets lie on; and its objects copy pixels
several times.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import BinaryIO

import google_crc32c
import numpy as np

_VALUE = b"\x0a"  # field 1, of a length: the values of a list, the name of an entry, and others
_LENGTHS = struct.Struct("<Q")
_CHECKS = struct.Struct("<I")


def octets(value: bytes | str) -> bytes:
    """A feature of one string."""
    return _text(value) if isinstance(value, str) else _within(b"\x0a", _within(_VALUE, value))


# Most texts and numbers are those of the record before.
@functools.lru_cache(maxsize=1024)
def _text(value: str) -> bytes:
    return octets(value.encode())


def floats(values: Iterable[float]) -> bytes:
    """A feature of float32 values."""
    packed = np.asarray(values, "<f4").tobytes()
    return _within(b"\x12", _within(_VALUE, packed))


@functools.lru_cache(maxsize=1024)
def integers(*values: int) -> bytes:
    """A feature of integers, none negative."""
    return _within(b"\x1a", _within(_VALUE, b"".join(map(_varint, values))))


def example(features: Mapping[str, bytes]) -> bytes:
    """A tf.Example; the same features give the same bytes, in whatever order they are given.

    The bytes are those of `SerializeToString(deterministic=True)`, whose map entries are sorted.
    https://protobuf.dev/programming-guides/encoding

    Args:
      features: what `octets`, `floats` and `integers` returned, by name.
    """
    parts = []
    for name in sorted(features, key=str.encode):
        key, feature = _key(name), features[name]
        size = _varint(len(feature))
        length = _varint(len(key) + 1 + len(size) + len(feature))
        parts += [_VALUE, length, key, b"\x12", size, feature]
    return b"".join([_VALUE, _varint(sum(map(len, parts))), *parts])


@functools.lru_cache(maxsize=1024)
def _key(name: str) -> bytes:
    return _within(_VALUE, name.encode())


def write(file: BinaryIO, record: bytes) -> None:
    """Adds a record to a TFRecord file.

    https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
    """
    length = _LENGTHS.pack(len(record))
    file.write(length + checksum(length))
    file.write(record)
    file.write(checksum(record))


def read(file: BinaryIO) -> Iterator[bytes]:
    """The records of a TFRecord file that `write` wrote."""
    while header := file.read(_LENGTHS.size + _CHECKS.size):
        (length,) = _LENGTHS.unpack(header[: _LENGTHS.size])
        yield file.read(length)
        file.read(_CHECKS.size)


def checksum(data: bytes) -> bytes:
    """The 4 bytes of a CRC-32C, masked as TFRecord has it."""
    crc = google_crc32c.value(data)
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
