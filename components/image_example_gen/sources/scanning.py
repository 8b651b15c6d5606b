"""What lies in the folders of images, masks and regions, by key."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from components.errors import InputError
from components.image_example_gen import decode
from components.image_example_gen.config import DataConfig
from components.image_example_gen.ordering import natural_key
from components.image_example_gen.sources import folder, folders
from components.image_example_gen.sources.affixes import Affixes
from components.image_example_gen.sources.pairing import without_number
from components.places import files_below

# Images in a format that is not decoded are listed, so that they are set aside by name.
_LISTED = decode.SUFFIXES | {".webp", ".jp2", ".exr", ".npy", ".heic"}


class Side(NamedTuple):
    """Files of one kind by key.

    Attributes:
      first: the file of each key.
      further: the other files of each key, where a key has several.
      twice: each file of a key that has one already, with that one.
      others: files without a key, since their names lack what the configuration says that they
        have; with their names below the folder, without endings.
    """

    first: dict[str, Path]
    further: dict[str, list[Path]]
    twice: dict[Path, Path]
    others: dict[Path, str]

    def files(self) -> list[Path]:
        """All of them."""
        further = [path for paths in self.further.values() for path in paths]
        return [*self.first.values(), *further, *self.twice, *self.others]


class Group(NamedTuple):
    """Folders that belong together: one of images, one of masks, and one of regions if there is.

    Attributes:
      images, masks, regions: their files.
      names: of a file of each kind, by "images", "masks" and "regions", with {} for its key and *
        for what may be anything: "masks/{}_mask.*".
      prefix: what stands before {} in a key.
      split: the side that the folders' names give; empty where they give none.
    """

    images: Side
    masks: Side
    regions: Side | None
    names: Mapping[str, str]
    prefix: str
    split: str

    def wanted(self, kind: str, key: str) -> str:
        """The name of a key's file of a kind."""
        return self.names[kind].replace("{}", key.removeprefix(self.prefix))

    def is_beside(self, name: str, paired: Collection[str]) -> bool:
        """Whether a file without a key is one more of an image's: x_color beside x_labelIds."""
        parent, slash, last = name.rpartition("/")
        cuts = [match.start() for match in re.finditer(r"[_\-. ]", last)]
        parts = [last[:cut] for cut in cuts] + [last[cut + 1 :] for cut in cuts]
        return any(f"{self.prefix}{parent}{slash}{part}" in paired for part in parts)


def image_files(top: Path, without: Path | None = None) -> list[Path]:
    """Files under `top` with an image's ending, in natural order; hidden ones are left out.

    Args:
      top: a folder.
      without: a subfolder to leave out, if any.
    """
    found = [path for path in files_below(top, without) if path.suffix.lower() in _LISTED]
    return sorted(found, key=lambda path: natural_key(path.as_posix()))


def groups(data: DataConfig) -> list[Group]:
    """The folders of a data set, in natural order, with their files.

    Raises:
      InputError: a folder is missing or empty.
    """
    root = folder(data)
    refuse_odd_patterns(data)
    found = folders.expand(root, data.images)
    if not found:
        raise _no_folder("images", root, data.images)
    splits = folders.sides({one.filled.get(folders.SPLIT, "") for one in found})
    made = []
    for one in found:
        masks = root / folders.fill(data.masks, one.filled)
        if masks.is_dir():
            made.append(_group(data, one, masks, splits.get(one.filled.get(folders.SPLIT, ""), "")))
        elif len(found) == 1:
            raise _no_folder("masks", root, folders.fill(data.masks, one.filled))
        else:
            made.append(_group(data, one, None, ""))
    for key, sides in (
        ("images", [one.images for one in made]),
        ("masks", [one.masks for one in made]),
    ):
        if not any(side.first or side.others for side in sides):
            raise InputError(
                f"{root / getattr(data, key)} holds no {key} (PNG, JPEG, BMP, GIF or TIFF); "
                f"put them there or set data.{key}."
            )
    return made


def refuse_odd_patterns(data: DataConfig) -> None:
    """Raises InputError where what names the folders does not fit together."""
    wanted = folders.placeholders(data.images)
    for key, pattern in (("masks", data.masks), ("regions", data.regions)):
        if pattern and folders.placeholders(pattern) != wanted:
            raise InputError(
                f"data.{key} {pattern!r} and data.images {data.images!r} must have the same "
                f"placeholders ({folders.SPLIT}, {folders.ANY}) in the same order."
            )
    if len({*wanted}) < len(wanted):
        raise InputError(f"data.images {data.images!r} has a placeholder twice; name the folder.")
    one_folder = data.images == data.masks
    if one_folder and (data.image_prefix, data.image_suffix) == (
        data.mask_prefix,
        data.mask_suffix,
    ):
        raise InputError("data.images and data.masks name one folder; set data.mask_suffix.")


def _no_folder(key: str, root: Path, name: str) -> InputError:
    here = sorted(path.name for path in root.iterdir() if path.is_dir())
    hint = f"; {root} has the folders {', '.join(here[:8])}" if here else ""
    return InputError(f"data.{key}: there is no folder {root / name}{hint}.")


def _group(data: DataConfig, images: folders.Found, masks: Path | None, split: str) -> Group:
    affixes = {
        "images": Affixes(data.image_prefix, folders.fill(data.image_suffix, images.filled)),
        "masks": Affixes(data.mask_prefix, folders.fill(data.mask_suffix, images.filled)),
        "regions": Affixes("", folders.fill(data.region_suffix, images.filled)),
    }
    several = data.mask_per == "object"
    alone = several and folders.ANY in images.filled
    names = {
        kind: f"{folders.fill(getattr(data, kind), images.filled)}/"
        + ("*" if alone else f"{affix.prefix}{{}}{affix.suffix}.*")
        for kind, affix in affixes.items()
    }
    # Images may lie in a folder above the masks', or in the very same.
    image_paths = image_files(images.path, without=masks)
    mask_paths = image_files(masks) if masks else []
    if data.images == data.masks:
        image_paths, mask_paths = _told_apart(
            mask_paths, images.path, affixes["images"], affixes["masks"], several
        )
    image_side = _by_key(image_paths, images, affixes["images"], alone)
    regions = None
    if data.regions:
        top = folder(data) / folders.fill(data.regions, images.filled)
        if not top.is_dir():
            raise _no_folder("regions", folder(data), folders.fill(data.regions, images.filled))
        regions = _by_key(image_files(top), images._replace(path=top), affixes["regions"], alone)
    if masks is None:
        mask_side = Side({}, {}, {}, {})
    elif several:
        owners = image_side.first
        mask_side = _several(mask_paths, images._replace(path=masks), affixes["masks"], owners)
    else:
        mask_side = _by_key(mask_paths, images._replace(path=masks), affixes["masks"], alone)
    return Group(image_side, mask_side, regions, names, images.key, split)


def _told_apart(
    paths: list[Path], top: Path, image: Affixes, mask: Affixes, several: bool
) -> tuple[list[Path], list[Path]]:
    """Images and masks of one folder; what could be both is what adds more to its key.

    What is neither is among the others.
    """

    def is_mask(path: Path) -> bool:
        name = _name(path, top)
        return bool(mask.key(name) or (several and mask.key(without_number(name)[0])))

    def is_image(path: Path) -> bool:
        return bool(image.key(_name(path, top)))

    if len(mask.prefix + mask.suffix) >= len(image.prefix + image.suffix):
        masks = [path for path in paths if is_mask(path)]
        taken = {*masks}
        return [path for path in paths if path not in taken], masks
    images = [path for path in paths if is_image(path)]
    taken = {*images}
    return images, [path for path in paths if path not in taken]


def _name(path: Path, top: Path) -> str:
    return path.relative_to(top).with_suffix("").as_posix()


def _by_key(paths: Iterable[Path], top: folders.Found, affixes: Affixes, alone: bool) -> Side:
    """Files by key; `alone`, the only one of its folder, has the folder's key."""
    side = Side({}, {}, {}, {})
    for path in paths:
        name = _name(path, top.path)
        own = affixes.key(name)
        if own is None:
            side.others[path] = name
            continue
        key = top.key[:-1] if alone else top.key + own
        if side.first.setdefault(key, path) != path:
            side.twice[path] = side.first[key]
    return side


def _several(
    paths: Iterable[Path], top: folders.Found, affixes: Affixes, owners: Iterable[str]
) -> Side:
    """Files by the key of the image that they are an object of, or else by their own."""
    side, known = Side({}, {}, {}, {}), {*owners}
    for path in paths:
        name = _name(path, top.path)
        candidates = [top.key + key for key in _candidates(name, affixes)]
        if top.key:
            candidates.append(top.key[:-1])
        key = next((key for key in candidates if key in known), None)
        if key is None:
            side.others[path] = name
        elif side.first.setdefault(key, path) != path:
            side.further.setdefault(key, []).append(path)
    return side


def _candidates(name: str, affixes: Affixes) -> Iterator[str]:
    """Keys that a file of an object may belong to: x of x_mask, x_mask_1, x/1 and x/y/1."""
    for one in (name, without_number(name)[0]):
        key = affixes.key(one)
        if key:
            yield key
    parts = name.split("/")
    for end in range(len(parts) - 1, 0, -1):
        yield "/".join(parts[:end])
