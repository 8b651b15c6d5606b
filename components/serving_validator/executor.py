"""Serves an exported model in a process of its own and replays eval images."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import tensorflow as tf
from tfx.components.infra_validator import executor as infra_validator
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils, path_utils

from components import artifacts
from components.evaluation import baseline
from components.records import EVAL
from components.serving_validator import checks
from components.serving_validator.config import ValidationConfig
from components.serving_validator.replay import replay
from serving.errors import Code, ServingError
from serving.process import started


class Executor(base_executor.BaseExecutor):
    """Blesses a model that loads and answers as it must; says what is wrong with another."""

    def Do(self, input_dict: Any, output_dict: Any, exec_properties: Any) -> None:  # noqa: N802
        """Called by TFX."""
        self._log_startup(input_dict, output_dict, exec_properties)
        model = artifact_utils.get_single_instance(input_dict[standard_component_specs.MODEL_KEY])
        blessing = artifact_utils.get_single_instance(
            output_dict[standard_component_specs.BLESSING_KEY]
        )
        examples = input_dict[standard_component_specs.EXAMPLES_KEY]
        files = artifacts.split_files(examples, EVAL)
        found = validate(
            path_utils.serving_model_path(model.uri),
            files,
            exec_properties["name"],
            ValidationConfig.model_validate_json(exec_properties["validation"]),
        )
        fileio.makedirs(blessing.uri)
        io_utils.write_string_file(os.path.join(blessing.uri, checks.FILE), checks.to_json(found))
        # So that a model that cannot be served is nobody's baseline.
        blessing.set_int_custom_property(baseline.MODEL, model.id)
        # The file and the property that TFX's Pusher looks for.
        if all(check.passed for check in found):
            infra_validator._mark_blessed(blessing)
        else:
            infra_validator._mark_not_blessed(blessing)


def validate(
    model: str, files: list[str], name: str, config: ValidationConfig
) -> list[checks.Check]:
    """Everything that a model must show.

    Args:
      model: folder of the SavedModel.
      files: TFRecord files of the eval split.
      name: under which it is served.
      config: how many images, and the limits.
    """
    with tempfile.TemporaryDirectory(prefix="overtile-serving-") as folder:
        versions = Path(folder) / name
        versions.mkdir()
        if "://" in model:
            io_utils.copy_dir(model, str(versions / "1"))
        else:
            (versions / "1").symlink_to(Path(model).absolute())
        # On the processor: training's process may still hold the memory of the GPUs.
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
        try:
            with started(
                name,
                versions,
                environment=environment,
                patience=config.max_loading_seconds,
            ) as server:
                loads = checks.Check("loads", None, None, True, "the model loads and is served")
                layout = artifacts.layout(model)
                assert layout is not None, "the Trainer exported it"
                records = _records(files, config.images)
                return [loads, *replay(model, layout, records, server, name, config)]
        except ServingError as error:
            if error.code is Code.DEADLINE_EXCEEDED:  # which may be the machine's fault
                told = (
                    f"its server did not answer in {config.max_loading_seconds} s "
                    "(push.validation.max_loading_seconds; a busy machine needs more)"
                )
            else:
                told = f"the model does not load: {error.message.rstrip('.')}"
            return [checks.Check("loads", None, None, False, told)]


def _records(files: list[str], images: int) -> list[bytes]:
    """One serialised record of each of the first images."""
    found: dict[bytes, bytes] = {}
    source = {"source": tf.io.FixedLenFeature([], tf.string)}
    for serialized in tf.data.TFRecordDataset(files):
        key = tf.io.parse_single_example(serialized, source)["source"].numpy()
        found.setdefault(key, serialized.numpy())
        if len(found) == images:
            break
    return list(found.values())
