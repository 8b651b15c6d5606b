"""Turns a data set into TFRecords. TFX's launcher calls `Executor.Do`."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import apache_beam as beam
from tfx import types
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_executor
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_component_specs

from components.errors import BadFileError, InputError, SetAside
from components.image_example_gen import integrity, shards, sources, splitting
from components.image_example_gen.config import DataConfig, IngestConfig
from components.image_example_gen.sources.contract import Sample, Source
from components.records import SPLITS


class Executor(base_beam_executor.BaseBeamExecutor):
    """Reads labelled images, writes one folder of records a split, and accounts for every image."""

    def Do(  # noqa: N802 - TFX's name
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the records.

        Args:
          input_dict: unused.
          output_dict: `examples`, one artifact.
          exec_properties: `data` and `ingest`, JSON of those sections; `span`.

        Raises:
          InputError: the data set cannot be used; its `set_aside` lists the bad files, and so
            does the file `<examples>.set_aside.jsonl`, since TFX removes a failed run's folder.
          RuntimeError: an image is not accounted for.
        """
        data = DataConfig.model_validate_json(exec_properties["data"])
        ingest = IngestConfig.model_validate_json(exec_properties["ingest"])
        examples = artifact_utils.get_single_instance(
            output_dict[standard_component_specs.EXAMPLES_KEY]
        )
        examples.split_names = artifact_utils.encode_split_names(list(SPLITS))
        try:
            self._write(data, ingest, exec_properties["span"], examples)
        except InputError as error:
            if error.set_aside:
                uri = Path(examples.uri)
                integrity.write_set_aside(
                    uri.with_name(f"{uri.name}.{integrity.SET_ASIDE_FILE}"), error.set_aside
                )
            raise

        examples_utils.set_payload_format(examples, example_gen_pb2.FORMAT_TF_EXAMPLE)
        # TFX knows no other word; its readers go by the files' names, which do not end in .gz.
        examples_utils.set_file_format(examples, "tfrecords_gzip")

    def _write(
        self, data: DataConfig, ingest: IngestConfig, span: int, examples: types.Artifact
    ) -> None:
        source = sources.of(data)
        listing = source.listing(data)
        assert data.path is not None
        digests, unreadable = _digest_all(source, listing.samples, data.path)
        plan = splitting.plan(
            [sample for sample in listing.samples if sample.key in digests], digests, data
        )
        twins = [
            SetAside(
                sample.image.name(data.path),
                f"a copy of {twin.image.name(data.path)}, which evaluates",
            )
            for sample, twin in plan.twins
        ]
        set_aside = [*listing.lone_images, *unreadable, *twins]
        images = len(listing.samples) + len(listing.lone_images)

        # Even past the limit all images are read, so that people see all that is wrong at once.
        reports = self._run(data, ingest, span, plan.placed, examples)
        set_aside += [entry for report in reports for entry in report.set_aside]
        bad = sorted([*set_aside, *listing.lone_masks], key=lambda entry: entry.file)
        used: Counter[str] = Counter()
        records: Counter[str] = Counter()
        for report in reports:
            used[report.split] += report.images
            records[report.split] += report.records
        counts = integrity.Counts(
            images=images,
            used={split: used[split] for split in SPLITS},
            records={split: records[split] for split in SPLITS},
            set_aside=len(set_aside),
            lone_masks=len(listing.lone_masks),
            unused=len(plan.unused),
        )
        counts.check()
        integrity.refuse_too_many(bad, images, ingest.bad_input_limit)
        splitting.refuse_empty_side({split for split in SPLITS if used[split]}, images, data)
        integrity.write(Path(examples.uri), counts, bad)

    def _run(
        self,
        data: DataConfig,
        ingest: IngestConfig,
        span: int,
        placed: Sequence[splitting.Placed],
        examples: types.Artifact,
    ) -> list[shards.ShardReport]:
        """Runs the Beam pipeline, which writes the records."""
        work = [
            shard
            for split in SPLITS
            for shard in shards.lay_out(
                [place for place in placed if place.split == split],
                artifact_utils.get_split_uri([examples], split),
                split,
            )
        ]
        for folder in {Path(shard.path).parent for shard in work}:
            folder.mkdir(parents=True, exist_ok=True)
        reports = Path(examples.uri) / "shards.jsonl"
        shards.start_telling()
        with self._make_beam_pipeline() as pipeline:
            _ = (
                pipeline
                | "Shards" >> beam.Create(work)
                | "Spread" >> beam.Reshuffle()
                | "Write" >> beam.ParDo(shards.WriteShard(data, ingest, span, len(placed)))
                | "ToJson" >> beam.Map(lambda report: json.dumps(dataclasses.asdict(report)))
                | "Report" >> beam.io.WriteToText(str(reports), shard_name_template="")
            )
        lines = reports.read_text().splitlines()
        reports.unlink()
        missing = [shard.path for shard in work if not Path(shard.path).is_file()]
        if missing:
            raise RuntimeError(f"Beam left {len(missing)} files unwritten, {missing[0]} first")
        return [shards.ShardReport.from_json(line) for line in lines]


def _digest_all(
    source: Source, samples: Sequence[Sample], root: Path
) -> tuple[dict[str, str], list[SetAside]]:
    """Digests of all images, by key; and those that cannot be read.

    Copies are found before anything is decoded, since a copy may not be on the other side.
    """

    def digest(sample: Sample) -> str | SetAside:
        try:
            return source.digest(sample.image)
        except BadFileError as error:
            return SetAside(sample.image.name(root), str(error))

    digests, unreadable = {}, []
    with ThreadPoolExecutor(_READERS) as pool:
        for sample, found in zip(samples, pool.map(digest, samples), strict=True):
            if isinstance(found, SetAside):
                unreadable.append(found)
            else:
                digests[sample.key] = found
    return digests, unreadable


# Hashing waits for the disk more than for a core.
_READERS = 8
