"""Copies a blessed model into the serving folder in one step."""

from __future__ import annotations

import os
import time
from typing import Any

from tfx.components.pusher import executor
from tfx.dsl.io import fileio
from tfx.proto import pusher_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils, proto_utils

# TensorFlow Serving looks only at folders whose name is a number.
_INCOMING = ".incoming-"


class Executor(executor.Executor):
    """TFX's Pusher copies into the version's own folder, where a server sees it half-written."""

    def Do(self, input_dict: Any, output_dict: Any, exec_properties: Any) -> None:  # noqa: N802
        """Called by TFX."""
        self._log_startup(input_dict, output_dict, exec_properties)
        pushed = artifact_utils.get_single_instance(
            output_dict[standard_component_specs.PUSHED_MODEL_KEY]
        )
        if not self.CheckBlessing(input_dict):
            self._MarkNotPushed(pushed)
            return
        destination = pusher_pb2.PushDestination()
        proto_utils.json_to_proto(
            exec_properties[standard_component_specs.PUSH_DESTINATION_KEY], destination
        )
        model = self.GetModelPath(input_dict)
        # The archive first: if it fails, nothing is served that the metadata does not know.
        io_utils.copy_dir(model, pushed.uri)
        path = push(model, destination.filesystem.base_directory)
        self._MarkPushed(pushed, pushed_destination=path, pushed_version=os.path.basename(path))


def push(model: str, base: str) -> str:
    """Makes a SavedModel the newest version below `base`.

    Args:
      model: folder of the SavedModel.
      base: folder that a server watches; made if it is missing.

    Returns:
      The version's folder, `<base>/<number>`: the time in seconds, or one more than the last
      version where that is not less.
    """
    fileio.makedirs(base)
    versions = []
    for name in fileio.listdir(base):
        name = name.rstrip("/")
        if name.startswith(_INCOMING):
            fileio.rmtree(os.path.join(base, name))  # of a push that was killed
        elif name.isdigit():
            versions.append(int(name))
    version = max(int(time.time()), max(versions, default=0) + 1)
    path = os.path.join(base, str(version))
    if "://" in base:
        # Object stores have no rename of a folder; servers wait for saved_model.pb there.
        io_utils.copy_dir(model, path, deny_regex_patterns=[r"saved_model\.pb"])
        last = "saved_model.pb"
        io_utils.copy_file(os.path.join(model, last), os.path.join(path, last))
        return path
    incoming = os.path.join(base, f"{_INCOMING}{version}")
    io_utils.copy_dir(model, incoming)
    os.sync()  # a rename may reach the disk before the files do
    os.rename(incoming, path)
    return path
