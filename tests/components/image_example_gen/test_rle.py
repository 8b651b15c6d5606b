from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as cocotools

from components.errors import BadFileError
from components.image_example_gen import rle


@pytest.mark.parametrize("seed", range(20))
def test_compressed_text_as_pycocotools_reads_it(seed: int):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 60, 2)
    picture = (rng.random((height, width)) < rng.random()).astype(np.uint8)
    coded = cocotools.encode(np.asfortranarray(picture))
    first, columns = rle.lines(rle.text(coded["counts"].decode()), height, width)
    whole = np.zeros((width, height), bool)
    whole[first : first + len(columns)] = columns
    np.testing.assert_array_equal(whole.T, picture)


def test_run_lengths_by_hand():
    # Lines of 3: ..x xx. ... -> 2 off, 3 on, 4 off.
    first, lines = rle.lines(rle.numbers([2, 3, 4]), 3, 3)
    assert first == 0
    assert lines.tolist() == [[False, False, True], [True, True, False]]
    # Nothing on; and runs of length 0 between.
    assert rle.lines(rle.numbers([9]), 3, 3)[1].shape == (0, 3)
    first, lines = rle.lines(rle.numbers([3, 1, 0, 2, 3]), 3, 3)
    assert (first, lines.tolist()) == (1, [[True, True, True]])


@pytest.mark.parametrize(
    "counts", [[1, 2], [10], [-1, 10], [1.5, 7.5], ["a"], None, [[9]], [1e300]]
)
def test_run_lengths_that_cover_something_else_are_refused(counts: object):
    with pytest.raises(BadFileError):
        rle.lines(rle.numbers(counts), 3, 3)


@pytest.mark.parametrize("text", ["o", "PPPPPPPPP1", "é", "\x00", "1\x7f", "oooooooo0"])
def test_text_that_pycocotools_would_read_past_is_refused(text: str):
    # "o" (111 - 48 = 63) says that a number goes on, and the text ends there.
    with pytest.raises(BadFileError):
        rle.lines(rle.text(text), 3, 3)


def pack(values: np.ndarray, literal: bool = False) -> list[int]:
    """Label Studio's packing, written from its description: runs, or single values, of 8 bits."""
    bits = [f"{len(values):032b}", f"{7:05b}", *(f"{size - 1:04b}" for size in (3, 4, 8, 16))]
    at = 0
    while at < len(values):
        if literal:
            part = values[at : at + 256]
            bits += ["0", "10", f"{len(part) - 1:08b}", *(f"{value:08b}" for value in part)]
            at += len(part)
            continue
        run = 1
        while at + run < len(values) and run < 2**16 and values[at + run] == values[at]:
            run += 1
        bits += ["1", "11", f"{run - 1:016b}", f"{values[at]:08b}"]
        at += run
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return [int(text[place : place + 8], 2) for place in range(0, len(text), 8)]


@pytest.mark.parametrize("literal", [False, True])
def test_brush(literal: bool):
    painted = np.zeros((5, 7), bool)
    painted[1:4, 2:6] = True
    rgba = np.zeros((5, 7, 4), np.uint8)
    rgba[painted] = (10, 20, 30, 255)
    packed = pack(rgba.ravel(), literal)
    np.testing.assert_array_equal(rle.brush(packed, (5, 7)), painted)


def test_brush_that_claims_more_than_its_image_is_refused():
    packed = pack(np.zeros(4 * 35, np.uint8))
    with pytest.raises(BadFileError, match="140 values of 8 bits, where 7x6 pixels need 168"):
        rle.brush(packed, (6, 7))
    packed[:4] = [255] * 4
    with pytest.raises(BadFileError, match="4294967295 values"):
        rle.brush(packed, (5, 7))
    with pytest.raises(BadFileError, match="ends early"):
        rle.brush(pack(np.zeros(4 * 35, np.uint8))[:-2], (5, 7))
    for wrong in (None, "text", [256], [-1], [1.5]):
        with pytest.raises(BadFileError, match=r"no list of bytes|ends early"):
            rle.brush(wrong, (5, 7))
