"""Memory: what a step needs, what there is, and what to do where it is not enough."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import keras
import psutil
import tensorflow as tf

from components.errors import InputError

progress = logging.getLogger("overtile.progress")

_CGROUPS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ),
)


def is_exhausted(error: BaseException) -> bool:
    """Whether memory has run out; TensorFlow has the same error for a full disk."""
    if not isinstance(error, tf.errors.ResourceExhaustedError):
        return isinstance(error, MemoryError)
    return "No space left" not in str(error) and "quota" not in str(error)


def does_not_fit(
    batch_size: int, parts: int, replicas: int, one_step: Callable[[int], object] | None
) -> InputError:
    """What to say where a step has run out of memory.

    Args:
      batch_size: tiles of that step.
      parts: in which it looked at them.
      replicas: that shared them.
      one_step: takes a step of so many tiles, on a model that nobody needs any more; None where
        that cannot be tried.
    """
    if one_step is None:
        return InputError(
            f"A step of {batch_size} tiles does not fit into memory: set train.batch_size to half, "
            f"or train.accumulate to {2 * parts}."
        )
    least = parts * replicas
    size = batch_size // 2
    while size >= least:
        try:
            one_step(size)
        except (tf.errors.ResourceExhaustedError, MemoryError) as error:
            if not is_exhausted(error):
                raise
            size //= 2
        else:
            return InputError(
                f"A step of {batch_size} tiles does not fit into memory, and one of {size} does: "
                f"set train.batch_size to {size}, or train.accumulate to "
                f"{-(-parts * batch_size // size)} for the same steps in less memory."
            )
    tried = f", nor does one of {least}" if 2 * least <= batch_size else ""
    return InputError(
        f"A step of {batch_size} tiles does not fit into memory{tried}: set train.crop or "
        "ingest.tile to fewer pixels, or take a narrower model."
    )


def warn(model: keras.Model, tile: tuple[int, int, int], batch_size: int, parts: int) -> None:
    """Says so where a step is likely not to fit into this machine's memory.

    A GPU that is full says so itself. Where the machine's own memory is full, the kernel kills the
    process, which then can say nothing more.

    Args:
      model: that trains.
      tile: height, width, channels of what it is given.
      batch_size: tiles a step.
      parts: in which a step looks at them.
    """
    free = available()
    # Weights, their gradients, and two more values a weight as Adam has them.
    fixed = 4 * 4 * model.count_params()
    each = activations(model, tile)
    needed = fixed + each * -(-batch_size // parts)
    if needed <= free:
        return
    fits = int(max(free - fixed, 0) // each)
    advice = (
        f"train.batch_size: {fits} would fit, or train.accumulate: {-(-batch_size // fits)}"
        if fits
        else "not even one tile may fit: set train.crop to fewer pixels, or take a narrower model"
    )
    note = (
        f"A step of {batch_size} tiles needs about {needed / 1e9:.1f} GB of memory, and "
        f"{free / 1e9:.1f} GB are free. If training is killed, {advice}."
    )
    progress.warning(note, extra={"note": note})


def activations(model: keras.Model, tile: tuple[int, int, int]) -> int:
    """About how many bytes a tile takes in training: what its layers keep for the backward pass.

    Args:
      model: [N, H, W, C] to logits.
      tile: height, width, channels.
    """
    traced = tf.function(lambda images: model(images, training=True)).get_concrete_function(
        tf.TensorSpec([None, *tile], tf.float32)
    )
    total = 0
    for operation in traced.graph.get_operations():
        for output in operation.outputs:
            shape = output.shape
            # Only what comes from the images has an unknown first extent; weights have none.
            if shape.rank != 4 or shape[0] is not None or None in shape[1:]:
                continue
            if operation.type not in _VIEWS and output.dtype.is_floating:
                total += output.dtype.size * shape[1:].num_elements()
    return total


# Operations that compute nothing, or what is used and gone at once.
_VIEWS = frozenset({"Placeholder", "Identity", "Cast", "Reshape", "BiasAdd"})


def available() -> int:
    """Bytes that this process may still take, of the machine and of its container."""
    free = [psutil.virtual_memory().available]
    for limit, used in _CGROUPS:
        try:
            free.append(int(limit.read_text()) - int(used.read_text()))
        except (OSError, ValueError):  # another kind of group, or "max"
            continue
    return max(min(free), 0)
