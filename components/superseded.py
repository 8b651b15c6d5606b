"""Images that a newer span labels again: their older records stay, and train no more.

Records are never changed once they are written, and which labels are the newest depends on the
window: where the newer span is refused, or is mended and lacks the image, the older labels hold.
So whoever reads the records of several spans to train on them asks here first: Transform, Tuner,
Trainer and the report.
"""

from __future__ import annotations

from collections.abc import Iterable

from components.image_example_gen import image_table
from components.records import TRAIN


def superseded(uris: Iterable[str]) -> dict[str, str]:
    """Sources of records that must not train.

    Two images are one where their files, or their pixels, are the same. Names do not count: many
    a delivery begins anew with 001.png.

    Args:
      uris: of the Examples artifacts that train.

    Returns:
      The source that takes its place, by the source that must not train. Sources are as in the
      records, and begin with the name of their span.
    """
    uris = list(dict.fromkeys(uris))
    if len(uris) < 2:
        return {}
    rows = image_table.of(uris, ("source", "span", "split", "sha256", "pixels")).to_pylist()
    rows = [row for row in rows if row["split"] == TRAIN]
    newest: dict[str, tuple[int, str]] = {}
    for row in rows:
        for digest in (row["sha256"], row["pixels"]):
            newest[digest] = max(newest.get(digest, (-1, "")), (row["span"], row["source"]))
    found = {}
    for row in rows:
        span, source = max(newest[row["sha256"]], newest[row["pixels"]])
        if span > row["span"]:
            found[row["source"]] = source
    return found


def of_files(files: Iterable[str]) -> list[str]:
    """`superseded` of what lies in some TFRecord files, or patterns of them, of artifacts' splits.

    Args:
      files: `<artifact>/Split-<name>/<file>`.

    Returns:
      The sources that must not train, in order.
    """
    uris = (file.rsplit("/", 2)[0] for file in sorted(files))
    return sorted(superseded(uris))
