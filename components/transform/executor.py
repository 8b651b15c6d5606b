"""TFX's Transform reads all records of a window; some of them train no more."""

from __future__ import annotations

from typing import Any

from tfx.components.transform import executor
from tfx.types import standard_component_specs
from tfx.utils import json_utils

from components.superseded import superseded


class Executor(executor.Executor):
    """Transforms as TFX does, with `custom_config` for `preprocessing_fn`."""

    def Do(self, input_dict: Any, output_dict: Any, exec_properties: Any) -> None:  # noqa: N802
        """Called by TFX."""
        examples = input_dict[standard_component_specs.EXAMPLES_KEY]
        left_out = sorted(superseded(artifact.uri for artifact in examples))
        told = {
            standard_component_specs.CUSTOM_CONFIG_KEY: json_utils.dumps({SUPERSEDED: left_out})
        }
        super().Do(input_dict, output_dict, {**exec_properties, **told})


SUPERSEDED = "superseded"
"""The key of `custom_config`: a list of sources."""
