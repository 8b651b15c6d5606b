from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow_data_validation as tfdv

from components import schema
from trainer.statistics import class_weights, preprocessing_fn, read


def test_statistics_by_hand(tmp_path: Path) -> None:
    import tensorflow_transform.beam as tft_beam
    from tensorflow_transform.beam.tft_beam_io import transform_fn_io
    from tensorflow_transform.tf_metadata import dataset_metadata, metadata_io

    metadata = dataset_metadata.DatasetMetadata(tfdv.load_schema_text(str(schema.FILE)))
    rest = {
        "image/height": 2,
        "image/width": 2,
        "image/channels": 3,
        "image/dtype": b"uint8",
        "source/height": 2,
        "source/width": 2,
        "tile/y": 0,
        "tile/x": 0,
        "tile/margin": 0,
        "span": 0,
    }
    # Four pixels 1, 1, 3, 3 in the first channel and 5 throughout in the second; three labelled
    # a, one ignored. Then two pixels 2, 2 and 5, 5, labelled a and b.
    records = [
        {
            **rest,
            "image/sum": np.array([8, 20, 4 * 40011], np.float32),
            "image/sum_squares": np.array([20, 100, 4 * 40011**2], np.float32),
            "mask/class_pixels": np.array([3, 0, 1]),
        },
        {
            **rest,
            "image/sum": np.array([4, 10, 2 * 40011], np.float32),
            "image/sum_squares": np.array([8, 50, 2 * 40011**2], np.float32),
            "mask/class_pixels": np.array([1, 1, 0]),
        },
    ]
    with tft_beam.Context(temp_dir=str(tmp_path / "temp")):
        transform = (records, metadata) | tft_beam.AnalyzeDataset(preprocessing_fn)
        transform | transform_fn_io.WriteTransformFn(str(tmp_path / "graph"))
        metadata_io.write_metadata(metadata, str(tmp_path / "graph" / "metadata"))
    learnt = read(str(tmp_path / "graph"))
    assert learnt.mean == pytest.approx((2, 5, 40011))
    # Variance of 1, 1, 3, 3, 2, 2 is 4/6; a constant channel is divided by 1. So is the third,
    # 40011 throughout, whose square is rounded up by 7 in float32.
    assert learnt.deviation == pytest.approx(((4 / 6) ** 0.5, 1, 1))
    # Of five labelled pixels four are a; the ignored one is in neither share.
    assert learnt.class_frequency == pytest.approx((0.8, 0.2))


def test_class_weights_by_hand() -> None:
    assert class_weights([0.8, 0.2], "none") == [1, 1]
    # 1/0.8 and 1/0.2, halved: 0.8 * 0.625 + 0.2 * 2.5 = 1.
    assert class_weights([0.8, 0.2], "inverse") == pytest.approx([0.625, 2.5])
    # Median 0.2: 0.2/0.7, 0.2/0.2, 0.2/0.1 weigh a pixel 0.6 on average.
    expected = np.array([0.2 / 0.7, 1, 2]) / 0.6
    assert class_weights([0.7, 0.2, 0.1], "median_frequency") == pytest.approx(expected)


def test_a_class_that_never_occurs_weighs_nothing() -> None:
    assert class_weights([0.5, 0.5, 0.0], "inverse") == pytest.approx([1, 1, 0])


def test_nothing_labelled_weighs_nothing() -> None:
    assert class_weights([0.0, 0.0], "inverse") == [0, 0]
    assert class_weights([0.0, 0.0], "median_frequency") == [0, 0]
