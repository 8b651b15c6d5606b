"""What may be wrong with a data set, in sentences that say what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from components.errors import SetAside
from components.image_example_gen.ingest_config import IngestConfig
from components.image_example_gen.sources import paired
from components.records import IGNORE
from pipeline import codings
from pipeline.config_writer import percent
from pipeline.guessing import Meaning
from pipeline.survey import Survey

_FEW_IMAGES = 20
_RARE = 0.01
_ONE_SIDED = 0.5
_NAMED = 3


def bad_files(seen: Survey) -> list[SetAside]:
    """Files that a run would set aside, as far as they were looked at."""
    return [*seen.listing.lone_images, *seen.listing.lone_masks, *seen.unreadable]


def problems(seen: Survey, meant: Meaning, related: bool) -> list[str]:
    """What to look into before training.

    Args:
      seen: what the files hold.
      meant: what the mask values were taken to mean.
      related: the images are frames or slices in order.
    """
    found = [*_of_files(seen), *_of_images(seen, related), *_of_labels(seen, meant)]
    return [sentence for sentence in found if sentence]


def _of_files(seen: Survey) -> list[str]:
    listing, sentences = seen.listing, []
    for entries, what in (
        (listing.lone_images, "cannot be paired with a mask"),
        (listing.lone_masks, "cannot be paired with an image"),
        (seen.unreadable, "cannot be used"),
    ):
        if entries:
            first = f"{entries[0].file} ({entries[0].reason})"
            more = f", and {len(entries) - 1} more" if len(entries) > 1 else ""
            sentences.append(f"{_files(len(entries))} {what} and will be set aside: {first}{more}.")
    if listing.unlabelled:
        are = "image is" if listing.unlabelled == 1 else "images are"
        sentences.append(f"{listing.unlabelled} {are} not labelled, and used for nothing.")
    if seen.glimpsed:
        sentences.append(
            f"Too large to be read whole: {_files(seen.glimpsed)}. Sixteen windows of each were "
            "looked at, so a rare mask value may have been missed; data.classes must name all."
        )
    bad, allowed = len(bad_files(seen)), IngestConfig().bad_input_limit
    if bad > max(1, allowed * seen.looked_at):
        sentences.append(
            f"A run stops at so many bad files: ingest.bad_input_limit is {percent(allowed)} of "
            "the images, or one file; mend or remove them first."
        )
    unused = _other_folders(seen)
    if unused:
        sentences.append(
            f"Not used: {', '.join(unused)}; if the labels are there, set data.masks and "
            "data.mask_suffix, and see that the names match."
        )
    return sentences


def _other_folders(seen: Survey) -> list[str]:
    """Folders of images beside the two that are used."""
    assert seen.data.path is not None
    root, data = seen.data.path, seen.data
    if data.format != "paired":
        return []
    used = {path.parent for path in paired.files(data)}
    others = Counter(path.parent for path in paired.image_files(root) if path.parent not in used)
    return [
        f"{folder.relative_to(root).as_posix()}/ ({_files(count)})"
        for folder, count in sorted(others.items())
    ][:6]


def _of_images(seen: Survey, related: bool) -> list[str]:
    sentences = []
    pairs = len(seen.listing.samples)
    if pairs < _FEW_IMAGES:
        sentences.append(
            f"Only {pairs} labelled images: the metrics of so few will be uncertain, and strong "
            "augmentation pays."
        )
    if related:
        own = any(sample.split for sample in seen.listing.samples)
        then = (
            "see that none of a video is on both sides of the data set's own split"
            if own
            else "a random split would let the model see what it is tested on, so the last fifth "
            "evaluates"
        )
        sentences.append(
            "Neighbouring images are much alike, as frames of a video or slices of a volume are: "
            f"{then}."
        )
    if len(seen.dtypes) > 1:
        (most, _), *others = seen.dtypes.most_common()
        count = sum(count for _, count in others)
        sentences.append(
            f"Pixel types differ: {_counted(seen.dtypes)}; the {count} that are not {most} will "
            "be set aside."
        )
    if len(seen.channels) > 1:
        sentences.append(f"Channels differ: {_counted(seen.channels)}.")
    sides = [side for size in seen.sizes for side in size]
    if max(sides) >= 4 * min(sides):
        sentences.append(
            f"Sizes differ much, sides from {min(sides)} to {max(sides)} pixels: check that they "
            "are of one scale."
        )
    if seen.transparent:
        sentences.append(
            f"Images with transparent pixels: {seen.transparent}; transparency is dropped, unless "
            "data.alpha lays them on white or black."
        )
    if seen.flat:
        sentences.append(f"Images of a single colour: {_listed(seen.flat)}.")
    return sentences


def _of_labels(seen: Survey, meant: Meaning) -> list[str]:
    total = sum(seen.values.values())
    shares = {
        name: sum(seen.values.get(value, 0) for value in values) / total
        for name, values in meant.classes.items()
    }
    sentences = []
    if meant.smeared:
        kind = "a lossy format such as JPEG" if seen.lossy else "an editor or a lossy format"
        sentences.append(
            f"The masks hold {len(seen.values)} values that scatter around {len(meant.classes)}, "
            f"as {kind} leaves them: each class takes the values nearest to it."
        )
    if meant.instances:
        sentences.append(
            f"The masks hold {len(seen.values)} values, which seem to number objects rather than "
            "name classes: all but 0 are taken for foreground."
        )
    last = list(shares)[-1]
    if len(shares) == 2 and shares[last] > _ONE_SIDED and not (meant.names_from or meant.given):
        values = meant.classes[last]
        value = str(values[0]) if len(values) == 1 else f"{values[0]} to {values[-1]}"
        sentences.append(
            f"The masks may be inverted: {value} covers {percent(shares[last])} of the pixels"
            f"{_at_edges(seen, values)}; if "
            "that is the background, swap the names of the classes."
        )
    rare = [f"{name} ({percent(share)})" for name, share in shares.items() if 0 < share < _RARE]
    if rare:
        sentences.append(
            f"Rare classes: {', '.join(rare)} of the pixels; add images of them if you "
            "can, and try train.class_weights: median_frequency."
        )
    absent = [name for name, share in shares.items() if share == 0]
    if absent:
        sentences.append(f"In no mask that was looked at: {_listed(absent)}.")
    if not meant.smeared and not meant.instances:
        stray = [
            value
            for value, count in seen.values.items()
            if count < _STRAY * total and value != IGNORE and not (meant.names_from or meant.given)
        ]
        if stray:
            sentences.append(
                f"Hardly any pixel has the mask value {_listed(sorted(stray))}: if it is a slip "
                "of the pen, move it to data.ignore."
            )
    return sentences


_STRAY = 1e-4


def _at_edges(seen: Survey, values: Sequence[Any]) -> str:
    share = codings.edge_share(seen, tuple(values))
    return f", and {percent(share)} of those at the pictures' edges" if share else ""


def _files(count: int) -> str:
    return f"{count} file" if count == 1 else f"{count} files"


def _counted(counter: Counter[Any]) -> str:
    return ", ".join(f"{value} in {count}" for value, count in counter.most_common())


def _listed(names: Sequence[Any]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(map(str, names[:_NAMED])) + more
