"""Looks at the machine and the installation: what is right, what is wrong, what to do."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import locale
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import psutil
from packaging.requirements import Requirement

from components.errors import InputError
from pipeline.failures import format_bytes

State = Literal["ok", "warning", "wrong"]

_IMPORTS = ("tensorflow", "tensorflow_addons", "tfx.v1", "cv2", "imagecodecs")
_IMPORT_SECONDS = 180
_IMPORTER = """
import importlib, json, sys
for name in sys.argv[1:]:
    try:
        told = [name, True, getattr(importlib.import_module(name), "__version__", "")]
    except Exception as error:
        told = [name, False, f"{type(error).__name__}: {error}"]
    print(json.dumps(told), flush=True)
"""
_COMMAND_SECONDS = 10
_LITTLE_MEMORY, _TOO_LITTLE_MEMORY = 8e9, 4e9
_LITTLE_DISK, _TOO_LITTLE_DISK = 20e9, 2e9


@dataclasses.dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
      name: what.
      state: ok, warning (slower, or not everything works) or wrong (a run will fail).
      found: what there is.
      advice: what to do, where the state is not ok.
    """

    name: str
    state: State
    found: str
    advice: str = ""


def checks(config: Path, must_exist: bool) -> Iterator[Check]:
    """Everything, one by one, the slow ones last.

    Args:
      config: overtile.yaml; where it is absent the checks on data are left out.
      must_exist: whether its absence is wrong, since somebody named it.
    """
    yield _python()
    yield _packages()
    yield _processor()
    yield _memory()
    yield _locale()
    yield _graphics()
    yield _docker()
    yield from _project(config, must_exist)
    yield from _imports()


def _python() -> Check:
    version = platform.python_version()
    system = f"{platform.system()} {platform.machine()}"
    if sys.version_info[:2] != (3, 10):
        return Check(
            "Python", "wrong", f"{version}", "TFX 1.15 needs Python 3.10; `make install` takes it."
        )
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return Check("Python", "wrong", f"{version}, {system}", "Use Linux on x86-64.")
    return Check("Python", "ok", f"{version}, {system}")


def _packages() -> Check:
    """Installed versions against what this distribution requires."""
    try:
        lines = importlib.metadata.requires("overtile") or []
    except importlib.metadata.PackageNotFoundError:
        return Check("packages", "wrong", "overtile is not installed", "Run `make install`.")
    wanted = [Requirement(line) for line in lines]
    wanted = [need for need in wanted if not need.marker or need.marker.evaluate({"extra": ""})]
    wrong = []
    for need in wanted:
        try:
            version = importlib.metadata.version(need.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{need.name} is missing")
            continue
        if not need.specifier.contains(version, prereleases=True):
            wrong.append(f"{need.name} is {version}, not {need.specifier}")
    if wrong:
        return Check("packages", "wrong", "; ".join(wrong), "Run `make install`.")
    return Check("packages", "ok", f"{len(wanted)} requirements met")


def _processor() -> Check:
    import joblib

    cores = joblib.cpu_count()  # of a container as many as its quota has
    flags = ""
    for line in _read(Path("/proc/cpuinfo")).splitlines():
        if line.startswith("flags"):
            flags = line
            break
    fast = [name for name in ("avx512_bf16", "amx_bf16") if f" {name}" in flags]
    found = f"{cores} core{'s' if cores > 1 else ''}"
    if fast:
        return Check("processor", "ok", f"{found}, computes bfloat16 fast ({', '.join(fast)})")
    if " avx2" not in flags:
        return Check(
            "processor", "warning", f"{found} without AVX2", "Training will be very slow here."
        )
    return Check("processor", "ok", f"{found}, trains in float32")


def _memory() -> Check:
    memory = psutil.virtual_memory().total
    # A container may have less than its machine.
    limit = _read(Path("/sys/fs/cgroup/memory.max")).strip()
    if limit.isdigit():
        memory = min(memory, int(limit))
    found = format_bytes(memory)
    if memory < _TOO_LITTLE_MEMORY:
        return Check("memory", "wrong", found, "A run needs 4 GB; 8 GB are comfortable.")
    if memory < _LITTLE_MEMORY:
        return Check("memory", "warning", found, "Keep ingest.tile and train.batch_size small.")
    return Check("memory", "ok", found)


def _locale() -> Check:
    encoding = locale.getpreferredencoding(False)
    if encoding.lower().replace("-", "") != "utf8" or sys.getfilesystemencoding() != "utf-8":
        return Check(
            "locale", "warning", encoding, "Set LANG=C.UTF-8, or names beyond ASCII may fail."
        )
    return Check("locale", "ok", encoding)


def _graphics() -> Check:
    query = "--query-gpu=name,memory.total,driver_version"
    listed = _command("nvidia-smi", query, "--format=csv,noheader")
    if listed is None:
        return Check("GPU", "ok", "none; training runs on the processor")
    try:
        importlib.metadata.version("nvidia-cudnn-cu12")
    except importlib.metadata.PackageNotFoundError:
        return Check(
            "GPU",
            "warning",
            "; ".join(listed.splitlines()),
            "TensorFlow lacks CUDA: install the extra `gpu` (`uv sync --extra gpu`).",
        )
    return Check("GPU", "ok", "; ".join(listed.splitlines()))


def _docker() -> Check:
    version = _command("docker", "info", "--format", "{{.ServerVersion}}")
    if not version:
        return Check("Docker", "ok", "no engine (it is optional)")
    return Check("Docker", "ok", f"engine {version}")


def _project(file: Path, must_exist: bool) -> Iterator[Check]:
    """The configuration, its data, and its workspace."""
    if not file.exists() and not must_exist:
        yield Check("configuration", "ok", f"no {file} here; `overtile init DATA` writes one")
        yield _disk(Path.cwd())
        return
    from pipeline import config as configuration

    try:
        config = configuration.load(file)
    except InputError as error:
        yield Check("configuration", "wrong", str(error), f"Mend {file}.")
        yield _disk(Path.cwd())
        return
    yield Check("configuration", "ok", str(file))
    yield _data(config.data)
    yield _engine(config)
    yield _workspace(config.workspace)
    yield _disk(config.workspace)


def _data(data: Any) -> Check:
    from components.image_example_gen import sources, spans

    try:
        one = spans.one_of(data)
        listing = sources.listing(one)
    except InputError as error:
        return Check("data", "wrong", str(error), "Mend data.path, or run `overtile init` again.")
    lone = len(listing.lone_images) + len(listing.lone_masks)
    found = f"{len(listing.samples)} pairs in {one.path}"
    if lone:
        return Check(
            "data", "warning", f"{found}, {lone} files without partner", "A run sets them aside."
        )
    return Check("data", "ok", found)


def _engine(config: Any) -> Check:
    from pipeline import engines

    name, wrong = config.beam.runner, " ".join(engines.problems(config))
    if wrong:
        return Check("engine", "wrong", f"{name}: {wrong}", "Mend the section `beam`.")
    return Check("engine", "ok", f"Beam runs {'here' if name == 'local' else f'on {name}'}")


def _workspace(workspace: Path) -> Check:
    folder = _existing(workspace)
    if not os.access(folder, os.W_OK | os.X_OK):
        return Check(
            "workspace", "wrong", f"{folder} is not writable", "Set `workspace` to another folder."
        )
    return Check("workspace", "ok", str(workspace))


def _disk(folder: Path) -> Check:
    free = shutil.disk_usage(_existing(folder)).free
    found = f"{format_bytes(free)} free"
    if free < _TOO_LITTLE_DISK:
        return Check("disk", "wrong", found, "Free some space, or set `workspace` elsewhere.")
    if free < _LITTLE_DISK:
        return Check("disk", "warning", found, "Records hold pixels raw; `ingest.storage: png`.")
    return Check("disk", "ok", found)


def _imports() -> Iterator[Check]:
    """Imports in a process of its own: what crashes or hangs must not take the doctor along."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _IMPORTER, *_IMPORTS],
            capture_output=True,
            text=True,
            timeout=_IMPORT_SECONDS,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"},
        )
    except subprocess.TimeoutExpired:
        words = f"importing takes over {_IMPORT_SECONDS} s"
        yield Check("imports", "wrong", words, "Run `make clean install`.")
        return
    # Packages print as they like; ours are the lines that are JSON lists.
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('["')]
    told = {module: (works, words) for module, works, words in lines}
    for module in _IMPORTS:
        works, words = told.get(module, (False, f"crashed with exit code {done.returncode}"))
        if works:
            yield Check(f"import {module}", "ok", words or "works")
        else:
            yield Check(f"import {module}", "wrong", words, "Run `make clean install`.")
        if module not in told:
            return


def _command(*words: str) -> str | None:
    """What a command prints; None where it is absent or fails."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_COMMAND_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(path for path in (folder, *folder.absolute().parents) if path.is_dir())


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
