from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from serving.errors import Code, ServingError
from serving.tensors import fill, to_array

LIMIT = 1000
DTYPES = [
    "float32", "float64", "float16", "int8", "int16", "int32", "int64",
    "uint8", "uint16", "uint32", "uint64", "bool",
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_go_there_and_back_as_tensorflow_reads_them(dtype: str) -> None:
    array = np.array([[0, 1, 2], [3, 100, 0]]).astype(dtype)
    proto = tf.make_tensor_proto(0)
    proto.Clear()
    fill(proto, array)
    read = tf.make_ndarray(proto)
    assert read.dtype == array.dtype
    assert np.array_equal(read, array)
    assert np.array_equal(to_array(proto, LIMIT), array)


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_that_are_listed(dtype: str) -> None:
    # TensorFlow lists single values, and lets the last one fill the shape.
    proto = tf.make_tensor_proto(np.array(7).astype(dtype), shape=[2, 2])
    assert not proto.tensor_content
    answer = to_array(proto, LIMIT)
    assert answer.dtype == dtype
    assert answer.tolist() == np.full((2, 2), 7).astype(dtype).tolist()


def test_no_values_at_all_are_zeros() -> None:
    proto = tf.make_tensor_proto(np.float32(1), shape=[3])
    del proto.float_val[:]
    assert to_array(proto, LIMIT).tolist() == [0.0, 0.0, 0.0]


def test_bytes_keep_their_zeros() -> None:
    values = np.array([b"\0a\0", b""], object)
    proto = tf.make_tensor_proto([b""])
    proto.Clear()
    fill(proto, values)
    assert tf.make_ndarray(proto).tolist() == [b"\0a\0", b""]
    assert to_array(proto, LIMIT).tolist() == [b"\0a\0", b""]


def test_what_contradicts_itself_is_refused() -> None:
    def proto(**changes: object) -> tf.compat.v1.TensorInfo:
        made = tf.make_tensor_proto(np.arange(4, dtype=np.int32))
        for name, value in changes.items():
            setattr(made, name, value)
        return made

    def words(broken: object, code: Code = Code.INVALID_ARGUMENT) -> str:
        with pytest.raises(ServingError) as refused:
            to_array(broken, LIMIT)
        assert refused.value.code is code
        return refused.value.message

    assert words(proto(dtype=8)) == "Tensors of type 8 are not supported."
    # 4 values of 4 bytes.
    assert "takes 16 bytes, and 3 were sent" in words(proto(tensor_content=b"abc"))
    unknown = proto()
    unknown.tensor_shape.unknown_rank = True
    assert words(unknown) == "A tensor's shape must be known."
    large = proto(tensor_content=b"")
    large.tensor_shape.dim[0].size = 251  # of 4 bytes each: 1004
    assert "1,004 bytes; at most 1,000" in words(large, Code.RESOURCE_EXHAUSTED)
    many = tf.make_tensor_proto([b"a", b"b"])
    many.tensor_shape.dim[0].size = 1
    assert words(many) == "A tensor of shape [1] has 1 values, and 2 were sent."


def test_an_array_that_has_no_type_there() -> None:
    with pytest.raises(ServingError, match="Arrays of datetime64"):
        fill(tf.make_tensor_proto(0), np.array(["2020-01-01"], "datetime64[D]"))
