"""The JSON of TensorFlow Serving's REST API <-> arrays.

https://www.tensorflow.org/tfx/serving/api_rest describes it: rows (`instances`, answered by
`predictions`) or columns (`inputs`, answered by `outputs`); `{"b64": ...}` for bytes.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from serving import tensors
from serving.errors import Code, ServingError, invalid

_BYTES_SUFFIX = "_bytes"
_MOST_SHOWN = 60
_CHUNK = 2**16


class Request(NamedTuple):
    """A body that is JSON of the right form.

    Attributes:
      signature: its name; empty if the body names none.
      rows: whether the values are listed by instance, and not by input.
      values: of `instances` or of `inputs`.
    """

    signature: str
    rows: bool
    values: Any


def parse(body: bytes) -> Request:
    """Reads a body.

    Raises:
      ServingError: it is not JSON, or not of the right form.
    """
    if not body:
        raise invalid("JSON Parse error: The document is empty.")
    try:
        values = json.loads(body)
    except RecursionError:
        raise invalid("JSON Parse error: it is nested too deep.") from None
    except UnicodeDecodeError:
        raise invalid("JSON Parse error: it is not UTF-8.") from None
    except json.JSONDecodeError as error:
        raise invalid(f"JSON Parse error: {error}.") from None
    except ValueError:
        raise invalid("JSON Parse error: a number has too many digits.") from None
    if not isinstance(values, dict):
        raise invalid(f"JSON Value: {_shown(values)} is not an object.")
    signature = values.get("signature_name", "")
    if not isinstance(signature, str):
        raise invalid("'signature_name' must be a string.")
    if "instances" in values and "inputs" in values:
        raise invalid("Give either 'instances' or 'inputs', not both.")
    if "inputs" in values:
        return Request(signature, False, values["inputs"])
    if "instances" not in values:
        raise invalid("Missing 'inputs' or 'instances' key.")
    if not isinstance(values["instances"], list) or not values["instances"]:
        raise invalid("'instances' must be a list of at least one value.")
    return Request(signature, True, values["instances"])


def to_inputs(request: Request, infos: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The arrays of a request.

    Args:
      request: of `parse`.
      infos: TensorInfo by name, the signature's inputs.

    Raises:
      ServingError: the values are not those of the signature.
    """
    if not request.rows:
        columns = request.values
        if not _is_object(columns):
            columns = {_only(infos, "'inputs'"): columns}
        return {name: _array(value, name, infos) for name, value in columns.items()}
    if not any(map(_is_object, request.values)):
        name = _only(infos, "'instances'")
        return {name: _array(request.values, name, infos)}
    for place, row in enumerate(request.values):
        if not _is_object(row) or set(row) != set(infos):
            keys = ", ".join(sorted(infos))
            raise invalid(f"Item {place} of 'instances' must be an object of {keys}.")
    return {name: _array([row[name] for row in request.values], name, infos) for name in infos}


def to_body(outputs: Mapping[str, np.ndarray], rows: bool) -> bytes:
    """The answer.

    Args:
      outputs: arrays by name.
      rows: whether they are listed by instance, as the request was.

    Raises:
      ServingError: JSON cannot hold them, or they are no rows.
    """
    values = {name: _json(array, name) for name, array in outputs.items()}
    if not rows:
        answer = {"outputs": values if len(values) > 1 else next(iter(values.values()))}
    else:
        if any(array.ndim == 0 for array in outputs.values()):
            raise invalid("An output has no batch dimension: ask by 'inputs'.")
        if len({len(array) for array in outputs.values()}) > 1:
            raise invalid("The outputs differ in batch size: ask by 'inputs'.")
        listed = list(zip(*values.values()))
        if len(values) > 1:
            answer = {"predictions": [dict(zip(values, row)) for row in listed]}
        else:
            answer = {"predictions": [row[0] for row in listed]}
    return json.dumps(answer).encode()


def _only(infos: Mapping[str, Any], where: str) -> str:
    if len(infos) > 1:
        raise invalid(f"{where} must name each input: {', '.join(sorted(infos))}.")
    return next(iter(infos))


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and not _is_base64(value)


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"b64"} and isinstance(value["b64"], str)


def _array(value: Any, name: str, infos: Mapping[str, Any]) -> np.ndarray:
    """The array of an input."""
    if name not in infos:
        raise invalid(
            f'There is no input "{name}"; the signature takes {", ".join(sorted(infos))}.'
        )
    dtype = infos[name].dtype
    kind = tensors.KINDS.get(dtype)
    if kind is None:
        raise ServingError(
            Code.UNIMPLEMENTED, f'The input "{name}" is {tensors.name_of(dtype)}: no JSON for it.'
        )
    values: list[Any] = []
    shape = _flatten(value, values)
    if dtype == tensors.STRING:
        array = np.empty(len(values), object)
        array[:] = [_bytes(item, name) for item in values]
        return array.reshape(shape)
    return _numbers(values, np.dtype(kind.name), name).reshape(shape)


def _flatten(value: Any, values: list[Any], depth: int = 0) -> list[int]:
    """Appends the leaves of nested lists to `values`; returns their shape."""
    if not isinstance(value, list):
        values.append(value)
        return []
    if depth == tensors.MOST_DIMENSIONS:
        raise invalid(f"Lists are nested at most {depth} deep.")
    if not value or not isinstance(value[0], list):
        if any(isinstance(item, list) for item in value):
            raise invalid("A list holds both lists and values.")
        values += value
        return [len(value)]
    inner = _flatten(value[0], values, depth + 1)
    for item in value[1:]:
        if not isinstance(item, list) or _flatten(item, values, depth + 1) != inner:
            raise invalid("The lists of an input differ in length or depth.")
    return [len(value), *inner]


def _numbers(values: list[Any], dtype: np.dtype, name: str) -> np.ndarray:
    allowed = {"b": (bool,), "f": (int, float)}.get(dtype.kind, (int,))
    for value in values:
        if type(value) not in allowed:
            raise invalid(f'The input "{name}" is {dtype}; {_shown(value)} is not.')
    if dtype.kind in "iu" and values:
        bounds: Any = np.iinfo(dtype)
        fits = bounds.min <= min(values) and max(values) <= bounds.max
    elif dtype.kind == "f":
        # Infinity may be sent, but what is finite must stay so.
        largest = float(np.finfo(dtype).max)
        fits = all(-largest <= value <= largest or not _is_finite(value) for value in values)
    else:
        fits = True
    if not fits:
        raise invalid(f'The input "{name}" is {dtype}, which does not hold a value that large.')
    return np.array(values, dtype)


def _is_finite(value: int | float) -> bool:
    return isinstance(value, int) or math.isfinite(value)


def _bytes(value: Any, name: str) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if not _is_base64(value):
        raise invalid(
            f'The input "{name}" is string; {_shown(value)} is neither text nor {{"b64": ...}}.'
        )
    try:
        return base64.b64decode(value["b64"], validate=True)
    except (binascii.Error, ValueError):
        raise invalid(f'The input "{name}" is not base64 where it says so.') from None


def _json(array: np.ndarray, name: str) -> Any:
    if array.dtype == object:
        as_bytes = name.endswith(_BYTES_SUFFIX)
        coded = np.empty(array.size, object)
        coded[:] = [_text(value, as_bytes) for value in array.ravel()]
        return coded.reshape(array.shape).tolist()
    if array.dtype in (np.float16, np.float32):
        return _shortest(array).tolist()
    return array.tolist()


def _shortest(array: np.ndarray) -> np.ndarray:
    """float64 whose text is that of the shorter floats: 0.1, and not 0.10000000149."""
    flat, answer = array.ravel(), np.empty(array.size, np.float64)
    for start in range(0, array.size, _CHUNK):  # text takes 32 times the memory
        answer[start : start + _CHUNK] = flat[start : start + _CHUNK].astype("U")
    return answer.reshape(array.shape)


def _text(value: bytes, as_bytes: bool) -> Any:
    if as_bytes:
        return {"b64": base64.b64encode(value).decode()}
    return value.decode("utf-8", "replace")


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + "..."
