"""Guesses which folder holds the images and which the masks: from names, or else from pixels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import permutations, takewhile
from pathlib import Path
from typing import Any, NamedTuple

from components.image_example_gen.sources import affixes, folders, looks
from components.image_example_gen.sources.affixes import Affixes, Match
from components.image_example_gen.sources.tops import Top, all_tops, is_other_side

_MASK_WORDS = re.compile(
    r"mask|label|annot|segm|ground.?truth|(^|[_\W])(gt|seg|manual|target|truth)s?($|[_\W\d])", re.I
)


def sounds_like_masks(name: str) -> bool:
    """Whether a folder or file of this name would hold masks."""
    return bool(_MASK_WORDS.search(name))


def shared_prefix(one: str, other: str) -> int:
    """How many letters two names begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other)))


class _Way(NamedTuple):
    """A way to pair what two patterns hold.

    Attributes:
      images, masks: the patterns; the same for one folder.
      match: what the names add, and how many pairs that makes.
      objects: whether an image has several masks.
      sound: how much more the masks' pattern sounds like masks than the images'.
    """

    images: str
    masks: str
    match: Match
    objects: bool
    sound: int

    def rank(self) -> tuple[Any, ...]:
        """The better way is the greater."""
        return (
            self.match.pairs,
            folders.SPLIT in self.images,
            *self.match.rank()[1:],
            sounds_like_masks(self.match.masks.suffix),
            shared_prefix(self.images, self.masks),
            -len(self.masks),
            -len(self.images),
        )


def best_pair(root: Path, files: Iterable[Path]) -> dict[str, str] | None:
    """The two folders in which most files pair by name, or the one.

    Args:
      root: the data set's folder.
      files: the images and masks below it.

    Returns:
      Keys of DataConfig: images, masks (patterns of folders relative to `root`), and of mask_per,
      regions and what names add to keys those that are needed; None when nothing pairs.
    """
    tops = all_tops(root, files)
    ways = sorted(_of_two(tops), key=_Way.rank, reverse=True)
    ways += sorted(_of_one(tops), key=_Way.rank, reverse=True)
    most = max((way.match.pairs for way in ways), default=0)
    for two in (True, False):
        some = [way for way in ways if (way.images != way.masks) is two]
        # Names tell which are the masks, if they tell of many; else pixels do.
        for told in (lambda way: way.sound > 0, lambda way: _seen(tops, way)):
            best = next((way for way in some if told(way)), None)
            if best and best.match.pairs >= _MANY * most:
                good = [way for way in some if way.match.pairs >= _NEARLY * best.match.pairs]
                chosen = [way for way in good if told(way)]
                return _keys(*_with_region(tops, chosen, good))
    return None


_MANY, _NEARLY = 0.5, 0.8


def _keys(way: _Way, regions: str, region_suffix: str) -> dict[str, str]:
    image, mask = way.match.images, way.match.masks
    keys = {
        "image_prefix": image.prefix,
        "image_suffix": image.suffix,
        "mask_prefix": mask.prefix,
        "mask_suffix": mask.suffix,
        "mask_per": "object" if way.objects else "",
        "regions": regions,
        "region_suffix": region_suffix,
    }
    return {"images": way.images, "masks": way.masks} | {k: v for k, v in keys.items() if v}


def _of_two(tops: dict[str, Top]) -> Iterator[_Way]:
    for images, masks in permutations(tops, 2):
        same = folders.placeholders(images) == folders.placeholders(masks)
        if not same or _nested(images, masks) or is_other_side(images, masks):
            continue
        ours, theirs = _apart(images, masks)
        names, mask_names = tops[images].names, tops[masks].names
        if images == ".":
            names = {name: file for name, file in names.items() if "/" not in name}
        found = affixes.match(names, mask_names) if names else None
        if found:
            ours += "".join(found.images)
            theirs += "".join(found.masks)
        sound = sounds_like_masks(theirs) - sounds_like_masks(ours)
        if sound < 0:
            continue
        plain = found is not None and not any((*found.images, *found.masks))
        stems = {without_number(name)[0] for name in mask_names}
        if not plain and len(mask_names) >= _SEVERAL * len(stems):
            by_stem = affixes.match(names, stems)
            if by_stem and by_stem.pairs >= (found.pairs if found else 1):
                yield _Way(images, masks, by_stem, True, sound)
                continue
        covered = 0 if plain else _several(names, mask_names, folders.ANY in images)
        if _enough(covered, names, mask_names) and covered >= (found.pairs if found else 0):
            yield _Way(images, masks, Match(covered, Affixes(), Affixes()), True, sound)
        elif found and _enough(found.pairs, names, mask_names):
            numbered = _numbered(names, mask_names, found)
            yield _Way(images, masks, found, numbered, sound)


def _enough(pairs: int, images: dict[str, Path], masks: dict[str, Path]) -> bool:
    """A few names may be alike by chance."""
    return pairs > 0 and 2 * pairs >= min(len(images), len(masks))


def _of_one(tops: dict[str, Top]) -> Iterator[_Way]:
    """Folders that hold images and masks."""
    for pattern, top in tops.items():
        if pattern != "." and folders.ANY in pattern:
            continue
        for found in affixes.within(top.names):
            image, mask = ("".join(affix) for affix in (found.images, found.masks))
            sound = sounds_like_masks(mask) - sounds_like_masks(image)
            if sound >= 0:
                names = {name: top.names[name] for name in top.names if found.images.key(name)}
                numbered = _numbered(names, top.names, found)
                yield _Way(pattern, pattern, found, numbered, sound)


def _nested(images: str, masks: str) -> bool:
    if images == ".":
        return "/" in masks
    return f"{images}/".startswith(f"{masks}/") or f"{masks}/".startswith(f"{images}/")


def _apart(one: str, other: str) -> tuple[str, str]:
    """What is left of two patterns without the folders that both lie in."""
    parts, others = one.split("/"), other.split("/")
    while len(parts) > 1 and len(others) > 1 and parts[0] == others[0]:
        parts, others = parts[1:], others[1:]
    return "/".join(parts), "/".join(others)


def _numbered(images: Iterable[str], masks: Iterable[str], found: Match) -> bool:
    """Whether some image has a further mask with a number: x_mask, x_mask_1."""
    keys = {found.images.key(name) for name in images} - {None}
    return any(
        number and found.masks.key(name) not in keys and found.masks.key(stem) in keys
        for name in masks
        for stem, number in (without_number(name),)
    )


def without_number(name: str) -> tuple[str, str]:
    """A name without the number at its end, and that.

    >>> without_number("x_mask_12")
    ('x_mask', '_12')
    """
    match = _NUMBER.search(name)
    return (name[: match.start()], match[0]) if match and match.start() else (name, "")


# Not of manual1: who labels an image a second time makes no second object.
_NUMBER = re.compile(r"[_\-. ]\(?\d+\)?$")


def _several(images: Iterable[str], masks: Iterable[str], by_folder: bool) -> int:
    """Images that have several masks each, in a folder or with numbers; 0 where that is not so."""
    if by_folder:
        counts: dict[str, int] = {}
        for name in images:
            key = name.split("/")[0]
            counts[key] = counts.get(key, 0) + 1
        if any(count > 1 for count in counts.values()):
            return 0
        owners = [key for key in (name.split("/")[0] for name in masks) if key in counts]
    else:
        known = {*images}
        stems = ((name.rpartition("/")[0], without_number(name)[0]) for name in masks)
        owners = [next((stem for stem in pair if stem in known), "") for pair in stems]
        owners = [owner for owner in owners if owner]
    return len({*owners}) if len(owners) >= _SEVERAL * len({*owners}) else 0


_SEVERAL = 1.5


def _seen(tops: dict[str, Top], way: _Way) -> bool:
    """Whether pixels say that a way has masks where it takes them to be."""
    images, masks = _sides(tops, way)
    return looks.masks_of(looks.look(images), looks.look(masks))


def _sides(tops: dict[str, Top], way: _Way) -> tuple[list[Path], list[Path]]:
    images, masks = (
        [file for name, file in tops[pattern].names.items() if affix.key(name)]
        for pattern, affix in ((way.images, way.match.images), (way.masks, way.match.masks))
    )
    if way.images == way.masks:
        known = {*masks}
        images = [file for file in images if file not in known]
    return images, masks


def _with_region(
    tops: dict[str, Top], chosen: list[_Way], good: list[_Way]
) -> tuple[_Way, str, str]:
    """The best way; and beside it the folder, and its suffix, that says where labels count."""
    best = chosen[0]
    rivals = [way for way in good if way.images == best.images and way.masks != way.images]
    if best.objects or best not in rivals or not rivals[1:]:
        return best, "", ""
    seen = {way.masks: looks.look(_sides(tops, way)[1]) for way in rivals}
    for way in chosen:
        for other in rivals:
            suffix = _region_suffix(way.match, other.match)
            region = looks.region_beside(seen.get(way.masks), seen[other.masks])
            if region and suffix is not None:
                return way, other.masks, suffix
    return best, "", ""


def _region_suffix(masks: Match, region: Match) -> str | None:
    """What a region's name adds to the key that images have with their masks; None if no suffix.

    Beside 21_training with the key 21, 21_training_mask adds _training_mask.
    """
    rest = masks.images.suffix.removesuffix(region.images.suffix)
    if masks.images.prefix or region.masks.prefix or region.images.prefix:
        return None
    return (
        rest + region.masks.suffix if masks.images.suffix == rest + region.images.suffix else None
    )
