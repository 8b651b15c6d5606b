"""TFX's StatisticsGen takes one data set; a run may ingest several spans."""

from __future__ import annotations

import os
from typing import Any

from tfx.components.statistics_gen import executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, standard_artifacts, standard_component_specs
from tfx.utils import json_utils

from components.image_example_gen.spans import NAME


class Executor(executor.Executor):
    """Statistics of each split that has records, of each span on its own."""

    def Do(self, input_dict: Any, output_dict: Any, exec_properties: Any) -> None:  # noqa: N802
        """Called by TFX."""
        examples = input_dict[standard_component_specs.EXAMPLES_KEY]
        if len(examples) == 1 and not examples[0].has_custom_property(NAME):
            super().Do(input_dict, output_dict, exec_properties)
            return
        (statistics,) = output_dict[standard_component_specs.STATISTICS_KEY]
        names: list[str] = []
        for place, artifact in enumerate(examples):
            splits = artifact_utils.decode_split_names(artifact.split_names)
            filled = [split for split in splits if _has_records(artifact, split)]
            if not filled:
                continue  # all of the span's images are held back
            part = standard_artifacts.ExampleStatistics()
            part.uri = os.path.join(statistics.uri, f"part-{place}")
            super().Do(
                {**input_dict, standard_component_specs.EXAMPLES_KEY: [artifact]},
                {standard_component_specs.STATISTICS_KEY: [part]},
                {
                    **exec_properties,
                    standard_component_specs.EXCLUDE_SPLITS_KEY: json_utils.dumps(
                        [split for split in splits if split not in filled]
                    ),
                },
            )
            for split in filled:
                name = f"{split}-{artifact.get_string_custom_property(NAME)}"
                source = artifact_utils.get_split_uri([part], split)
                statistics.split_names = artifact_utils.encode_split_names([*names, name])
                fileio.rename(source, artifact_utils.get_split_uri([statistics], name))
                names.append(name)
            fileio.rmtree(part.uri)
        statistics.split_names = artifact_utils.encode_split_names(names)
        statistics.span = max(artifact.span for artifact in examples)


def _has_records(examples: Any, split: str) -> bool:
    folder = artifact_utils.get_split_uri([examples], split)
    return any(_holds_bytes(os.path.join(folder, name)) for name in fileio.listdir(folder))


def _holds_bytes(file: str) -> bool:
    with fileio.open(file, "rb") as stream:
        return bool(stream.read(1))
