"""Digests of images' files, before any is decoded."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from components.errors import BadFileError, SetAside
from components.image_example_gen.sources.contract import Sample, Source
from components.places import is_remote

# Hashing waits for the disk, or the network, more than for a core; but threads that find all in
# memory hinder each other.
_READERS, _READERS_ELSEWHERE = 4, 8
# Files a thread is handed at a time: hashing a small one takes less than handing it over.
_AT_ONCE = 16


def digests(
    source: Source, samples: Sequence[Sample], root: Path
) -> tuple[dict[str, str], list[SetAside]]:
    """Digests of all images, by key; and those that cannot be read.

    Copies are found before anything is decoded, since a copy may not be on the other side.
    """

    def digest(some: Sequence[Sample]) -> list[str | SetAside]:
        return [_digest(source, sample, root) for sample in some]

    parts = [samples[first : first + _AT_ONCE] for first in range(0, len(samples), _AT_ONCE)]
    found, unreadable = {}, []
    with ThreadPoolExecutor(_READERS_ELSEWHERE if is_remote(root) else _READERS) as pool:
        for some, told in zip(parts, pool.map(digest, parts), strict=True):
            for sample, one in zip(some, told, strict=True):
                if isinstance(one, SetAside):
                    unreadable.append(one)
                else:
                    found[sample.key] = one
    return found, unreadable


def _digest(source: Source, sample: Sample, root: Path) -> str | SetAside:
    try:
        return source.digest(sample.image)
    except BadFileError as error:
        return SetAside(sample.image.name(root), str(error))
