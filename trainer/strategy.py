"""Which devices train, and in which precision."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import keras
import tensorflow as tf

from components.errors import InputError
from components.records import IGNORE


def strategy(wanted: str = "auto", batch_size: int | None = None) -> tf.distribute.Strategy:
    """The devices of this machine that train.

    Args:
      wanted: `auto` takes all GPUs, or all logical CPU devices where there is no GPU, but no more
        than there are tiles in a batch; `mirrored` takes all of them and `one_device` the first.
      batch_size: tiles that are looked at together.

    Raises:
      InputError: there are more devices than tiles in a batch, and `mirrored` asks for all.
    """
    grow_memory()
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    devices = [device.name for device in tf.config.list_logical_devices(kind)]
    if wanted == "one_device":
        devices = devices[:1]
    elif wanted == "mirrored":
        _refuse_idle_replicas(len(devices), batch_size)
    else:
        devices = devices[:batch_size]
    if len(devices) == 1 and wanted != "mirrored":
        # TensorFlow's own, which takes the first device. OneDeviceStrategy hands batches over by
        # threads of its own, whose tuner cannot be turned off; see `input.untuned`.
        return tf.distribute.get_strategy()
    return _mirrored(tuple(devices))


def cores() -> int:
    """Cores of the processor that this process has."""
    given = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    return int(given) if given.isdigit() and int(given) else joblib.cpu_count()


@functools.cache
def _mirrored(devices: tuple[str, ...]) -> tf.distribute.Strategy:
    """The same strategy for the same devices, and one that shares no keys with those of others.

    Strategies number what their devices say to each other from the same key on: a second one in a
    process, as a search for hyperparameters needs it, would wait for answers of the first.
    """
    base = 1_000_000 * _mirrored.cache_info().misses
    name = tf.distribute.MirroredStrategy
    return type(name.__name__, (name,), {"_collective_key_base": base})(devices)


@dataclasses.dataclass(frozen=True)
class Cluster:
    """What TF_CONFIG says of the machines that train together.

    Attributes:
      workers: how many there are.
      index: this one's number; 0 is the chief, which writes checkpoints and exports.
    """

    workers: int
    index: int

    @property
    def is_chief(self) -> bool:
        """Whether this worker is the one that writes."""
        return self.index == 0


def cluster(wanted: str = "auto") -> Cluster | None:
    """The machines that train together; None where this one trains alone.

    Args:
      wanted: `auto` trains on several where TF_CONFIG names them, `multi_worker` must find them.

    Raises:
      InputError: TF_CONFIG is missing or makes no sense.
    """
    told = os.environ.get("TF_CONFIG")
    if wanted not in ("auto", "multi_worker") or (wanted == "auto" and not told):
        return None
    try:
        config: dict[str, Any] = json.loads(told or "{}")
        chiefs, workers = (list(config["cluster"].get(job, [])) for job in ("chief", "worker"))
        job, index = config["task"]["type"], int(config["task"]["index"])
        (chiefs if job == "chief" else workers)[index]
        if job not in ("chief", "worker"):
            raise KeyError(job)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        if wanted == "auto" and '"worker"' not in str(told):
            return None  # an environment variable of something else
        raise InputError(
            "TF_CONFIG must name the workers that train together and which of them this is, such "
            'as {"cluster": {"worker": ["host-0:2222", "host-1:2222"]}, '
            '"task": {"type": "worker", "index": 0}}.'
        ) from None
    if len(chiefs) + len(workers) < 2 and wanted == "auto":
        return None
    return Cluster(len(chiefs) + len(workers), index + (len(chiefs) if job == "worker" else 0))


def over_workers(batch_size: int) -> tf.distribute.Strategy:
    """All GPUs of all machines that TF_CONFIG names, or a CPU device each.

    It waits for all of them. Call it before anything else of TensorFlow in a process.

    Raises:
      InputError: there are more devices than tiles in a batch.
    """
    grow_memory()
    several = tf.distribute.MultiWorkerMirroredStrategy()
    _refuse_idle_replicas(several.num_replicas_in_sync, batch_size)
    return several


def grow_memory() -> None:
    """Takes GPU memory as it is needed: what comes after training in this process needs some."""
    for gpu in tf.config.list_physical_devices("GPU"):
        with contextlib.suppress(RuntimeError):  # the GPUs are in use already
            tf.config.experimental.set_memory_growth(gpu, True)


def _refuse_idle_replicas(replicas: int, batch_size: int | None) -> None:
    if batch_size is not None and batch_size < replicas:
        raise InputError(
            f"train.batch_size (divided by train.accumulate) gives {batch_size} tiles at a time to "
            f"{replicas} devices: make it {replicas} or more, or set train.strategy to one_device."
        )


def spread(batches: tf.data.Dataset, where: tf.distribute.Strategy) -> Any:
    """Global batches, of which each replica gets its part.

    Every worker reads the same batches and takes its replicas' parts of each, so that a step is
    that of the whole batch however many there are, and an uneven one is cut as evenly as it goes.

    Args:
      batches: without end; images, masks and weights as `trainer.input` makes them. A replica
        that there is no tile for gets one in which nothing is labelled.
      where: what trains.

    Returns:
      What `keras.Model.fit` and `evaluate` take with a number of steps.
    """
    replicas = where.num_replicas_in_sync
    if replicas == 1:
        return batches

    def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        here = replicas // context.num_input_pipelines
        first = context.input_pipeline_id * here

        def parts(images: Any, masks: Any, weights: Any) -> tf.data.Dataset:
            size = tf.shape(images, tf.int64)[0]

            def part(number: tf.Tensor) -> tuple[tf.Tensor, ...]:
                begin, end = number * size // replicas, (number + 1) * size // replicas
                return tf.cond(
                    begin < end,
                    lambda: (images[begin:end], masks[begin:end], weights[begin:end]),
                    # At the end of the eval split. Of no tile at all some convolutions fail.
                    lambda: (images[:1], tf.fill(tf.shape(masks[:1]), nothing), 0 * weights[:1]),
                )

            nothing = tf.constant(IGNORE, masks.dtype)
            return tf.data.Dataset.range(first, first + here).map(part)

        endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
        return batches.flat_map(parts).apply(endless).prefetch(2 * here)

    return where.distribute_datasets_from_function(of_worker)


def precision(wanted: str) -> str:
    """The Keras policy that this machine computes fast.

    Args:
      wanted: `auto`, or a policy's name, which is returned as it is.

    Returns:
      On GPUs with bfloat16 tensor cores (compute capability 8.0) and on CPUs with AVX-512 BF16
      or AMX mixed_bfloat16; on GPUs with float16 tensor cores (7.0) mixed_float16; else float32.
    """
    if wanted != "auto":
        return wanted
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        capabilities = [
            tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0))
            for gpu in gpus
        ]
        if min(capabilities) >= (8, 0):
            return "mixed_bfloat16"
        return "mixed_float16" if min(capabilities) >= (7, 0) else "float32"
    return "mixed_bfloat16" if cpu_computes_bfloat16() else "float32"


def cpu_computes_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor has instructions for products of bfloat16."""
    try:
        flags = cpuinfo.read_text().split()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


@contextlib.contextmanager
def policy(name: str) -> Iterator[None]:
    """Builds models under a Keras dtype policy and puts the former one back."""
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(name)
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(before)


@contextlib.contextmanager
def saved_randomness() -> Iterator[None]:
    """Builds models whose dropout is drawn by generators that can be saved.

    By default Keras 2 draws it from what only the process knows; Keras 3 does as here.
    """
    backend = getattr(tf.keras.backend, "experimental", None)
    if backend is None or backend.is_tf_random_generator_enabled():
        yield
        return
    backend.enable_tf_random_generator()
    try:
        yield
    finally:
        backend.disable_tf_random_generator()


def randomness(model: keras.Model) -> list[tf.random.Generator]:
    """The generators of a model that was built under `saved_randomness`.

    A checkpoint with them lets a killed training go on with the masks that it would have drawn.
    Keras 2 saves them with whole models alone.
    """
    own = (getattr(layer, "_random_generator", None) for layer in model.submodules)
    found = (getattr(each, "_generator", None) for each in own)
    return [generator for generator in found if generator is not None]
