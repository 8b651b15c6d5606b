"""The JSON that https://www.tensorflow.org/tfx/serving/api_rest describes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from tensorflow.core.protobuf import meta_graph_pb2

from serving.errors import ServingError
from serving.json_tensors import parse, to_body, to_inputs

FLOAT, STRING, UINT8, INT64, BOOL = 1, 7, 4, 9, 10


def infos(**dtypes: int) -> dict[str, Any]:
    return {name: meta_graph_pb2.TensorInfo(dtype=dtype) for name, dtype in dtypes.items()}


def read(body: Any, **dtypes: int) -> dict[str, np.ndarray]:
    return to_inputs(parse(json.dumps(body).encode()), infos(**dtypes))


def test_rows_of_several_inputs() -> None:
    # The documentation's example: three inputs, two instances.
    rows = [
        {"tag": "foo", "signal": [1, 2, 3, 4, 5], "sensor": [[1, 2], [3, 4]]},
        {"tag": "bar", "signal": [3, 4, 1, 2, 5], "sensor": [[4, 5], [6, 8]]},
    ]
    given = read({"instances": rows}, tag=STRING, signal=INT64, sensor=FLOAT)
    assert given["tag"].tolist() == [b"foo", b"bar"]
    assert given["signal"].tolist() == [[1, 2, 3, 4, 5], [3, 4, 1, 2, 5]]
    assert given["signal"].dtype == np.int64
    assert given["sensor"].shape == (2, 2, 2)
    assert given["sensor"].dtype == np.float32


def test_columns_of_several_inputs() -> None:
    columns = {"tag": ["foo", "bar"], "signal": [[1, 2], [3, 4]]}
    given = read({"inputs": columns}, tag=STRING, signal=INT64)
    assert given["tag"].tolist() == [b"foo", b"bar"]
    assert given["signal"].tolist() == [[1, 2], [3, 4]]


def test_one_input_needs_no_name() -> None:
    assert read({"instances": [[1.5], [2]]}, x=FLOAT)["x"].tolist() == [[1.5], [2.0]]
    assert read({"instances": [{"x": 1}, {"x": 2}]}, x=FLOAT)["x"].tolist() == [1.0, 2.0]
    assert read({"inputs": 3}, x=FLOAT)["x"].tolist() == 3.0
    # "b64" is base64 of the bytes 0, 255, wherever a string may stand.
    for body in ({"instances": [{"b64": "AP8="}]}, {"inputs": {"x": [{"b64": "AP8="}]}}):
        assert read(body, x=STRING)["x"].tolist() == [b"\x00\xff"]


def test_numbers_that_are_not_finite_may_be_sent() -> None:
    given = to_inputs(parse(b'{"instances": [NaN, Infinity, -Infinity]}'), infos(x=FLOAT))["x"]
    assert np.isnan(given[0])
    assert given[1:].tolist() == [np.inf, -np.inf]


@pytest.mark.parametrize(
    ("value", "dtype", "words"),
    [
        (256, UINT8, "does not hold a value that large"),
        (-1, UINT8, "does not hold"),
        (1e39, FLOAT, "does not hold"),
        (10**400, FLOAT, "does not hold"),
        (2**63, INT64, "does not hold"),
        (1.0, INT64, "1.0 is not"),
        (True, INT64, "true is not"),
        (1, BOOL, "1 is not"),
        ("1", FLOAT, '"1" is not'),
        (1, STRING, "neither text nor"),
        ({"b64": "A"}, STRING, "not base64"),
    ],
)
def test_values_of_another_type_are_refused(value: Any, dtype: int, words: str) -> None:
    with pytest.raises(ServingError, match=words):
        read({"inputs": [value]}, x=dtype)


def test_several_inputs_must_be_named() -> None:
    for body in ({"instances": [1]}, {"inputs": [1]}):
        with pytest.raises(ServingError, match="must name each input: x, y"):
            read(body, x=FLOAT, y=FLOAT)


def written(rows: bool, **outputs: Any) -> Any:
    return json.loads(to_body({name: np.array(v) for name, v in outputs.items()}, rows))


def test_one_output_has_no_name() -> None:
    assert written(True, x=[1, 2]) == {"predictions": [1, 2]}
    assert written(False, x=[1, 2]) == {"outputs": [1, 2]}
    assert written(False, x=7) == {"outputs": 7}


def test_several_outputs_have_names() -> None:
    assert written(True, x=[1, 2], y=[[3], [4]]) == {
        "predictions": [{"x": 1, "y": [3]}, {"x": 2, "y": [4]}]
    }
    assert written(False, x=[1, 2], y=[3]) == {"outputs": {"x": [1, 2], "y": [3]}}


def test_bytes_are_coded_by_the_name_of_the_output() -> None:
    values = np.array([b"a\xff"], object)
    assert json.loads(to_body({"mask_bytes": values}, True)) == {"predictions": [{"b64": "Yf8="}]}
    assert json.loads(to_body({"mask": np.array([b"ab"], object)}, True)) == {"predictions": ["ab"]}


def test_short_floats_have_short_texts() -> None:
    # 0.1 in float32 is 0.100000001490116...
    assert to_body({"x": np.array([0.1, 2], np.float32)}, True) == b'{"predictions": [0.1, 2.0]}'
    long = np.random.default_rng(0).normal(size=100_000).astype(np.float32)
    back = json.loads(to_body({"x": long}, True))["predictions"]
    assert np.array_equal(np.array(back, np.float32), long)


def test_outputs_that_are_no_rows() -> None:
    with pytest.raises(ServingError, match="no batch dimension"):
        written(True, x=7)
    with pytest.raises(ServingError, match="differ in batch size"):
        written(True, x=[1], y=[1, 2])
