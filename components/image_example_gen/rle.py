"""Run lengths -> where an object's pixels are, without a look at what memory they claim.

Three notations are known: COCO's numbers and its compressed text (column by column), and CVAT's
numbers (row by row). Label Studio packs whole pictures; see `brush`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from components.errors import BadFileError


def numbers(counts: Any) -> np.ndarray:
    """Run lengths, int64 [n], from a list in JSON.

    Raises:
      BadFileError: they are no whole numbers from 0.
    """
    try:
        found = np.asarray(counts, np.float64)
    except (TypeError, ValueError, OverflowError):
        found = np.array([-1.0])
    if found.ndim != 1 or not ((found >= 0) & (found <= _LONGEST)).all():
        raise BadFileError("a mask in run lengths that are no whole numbers from 0")
    if (found != np.floor(found)).any():
        raise BadFileError("a mask in run lengths that are no whole numbers from 0")
    return found.astype(np.int64)


_LONGEST = 2**32


def text(counts: str) -> np.ndarray:
    """Run lengths, int64 [n], from COCO's compressed text.

    As maskApi.c of pycocotools, rleFrString: five bits a character, and from the fourth number on
    the difference to the number two before. That C code trusts the text; this does not.

    Raises:
      BadFileError: it is no such text.
    """
    codes = np.frombuffer(counts.encode("utf-8", errors="replace"), np.uint8).astype(np.int64) - 48
    if not len(codes):
        return np.zeros(0, np.int64)
    goes_on = (codes & 0x20) > 0
    if codes.min() < 0 or codes.max() > 63 or goes_on[-1]:
        raise BadFileError("a mask in compressed run lengths that are damaged")
    ends = np.flatnonzero(~goes_on)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > _MOST_CHARACTERS:
        raise BadFileError("a mask in compressed run lengths that are damaged")
    within = np.arange(len(codes)) - np.repeat(starts, lengths)
    found = np.add.reduceat((codes & 0x1F) << 5 * within, starts)
    negative = (codes[ends] & 0x10) > 0
    found[negative] |= np.int64(-1) << (5 * lengths[negative])
    found[1::2] = np.cumsum(found[1::2])
    found[2::2] = np.cumsum(found[2::2])
    if found.min() < 0 or found.max() > _LONGEST:
        raise BadFileError("a mask in compressed run lengths that are damaged")
    return found


_MOST_CHARACTERS = 7


def lines(counts: np.ndarray, length: int, count: int) -> tuple[int, np.ndarray]:
    """Pixels of run lengths that begin with what is not the object.

    Args:
      counts: int64 [n].
      length: pixels of a line: of a column in COCO, of a row in CVAT.
      count: lines of the whole.

    Returns:
      The first line with a pixel of the object; bool [lines, length] from there to the last.

    Raises:
      BadFileError: the runs do not cover the whole exactly.
    """
    edges = np.cumsum(counts)
    if int(edges[-1] if len(edges) else 0) != length * count:
        raise BadFileError(
            f"a mask in run lengths of {int(edges[-1] if len(edges) else 0)} pixels, "
            f"where {length * count} are needed"
        )
    starts, ends = edges[:-1:2], edges[1::2]
    runs = ends > starts
    starts, ends = starts[runs], ends[runs]
    if not len(starts):
        return 0, np.zeros((0, length), bool)
    first, last = int(starts[0]) // length, (int(ends[-1]) - 1) // length
    steps = np.zeros((last - first + 1) * length + 1, np.int8)
    # Of runs that touch, one's end is the other's start.
    steps[starts - first * length] += 1
    steps[ends - first * length] -= 1
    inside = np.cumsum(steps[:-1], dtype=np.int8).view(bool)
    return first, inside.reshape(-1, length)


def brush(packed: Any, size: tuple[int, int]) -> np.ndarray:
    """Where Label Studio's brush has painted: bool [H, W] of its packed RGBA picture.

    The layout is that of the rle-pack package, which Label Studio uses: 32 bits with the number of
    values, 5 with the bits of a value less one, four times 4 with a length's bits less one; then
    blocks, each of 1 bit (run or single values), 2 bits (which of the four), a length less one,
    and one value or as many as that.

    Args:
      packed: a list of bytes.
      size: (height, width) that the export states.

    Raises:
      BadFileError: it is no such list, or not of this size.
    """
    try:
        data = bytes(packed)
    except (TypeError, ValueError, OverflowError):
        raise BadFileError("a brush mask that is no list of bytes") from None
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    at = 0

    def take(count: int) -> int:
        nonlocal at
        at += count
        if at > len(bits):
            raise BadFileError("a brush mask that ends early")
        return int("".join(map(str, bits[at - count : at])), 2)

    total = take(32)
    word = take(5) + 1
    sizes = [take(4) + 1 for _ in range(4)]
    height, width = size
    if total != height * width * 4 or word != 8:
        raise BadFileError(
            f"a brush mask of {total} values of {word} bits, where {width}x{height} pixels need "
            f"{height * width * 4} of 8"
        )
    values = np.zeros(total, np.uint8)
    done = 0
    while done < total:
        run = take(1)
        length = take(sizes[take(2)]) + 1
        end = min(done + length, total)
        if run:
            values[done:end] = take(word)
        else:
            wanted = (end - done) * word
            if at + wanted > len(bits):
                raise BadFileError("a brush mask that ends early")
            values[done:end] = np.packbits(bits[at : at + wanted])
            at += wanted
        done = end
    return values.reshape(height, width, 4)[..., 3] > _OPAQUE


# Label Studio's converter takes every value of the alpha channel for painted but 0.
_OPAQUE = 0
