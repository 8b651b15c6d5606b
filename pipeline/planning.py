"""Looks at a data set and writes a first overtile.yaml: what is behind `overtile init`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import InputError
from components.image_example_gen import sources, spans
from components.image_example_gen.config import DataConfig, IngestConfig, SplitConfig, Value
from components.image_example_gen.sources import paired
from components.image_example_gen.splitting import side_by_hash
from components.records import SPLITS
from pipeline import guessing, suspicions
from pipeline.guessing import Meaning
from pipeline.survey import Survey, survey

if TYPE_CHECKING:
    from rich.console import RenderableType

# Pairs that are read: some seconds of work, and enough to meet a class that few images have.
_MOST_INSPECTED = 1000
_MOST_COMPLETED = 500
# Below this, a split by hash may leave a side empty or far from its share.
_FEW_IMAGES = 40


@dataclasses.dataclass(frozen=True)
class Findings:
    """What a data set holds and how it might be used.

    Attributes:
      survey: what its files hold.
      meaning: what the mask values probably mean.
      data, ingest: the sections proposed.
      problems: a sentence each.
    """

    survey: Survey
    meaning: Meaning
    data: DataConfig
    ingest: IngestConfig
    problems: list[str]

    def shares(self) -> dict[Value, float]:
        """Each mask value's share of all pixels."""
        total = sum(self.survey.values.values())
        # Numbers by their order, colours and names by theirs.
        ordered = sorted(
            self.survey.values.items(), key=lambda pair: (isinstance(pair[0], str), pair)
        )
        return {value: count / total for value, count in ordered}

    def to_json(self) -> dict[str, Any]:
        """What `overtile init --json` prints."""
        seen = self.survey
        return {
            "path": str(self.data.path),
            "format": self.data.format,
            "images": self.data.images,
            "masks": self.data.masks,
            "pairs": len(seen.listing.samples),
            "looked_at": seen.looked_at,
            "sizes": {f"{width}x{height}": n for (width, height), n in seen.sizes.most_common()},
            "channels": {str(channels): n for channels, n in seen.channels.most_common()},
            "dtypes": dict(seen.dtypes.most_common()),
            "values": {str(value): share for value, share in self.shares().items()},
            "classes": {name: list(values) for name, values in self.data.classes.items()},
            "ignore": list(self.data.ignore),
            "problems": self.problems,
            "bad_files": [dataclasses.asdict(entry) for entry in suspicions.bad_files(seen)],
        }


def inspect(path: Path) -> Findings:
    """Looks at a folder; of spans, at the first.

    Raises:
      InputError: it holds no data set of a format that is known.
    """
    section = spans.recognise(path) if path.is_dir() else None
    if section:
        of_spans = DataConfig(path=path.absolute(), spans=section)
        data = _recognised(path / spans.first(of_spans).name)
    else:
        data = _recognised(path)
    seen = survey(data, _MOST_INSPECTED)
    proposed, ingest, meant = _proposal(seen)
    related = len(seen.keys) == len(seen.listing.samples) and guessing.related_frames(
        seen.keys, seen.thumbnails
    )
    split = _split(seen, related)
    if split is not None:
        proposed = proposed.model_copy(update={"split": split})
    if section:
        proposed = proposed.model_copy(update={"path": path.absolute(), "spans": section})
    return Findings(
        survey=seen,
        meaning=meant,
        data=proposed,
        ingest=ingest,
        problems=suspicions.problems(seen, meant, related),
    )


def complete(data: DataConfig, ingest: IngestConfig) -> tuple[DataConfig, IngestConfig]:
    """Fills what a configuration does not say of its data set; what it says stays.

    The split is not guessed: it must not change when images are added.

    Raises:
      InputError: there is no such data set, or it is of no known format.
    """
    if data.channels and data.dtype and data.classes:
        return data, ingest
    if data.spans:
        one, ingest = complete(spans.one_of(data), ingest)
        return one.model_copy(update={"path": data.path, "spans": data.spans}), ingest
    root = sources.folder(data)
    named = (root / data.images).exists() and (root / data.masks).exists()
    if not named and not {"images", "masks"} & data.model_fields_set:
        data = guessing.completed(data, _recognised(root))
    seen = survey(data, _MOST_COMPLETED)
    proposed, sized, _ = _proposal(seen)
    return guessing.completed(data, proposed), guessing.completed_ingest(ingest, sized.tile)


def write_config(findings: Findings, target: Path, overwrite: bool = False) -> None:
    """Writes an overtile.yaml that people can read and change.

    Raises:
      InputError: there is one, and `overwrite` is not set.
    """
    from pipeline import config_writer

    if target.exists() and not overwrite:
        raise InputError(f"{target} exists already; remove it or name another file.")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(config_writer.text(findings, target), encoding="utf-8")


def render(findings: Findings) -> RenderableType:
    """The findings for a terminal."""
    from pipeline import findings_view

    return findings_view.render(findings)


def _recognised(path: Path) -> DataConfig:
    root = sources.folder(DataConfig(path=path.absolute()))
    for name in sources.FORMATS:
        keys = sources.named(name).recognise(root)
        if keys is not None:
            return DataConfig(path=root, **keys)
    images = len(paired.image_files(root))
    if not images:
        found = "holds no images"
    elif any(root.rglob("*.json")):
        found = f"holds {images} images whose labels seem to be JSON, which is not read yet"
    else:
        found = f"holds {images} images, but no folder of masks whose names match the images'"
    raise InputError(
        f"{root} {found}; Overtile reads a folder of images beside a folder of masks of the same "
        "names, or two multi-page TIFF files."
    )


def _proposal(seen: Survey) -> tuple[DataConfig, IngestConfig, Meaning]:
    """The sections that fit what was seen, but for the split."""
    assert seen.data.path is not None
    masks = seen.data.path / seen.data.masks
    names, file = guessing.class_names(seen.data.path, masks)
    # A file of other names than the masks' values is not about them.
    if file and not set(seen.values) - {255} <= names.keys():
        names, file = {}, None
    lossy = seen.lossy > len(seen.keys) / 2
    meant = dataclasses.replace(guessing.meaning(seen.values, lossy, names), names_from=file)
    keys: dict[str, Any] = {
        # One colour image among grey ones makes all of them RGB: nothing is lost.
        "channels": max(seen.channels) if max(seen.channels) <= 3 else _most(seen.channels),
        "dtype": _most(seen.dtypes),
        "classes": meant.classes,
    }
    if meant.ignore:
        keys["ignore"] = meant.ignore
    if keys["dtype"] not in ("uint8", "uint16", "float32"):
        raise InputError(
            f"{seen.data.path}: the images' pixels are {keys['dtype']}; save them as 8 or 16 bit, "
            "or as float32."
        )
    if len(meant.classes) < 2:
        raise InputError(
            f"{masks}: all masks hold the one value {next(iter(seen.values))}; segmentation needs "
            "at least two classes."
        )
    data = DataConfig(**{**seen.data.model_dump(exclude_unset=True), **keys})
    return data, IngestConfig(tile=guessing.tile_side(seen.sizes)), meant


def _most(counter: Any) -> Any:
    return counter.most_common(1)[0][0]


def _split(seen: Survey, related: bool) -> SplitConfig | None:
    """A split by order where one by hash would leak or leave a side empty."""
    samples = seen.listing.samples
    if not related and len(samples) >= _FEW_IMAGES:
        return None
    source = sources.of(seen.data)
    if not related:
        sides = {
            side_by_hash(source.digest(sample.image), SplitConfig())
            for sample in samples
            if sample.key in seen.keys
        }
        if sides == set(SPLITS):
            return None
    return guessing.split_by_order(seen.keys)
