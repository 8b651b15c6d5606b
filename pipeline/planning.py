"""Looks at a data set and writes a first overtile.yaml: what is behind `overtile init`."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import InputError
from components.image_example_gen import sources, spans
from components.image_example_gen.config import DataConfig, SplitConfig, Value
from components.image_example_gen.ingest_config import IngestConfig
from components.image_example_gen.sources import manifest, paired, stack
from components.image_example_gen.splitting import side_by_hash
from components.places import files_below
from components.records import SPLITS
from pipeline import codings, colour_names, guessing, naming, suspicions
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

    def evidence(self) -> list[str]:
        """Why the data set is read as proposed, a sentence each."""
        return codings.evidence(self.survey, self.meaning, self.data)

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
            "coding": self.data.coding,
            "evidence": self.evidence(),
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
        first = spans.first(of_spans)
        data = _recognised(path / (first.manifest or first.name))
    else:
        data = _recognised(path)
    seen = _surveyed(data, _MOST_INSPECTED)
    proposed, ingest, meant = _proposal(seen)
    related = len(seen.keys) == len(seen.listing.samples) and guessing.related_frames(
        seen.keys, seen.thumbnails
    )
    split = _split(seen, related)
    if split is not None:
        proposed = proposed.model_copy(update={"split": split})
    if section:
        of_all = {"path": path.absolute(), "spans": section, "manifest": ""}
        proposed = proposed.model_copy(update=of_all)
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
        of_all = {"path": data.path, "spans": data.spans, "manifest": data.manifest}
        return one.model_copy(update=of_all), ingest
    if data.path is not None and data.path.is_file():
        listed = _listed(data.path)
        data = guessing.completed(data, listed).model_copy(update={"path": listed.path})
    root = sources.folder(data)
    named = (root / data.images).exists() and (root / data.masks).exists()
    if data.format not in ("auto", "paired", "stack"):
        keys = sources.named(data.format).recognise(root) or {}
        data = guessing.completed(data, DataConfig(path=root, **keys))
    elif not named and not {"images", "masks"} & data.model_fields_set:
        data = guessing.completed(data, _recognised(root))
    elif data.format == "auto" and (root / data.images).is_dir() and stack.holds_stacks(data):
        data = data.model_copy(update={"format": "stack"})
    seen = _surveyed(data, _MOST_COMPLETED)
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


def _listed(file: Path) -> DataConfig:
    """The section of a manifest."""
    if file.suffix.lower() not in manifest.SUFFIXES or not manifest.is_manifest(file):
        raise InputError(
            f"{file} is no manifest: give a folder, or a CSV or JSONL file whose first line names "
            "an image and a mask."
        )
    return DataConfig(path=file.absolute().parent, format="manifest", manifest=file.name)


def _recognised(path: Path) -> DataConfig:
    if path.is_file():
        return _listed(path)
    root = sources.folder(DataConfig(path=path.absolute()))
    for name in sources.FORMATS:
        keys = sources.named(name).recognise(root)
        if keys is not None:
            return DataConfig(path=root, **keys)
    images = len(paired.image_files(root))
    if not images:
        found = "holds no images"
    elif any(path.suffix.lower() in (".json", ".xml") for path in files_below(root)):
        found = (
            f"holds {images} images, and JSON or XML files that are no export of COCO instances, "
            "LabelMe, Label Studio or CVAT for images which names these images"
        )
    else:
        found = f"holds {images} images, but no folder of masks whose names match the images'"
    raise InputError(
        f"{root} {found}; Overtile reads images beside masks of the same names, multi-page TIFF "
        "files, PASCAL VOC, COCO, LabelMe, Label Studio, CVAT, Cell Tracking Challenge data, and a "
        "manifest (CSV or JSONL)."
    )


def _surveyed(data: DataConfig, most: int) -> Survey:
    """Looks at pairs, again where their masks turn out to be coded in another way."""
    seen = survey(data, most)
    if data.coding != "auto" or data.classes or seen.listing.labels:
        return seen
    assert data.path is not None
    named = guessing.class_names(data.path, data.path / data.masks)[1] is not None
    if codings.objects(seen) and not named:
        coding = "objects"
    elif codings.holds_colours(seen.values):
        coding = "colours"
    else:
        return seen
    again = survey(data.model_copy(update={"coding": coding}), most)
    return dataclasses.replace(again, numbered=seen.numbered)


def _proposal(seen: Survey) -> tuple[DataConfig, IngestConfig, Meaning]:
    """The sections that fit what was seen, but for the split."""
    assert seen.data.path is not None
    masks = seen.data.path / seen.data.masks
    names, file = guessing.class_names(seen.data.path, masks)
    # A file of other names than the masks' values is not about them.
    if file and not set(seen.values) - {255} <= names.keys():
        names, file = {}, None
    lossy = seen.lossy > len(seen.keys) / 2
    given = naming.meaning(seen.listing.labels, seen.values) if seen.listing.labels else None
    meant = given or dataclasses.replace(
        guessing.meaning(seen.values, lossy, names, seen.data.coding == "objects"), names_from=file
    )
    if seen.data.coding == "colours" and not given:
        colours, file = colour_names.read(seen.data.path)
        meant = colour_names.named(meant, colours, file) if file else meant
    guessed = not (meant.instances or meant.given)
    plain = tuple(meant.classes) == ("background", "foreground") and guessed
    if plain and codings.inverted(seen, meant.classes["foreground"]):
        meant = guessing.upside_down(meant)
    keys: dict[str, Any] = {
        # One colour image among grey ones makes all of them RGB: nothing is lost.
        "channels": max(seen.channels) if max(seen.channels) <= 3 else _most(seen.channels),
        "dtype": _most(seen.dtypes),
        "classes": meant.classes,
    }
    if meant.ignore:
        keys["ignore"] = meant.ignore
    if meant.tolerance:
        keys["tolerance"] = meant.tolerance
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
    if any(sample.split for sample in samples) or len(seen.keys) < 2:
        return None  # the data set's own, or nothing to split
    if not related and len(samples) >= _FEW_IMAGES:
        return None
    source = sources.of(seen.data)
    if not related:
        sides = {
            side_by_hash(sample.group or source.digest(sample.image), SplitConfig())
            for sample in samples
            if sample.key in seen.keys
        }
        if sides == set(SPLITS):
            return None
    groups = list(dict.fromkeys(sample.group for sample in samples))
    if len(groups) == 1:
        return guessing.split_by_order(seen.keys)
    if all(sample.key.startswith(f"{sample.group}/") for sample in samples if sample.group):
        return SplitConfig(
            train=tuple(f"{group}/*" for group in groups[:-1]), eval=(f"{groups[-1]}/*",)
        )
    # A list by order would tear groups; some seed gives each side one.
    return next(
        split
        for split in (SplitConfig(seed=seed) for seed in itertools.count())
        if {side_by_hash(group, split) for group in groups} == set(SPLITS)
    )
