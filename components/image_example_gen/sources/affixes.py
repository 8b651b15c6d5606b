"""What images' and masks' names add to the key that they share, found from the names alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from itertools import product
from typing import NamedTuple


class Affixes(NamedTuple):
    """What stands around the key in a file's name, without folders and ending."""

    prefix: str = ""
    suffix: str = ""

    def key(self, name: str) -> str | None:
        """The key in a name, which may have folders before it; None where the affixes are not.

        >>> Affixes("gt_", "_v2").key("slide/gt_7_v2")
        'slide/7'
        """
        folder, slash, last = name.rpartition("/")
        if not (last.startswith(self.prefix) and last.endswith(self.suffix)):
            return None
        if len(last) < len(self.prefix) + len(self.suffix):
            return None
        inner = last[len(self.prefix) : len(last) - len(self.suffix)]
        return f"{folder}{slash}{inner}" if inner else folder or None

    def name(self, key: str) -> str:
        """The name of a key's file."""
        folder, slash, last = key.rpartition("/")
        return f"{folder}{slash}{self.prefix}{last}{self.suffix}"


class Match(NamedTuple):
    """How the names of two folders pair."""

    pairs: int
    images: Affixes
    masks: Affixes

    def rank(self) -> tuple[int, int, int]:
        """The more pairs and the less added to the keys, the better."""
        parts = (*self.images, *self.masks)
        # 21_manual1 is 21 and _manual1 rather than 21_ and manual1.
        ragged = sum(_begins_within(part) for part in (self.images.suffix, self.masks.suffix))
        ragged += sum(_ends_within(part) for part in (self.images.prefix, self.masks.prefix))
        return self.pairs, -ragged, -sum(map(len, parts))


def match(images: Collection[str], masks: Collection[str]) -> Match | None:
    """What makes most names of two folders pair, or None where nothing does.

    Args:
      images: names of files relative to their folder, without endings.
      masks: likewise.
    """
    same = len({*images} & {*masks})
    if same:
        return Match(same, Affixes(), Affixes())
    some, some_masks = _sample(images), _sample(masks)
    ends = ["", *_shared(some, last=True)], ["", *_shared(some_masks, last=True, least=_SOME)]
    heads = ["", *_shared(some, last=False)], ["", *_shared(some_masks, last=False)]
    ours, theirs = (
        [*(Affixes("", end) for end in suffixes), *(Affixes(head) for head in prefixes[1:])]
        for suffixes, prefixes in zip(ends, heads)
    )
    theirs += [Affixes("", added) for added in _added(images, some_masks)]
    best = _best(images, masks, ours, theirs)
    if best is None:
        ours, theirs = (
            [Affixes(*one) for one in product(prefixes[: _FEW + 1], suffixes[: _FEW + 1])]
            for suffixes, prefixes in zip(ends, heads)
        )
        best = _best(images, masks, ours, theirs)
    return best


_FEW = 3


def within(names: Collection[str]) -> list[Match]:
    """How the names of one folder may pair with each other: x with x_mask, x_sat with x_mask.

    Returns:
      Every way that pairs many of them, the mask's affixes being the longer ones.
    """
    everyone, some = {*names}, _sample(names)
    tails = ["", *_shared(some, last=True, least=_SOME)]
    heads = ["", *_shared(some, last=False, least=_SOME)]
    tails += [added for added in _added(names, some) if added not in tails]
    ways = [(Affixes("", one), Affixes("", other)) for one, other in product(tails, tails)]
    ways += [(Affixes(one), Affixes(other)) for one, other in product(heads, heads)]
    named = {
        affix: {affix.key(name): name for name in everyone}
        for affix in {a for w in ways for a in w}
    }
    found = []
    for image, mask in ways:
        if image == mask or not all(_has_letters(part) for part in (*image, *mask) if part):
            continue
        pairs = named[image].keys() & named[mask].keys() - {None}
        # x_mask is no image, though its name too may have the images' affixes.
        masks = {named[mask][key] for key in named[mask].keys() - {None}}
        count = sum(named[image][key] not in masks for key in pairs)
        if 2 * count > _MOST_OF * len(everyone):
            found.append(Match(count, image, mask))
    return sorted(found, key=Match.rank, reverse=True)


# A share of the names that ends alike may be those of the masks, among others.
_SOME = 0.25
_MOST_OF = 0.6


def _best(
    images: Collection[str],
    masks: Collection[str],
    image_affixes: Collection[Affixes],
    mask_affixes: Collection[Affixes],
) -> Match | None:
    """The affixes with the best rank; None where they pair nothing."""
    keys = {affix: {affix.key(name) for name in images} - {None} for affix in image_affixes}
    mask_keys = {affix: {affix.key(name) for name in masks} - {None} for affix in mask_affixes}
    matches = [
        Match(len(keys[one] & mask_keys[other]), one, other)
        for one, other in product(keys, mask_keys)
    ]
    best = max(matches, key=lambda one: (*one.rank(), one))
    return best if best.pairs else None


def _sample(names: Collection[str]) -> list[str]:
    """Some of the names, evenly spread: enough to see what they share."""
    ordered = sorted(names)
    return ordered[:: max(1, len(ordered) // _SAMPLE)]


_SAMPLE = 200


def _added(images: Collection[str], masks: Collection[str]) -> list[str]:
    """What masks' names have after an image's whole name, by how many do."""
    names, votes = {*images}, Counter[str]()
    for mask in masks:
        # The longest image name that the mask's goes on from.
        for end in range(len(mask) - 1, 0, -1):
            if mask[:end] in names and "/" not in mask[end:]:
                if mask[end - 1].isdigit() and mask[end].isdigit():
                    break  # 57 is not 5 with 7 added
                votes[mask[end:]] += 1
                break
    return [added for added, _ in votes.most_common(_MOST)]


def _shared(names: Collection[str], last: bool, least: float = 0.8) -> list[str]:
    """Ends or beginnings that at least a share of the names has alike, cut between its words."""
    votes: Counter[str] = Counter()
    for name in names:
        stem = name.rpartition("/")[2]
        cuts = [found.start() for found in _BETWEEN.finditer(stem)] + [len(stem)]
        votes.update({stem[cut:] if last else stem[:cut] for cut in {0, *cuts}} - {""})
    wanted = max(2, least * len(names))
    shared = [part for part, count in votes.items() if count >= wanted]
    return sorted(shared, key=lambda part: (-votes[part], -len(part)))[:_MOST]


_MOST = 8
# Where letters, digits and separators meet.
_BETWEEN = re.compile(
    r"(?<=[a-z])(?=[^a-z])|(?<=\d)(?=\D)|(?<=[^a-z\d])(?=[a-z\d])|(?<=[a-z])(?=[A-Z])", re.I
)


def _has_letters(part: str) -> bool:
    return any(letter.isalpha() for letter in part)


def _begins_within(suffix: str) -> bool:
    return bool(suffix) and (suffix[0].isalnum() or suffix[0] == "{")


def _ends_within(prefix: str) -> bool:
    return bool(prefix) and (prefix[-1].isalnum() or prefix[-1] == "}")
