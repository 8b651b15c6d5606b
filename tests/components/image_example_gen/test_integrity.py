from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from components.errors import InputError, SetAside
from components.image_example_gen import integrity
from components.image_example_gen.integrity import Counts

COUNTS = Counts(
    images=10, used={"train": 5, "eval": 2}, records={"train": 20, "eval": 8}, set_aside=2, unused=1
)


def test_counts_add_up():
    COUNTS.check()  # 5 + 2 + 2 + 1 = 10


def test_a_lost_image_is_an_error():
    with pytest.raises(RuntimeError, match="10 images were found, but 6 became records"):
        dataclasses.replace(COUNTS, used={"train": 4, "eval": 2}).check()


def test_what_is_written_is_read(tmp_path: Path):
    set_aside = [SetAside("images/ä b.png", "empty file")]
    integrity.write(tmp_path, COUNTS, set_aside)
    assert integrity.read(tmp_path) == (COUNTS, set_aside)


@pytest.mark.parametrize(
    ("bad", "images", "limit", "refused"),
    [
        (1, 3, 0.0, False),  # one file always may
        (2, 3, 0.0, True),
        (2, 199, 0.01, True),  # floor(1.99) = 1
        (2, 200, 0.01, False),
        (3, 200, 0.01, True),
    ],
)
def test_the_limit(bad: int, images: int, limit: float, refused: bool):
    entries = [SetAside(f"{number}.png", "empty file") for number in range(bad)]
    if not refused:
        integrity.refuse_too_many(entries, images, limit)
        return
    with pytest.raises(InputError) as caught:
        integrity.refuse_too_many(entries, images, limit)
    assert caught.value.set_aside == entries
