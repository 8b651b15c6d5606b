"""TensorProto <-> NumPy, without TensorFlow, on the server's messages and on the client's alike.

The numbers and fields are those of tensorflow/core/framework/types.proto and tensor.proto.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from serving.errors import Code, ServingError, invalid


class Kind(NamedTuple):
    """A type of TensorFlow's: NumPy's name for it, and the field that may list its values."""

    name: str
    field: str


MOST_DIMENSIONS = 32
"""NumPy's limit."""

STRING = 7
_HALF = 19
KINDS = {
    1: Kind("float32", "float_val"),
    2: Kind("float64", "double_val"),
    3: Kind("int32", "int_val"),
    4: Kind("uint8", "int_val"),
    5: Kind("int16", "int_val"),
    6: Kind("int8", "int_val"),
    STRING: Kind("object", "string_val"),
    9: Kind("int64", "int64_val"),
    10: Kind("bool", "bool_val"),
    17: Kind("uint16", "int_val"),
    _HALF: Kind("float16", "half_val"),
    22: Kind("uint32", "uint32_val"),
    23: Kind("uint64", "uint64_val"),
}
_NUMBERS = {kind.name: number for number, kind in KINDS.items()}


def name_of(dtype: int) -> str:
    """What a person calls a type of TensorFlow's."""
    if dtype == STRING:
        return "string"
    return KINDS[dtype].name if dtype in KINDS else f"type {dtype}"


def to_array(proto: Any, limit: int) -> np.ndarray:
    """The values of a TensorProto.

    Args:
      proto: of any descriptor pool. As in TensorFlow, its last value fills what it leaves out,
        and zeros do where it lists none.
      limit: bytes that the array may take; a message of a few bytes can claim any shape.

    Returns:
      An array of the proto's shape; of strings, an array of objects, which are bytes.

    Raises:
      ServingError: the message contradicts itself, has a type that is not supported, or is too
        large.
    """
    if proto.dtype not in KINDS:
        raise invalid(f"Tensors of {name_of(proto.dtype)} are not supported.")
    kind = KINDS[proto.dtype]
    if proto.tensor_shape.unknown_rank:
        raise invalid("A tensor's shape must be known.")
    shape = [dimension.size for dimension in proto.tensor_shape.dim]
    if len(shape) > MOST_DIMENSIONS:
        raise invalid(f"A tensor has at most {MOST_DIMENSIONS} dimensions, not {len(shape)}.")
    if any(size < 0 for size in shape):
        raise invalid(f"A tensor's shape cannot be {shape}.")
    count, dtype = math.prod(shape), np.dtype(kind.name)
    if count * dtype.itemsize > limit:
        raise ServingError(
            Code.RESOURCE_EXHAUSTED,
            f"A tensor of shape {shape} takes {count * dtype.itemsize:,} bytes; at most {limit:,} "
            "are taken.",
        )
    if proto.tensor_content:
        if proto.dtype == STRING:
            raise invalid("Strings belong into string_val, not into tensor_content.")
        if len(proto.tensor_content) != count * dtype.itemsize:
            raise invalid(
                f"A {name_of(proto.dtype)} tensor of shape {shape} takes "
                f"{count * dtype.itemsize:,} bytes, and {len(proto.tensor_content):,} were sent."
            )
        return np.frombuffer(proto.tensor_content, dtype).reshape(shape)
    values = getattr(proto, kind.field)
    if len(values) > count:
        raise invalid(f"A tensor of shape {shape} has {count} values, and {len(values)} were sent.")
    if proto.dtype == STRING:
        array = np.full(count, b"", object)
        array[: len(values)] = list(values)
    elif proto.dtype == _HALF:
        array = np.zeros(count, np.float16)
        array[: len(values)] = np.array(values, np.int64).astype(np.uint16).view(np.float16)
    else:
        array = np.zeros(count, dtype)
        # By way of the field's own type: a value that does not fit wraps, as in TensorFlow.
        array[: len(values)] = np.array(values).astype(dtype) if values else 0
    if values:
        array[len(values) :] = array[len(values) - 1]
    return array.reshape(shape)


def fill(proto: Any, array: np.ndarray) -> None:
    """Writes an array into an empty TensorProto.

    Args:
      proto: of any descriptor pool.
      array: numbers, or objects that are bytes; NumPy's own strings lose zeros at their end.

    Raises:
      ServingError: TensorFlow has no such type.
    """
    if array.dtype.name not in _NUMBERS:
        raise invalid(f"Arrays of {array.dtype} cannot be sent.")
    proto.dtype = _NUMBERS[array.dtype.name]
    for size in array.shape:
        proto.tensor_shape.dim.add().size = size
    if proto.dtype == STRING:
        proto.string_val.extend(array.ravel().tolist())
    else:
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        proto.tensor_content = np.ascontiguousarray(little).tobytes()
