"""Which devices train, and in which precision."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import keras
import tensorflow as tf


def strategy() -> tf.distribute.Strategy:
    """MirroredStrategy over all GPUs, or over the logical CPU devices where there is no GPU."""
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


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
