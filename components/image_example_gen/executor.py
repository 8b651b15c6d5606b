"""Turns a data set into TFRecords. TFX's launcher calls `Executor.Do`."""

from __future__ import annotations

import copy
import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import apache_beam as beam
from tfx import types
from tfx.components.example_gen import utils
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_executor
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_component_specs

from components.errors import InputError, SetAside
from components.image_example_gen import (
    hashing,
    integrity,
    leaks,
    shards,
    sources,
    spans,
    splitting,
)
from components.image_example_gen.config import DataConfig
from components.image_example_gen.engine import helpers, options
from components.image_example_gen.engine.crew import ALONE, DRAWN, Crew
from components.image_example_gen.engine.exchange import exchange
from components.image_example_gen.engine.telling import telling
from components.image_example_gen.engine.writing import WriteShards, packed
from components.image_example_gen.frozen import Frozen
from components.image_example_gen.ingest_config import IngestConfig
from components.places import files_below, place, use
from components.records import EVAL, SPLITS, TRAIN


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
          output_dict: `examples`, one artifact; with spans those of `outputs` take its place.
          exec_properties: `data` and `ingest`, JSON of those sections; `span`; `spans`, JSON of a
            `spans.Request`, or empty.

        Raises:
          InputError: the data set cannot be used; its `set_aside` lists the bad files, and so
            does the file `<examples>.set_aside.jsonl`, since TFX removes a failed run's folder.
          RuntimeError: an image is not accounted for.
        """
        # What is listed and hashed before Beam starts may be elsewhere too.
        use(self._beam_pipeline_args or [])
        data = DataConfig.model_validate_json(exec_properties["data"])
        ingest = IngestConfig.model_validate_json(exec_properties["ingest"])
        artifacts = output_dict[standard_component_specs.EXAMPLES_KEY]
        request = None
        if exec_properties.get("spans"):
            request = spans.Request.from_json(exec_properties["spans"])
            artifacts[:] = outputs(request, artifacts[0])
        for examples in artifacts:
            examples.split_names = artifact_utils.encode_split_names(list(SPLITS))
            # What a killed execution left would be taken for records.
            for file in files_below(place(examples.uri)):
                file.unlink()
        if request:
            self._write_spans(data, ingest, request, artifacts)
        else:
            (examples,) = artifacts
            whole = spans.Span(exec_properties["span"], "")
            self._write(data, ingest, whole, dict.fromkeys(SPLITS, examples))

        for examples in artifacts:
            examples_utils.set_payload_format(examples, example_gen_pb2.FORMAT_TF_EXAMPLE)
            # TFX knows no other word; its readers go by the files' names, which do not end in .gz.
            examples_utils.set_file_format(examples, "tfrecords_gzip")

    def _write_spans(
        self,
        data: DataConfig,
        ingest: IngestConfig,
        request: spans.Request,
        artifacts: Sequence[types.Artifact],
    ) -> None:
        """Writes the records of each span to its artifact, and the evaluation set, if it is new."""
        frozen = Frozen.read(place(request.frozen)) if request.frozen else None
        evaluation, training = (artifacts[:1], artifacts[1:]) if frozen is None else ([], artifacts)
        for span, examples in zip(request.spans, training, strict=True):
            targets = dict.fromkeys(SPLITS, examples)
            if frozen is None:
                targets[EVAL] = evaluation[0]
            try:
                placed = self._write(spans.within(data, span), ingest, span, targets, frozen)
            except InputError as error:
                raise InputError(f"{span.name}: {error}", error.set_aside) from error
            if frozen is None:
                assert data.path is not None
                held = [one for one in placed if one.split == EVAL]
                frozen = Frozen.of(span.name, held, data.path, evaluation[0].uri)
                frozen.write(place(evaluation[0].uri))

    def _write(
        self,
        data: DataConfig,
        ingest: IngestConfig,
        span: spans.Span,
        targets: Mapping[str, types.Artifact],
        frozen: Frozen | None = None,
    ) -> list[splitting.Placed]:
        """Writes the records of one data set.

        Args:
          data: the data set.
          ingest: how images become records.
          span: its number goes into the records, its name before the names of files.
          targets: the artifact that gets each split's records; accounts go to that of train.
          frozen: the evaluation set, where it is another span's.

        Returns:
          Every sample that was to become records.
        """
        try:
            return self._write_or_refuse(data, ingest, span, targets, frozen)
        except InputError as error:
            if error.set_aside:
                uri = place(targets[TRAIN].uri)
                removed = uri.parent if span.name else uri
                integrity.write_set_aside(
                    removed.with_name(f"{removed.name}.{integrity.SET_ASIDE_FILE}"),
                    error.set_aside,
                )
            raise

    def _write_or_refuse(
        self,
        data: DataConfig,
        ingest: IngestConfig,
        span: spans.Span,
        targets: Mapping[str, types.Artifact],
        frozen: Frozen | None,
    ) -> list[splitting.Placed]:
        source = sources.of(data)
        listing = sources.listing(data)
        assert data.path is not None
        is_folder = bool(span.name and not span.manifest)
        root = data.path.parent if is_folder else data.path
        crew = options.crew(
            self._beam_pipeline_args or [], data.format in DRAWN, len(listing.samples)
        )
        with helpers.standing_by(crew):
            digests, unreadable = hashing.digests(source, listing.samples, data.path)
            samples = [sample for sample in listing.samples if sample.key in digests]
            if frozen:
                placed, held_back = splitting.plan_later(
                    samples, digests, data, frozen.why_held_back
                )
                plan = splitting.Plan(placed, [], [])
            else:
                plan, held_back = splitting.plan(samples, digests, data), []
            # Even past the limit all images are read, so that people see all that is wrong at once.
            reports = self._run(data, ingest, span, plan.placed, targets, crew)
        twins = [
            SetAside(
                sample.image.name(data.path),
                f"a copy of {twin.image.name(data.path)}, which evaluates",
            )
            for sample, twin in plan.twins
        ]
        set_aside = [*listing.lone_images, *unreadable, *twins]
        images = len(listing.samples) + len(listing.lone_images)

        # Names of what is held back begin at the folder of all spans, as the evaluation set's do.
        top, prefix = root if frozen else data.path, f"{span.name}/" if span.name else ""
        names = {f"{prefix}{one.sample.key}": one.sample.image.name(top) for one in plan.placed}
        removed = leaks.separate({split: targets[split].uri for split in SPLITS}, names, frozen)
        same = [
            SetAside(names[source], f"has the pixels of {twin}, which evaluates")
            for source, twin in removed.twins.items()
        ]
        held = [SetAside(sample.image.name(root), reason) for sample, reason in held_back]
        (held if frozen else set_aside).extend(same)
        set_aside += [entry for report in reports for entry in report.set_aside]
        bad = _named_by(span, [*set_aside, *listing.lone_masks])
        used: Counter[str] = Counter()
        records: Counter[str] = Counter()
        for report in reports:
            used[report.split] += report.images
            records[report.split] += report.records
        used[TRAIN] -= len(removed.twins)
        records[TRAIN] -= removed.records
        counts = integrity.Counts(
            images=images,
            used={split: used[split] for split in SPLITS},
            records={split: records[split] for split in SPLITS},
            set_aside=len(set_aside),
            lone_masks=len(listing.lone_masks),
            unused=len(plan.unused),
            held_back=len(held),
            unlabelled=listing.unlabelled,
            repeats=sum(report.repeats for report in reports) - removed.repeats,
        )
        counts.check()
        integrity.refuse_too_many(bad, images, ingest.bad_input_limit)
        if not frozen:
            splitting.refuse_empty_side({split for split in SPLITS if used[split]}, images, data)
        integrity.write(place(targets[TRAIN].uri), counts, bad, held)
        return plan.placed

    def _run(
        self,
        data: DataConfig,
        ingest: IngestConfig,
        span: spans.Span,
        placed: Sequence[splitting.Placed],
        targets: Mapping[str, types.Artifact],
        crew: Crew | None,
    ) -> list[shards.ShardReport]:
        """Runs the Beam pipeline, which writes the records."""
        if span.name:
            # Keys of one span may be those of another.
            placed = [
                one._replace(sample=one.sample._replace(key=f"{span.name}/{one.sample.key}"))
                for one in placed
            ]
        pipeline = self._make_beam_pipeline()
        uris = list(dict.fromkeys(target.uri for target in targets.values()))
        with exchange(pipeline.options, uris) as folders:
            work = [
                shard
                for split in SPLITS
                for shard in shards.lay_out(
                    [one for one in placed if one.split == split],
                    f"{folders[targets[split].uri]}/Split-{split}",
                    split,
                )
            ]
            for folder in {place(shard.path).parent for shard in work}:
                folder.mkdir(parents=True, exist_ok=True)
            write = WriteShards(shards.Settings(data, ingest, span.number), crew or ALONE)
            with telling(work), pipeline:
                if crew:  # which shares the one element
                    elements = pipeline | "Shards" >> beam.Create([packed(work)])
                else:
                    elements = (
                        pipeline
                        | "Shards" >> beam.Create([packed([shard]) for shard in work])
                        | "Spread" >> beam.Reshuffle()
                    )
                _ = elements | "Write" >> beam.ParDo(write)
            reports = shards.take_reports(work)
        for examples in targets.values():
            _fill_empty_splits(examples)
        return reports


def outputs(request: spans.Request, skeleton: types.Artifact) -> list[types.Artifact]:
    """The artifacts that a request makes: one a span, after the evaluation set where it is new.

    Args:
      request: what is ingested.
      skeleton: what the driver made; TFX wants the others in folders directly below its own.
    """
    wanted = [(span, spans.TRAINS) for span in request.spans]
    if not request.frozen:
        wanted.insert(0, (request.spans[0], spans.EVALUATES))
    made = []
    for number, (span, kind) in enumerate(wanted):
        artifact = copy.deepcopy(skeleton)
        artifact.uri = f"{skeleton.uri}/{span.name}-{kind}"
        if skeleton.name:  # ML Metadata wants no name twice
            artifact.name = f"{skeleton.name}:{number}"
        artifact.span = span.number
        artifact.set_string_custom_property(spans.NAME, span.name)
        artifact.set_string_custom_property(spans.KIND, kind)
        artifact.set_string_custom_property(utils.FINGERPRINT_PROPERTY_NAME, span.fingerprint)
        made.append(artifact)
    return made


def _fill_empty_splits(examples: types.Artifact) -> None:
    """A split without records is a file without any: readers want each split to have one."""
    for split in SPLITS:
        folder = place(artifact_utils.get_split_uri([examples], split))
        folder.mkdir(parents=True, exist_ok=True)
        if not any(folder.iterdir()):
            (folder / "data_tfrecord-00000-of-00001").write_bytes(b"")


def _named_by(span: spans.Span, bad: Sequence[SetAside]) -> list[SetAside]:
    """Bad files by name, below the folder of all spans."""
    prefix = f"{span.name}/" if span.name and not span.manifest else ""
    named = (dataclasses.replace(entry, file=f"{prefix}{entry.file}") for entry in bad)
    return sorted(named, key=lambda entry: entry.file)
