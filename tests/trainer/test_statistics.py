from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow_data_validation as tfdv

from components import schema
from trainer.statistics import Statistics, class_weights, preprocessing_fn, read


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
            "source": [b"span-1/a"],
            "image/sum": np.array([8, 20, 4 * 40011], np.float32),
            "image/sum_squares": np.array([20, 100, 4 * 40011**2], np.float32),
            "mask/class_pixels": np.array([3, 0, 1]),
        },
        {
            **rest,
            "source": [b"span-1/b"],
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
    # Of five labelled pixels four are a; the ignored one is in neither. Class b is in the second
    # record alone, which has two labelled pixels.
    assert learnt.class_pixels == (4, 1)
    assert learnt.pixels_where_present == (5, 2)


def of(pixels: list[float], where_present: list[float] | None = None) -> Statistics:
    """Statistics of so many pixels of each class, all classes being in all tiles."""
    return Statistics((), (), tuple(pixels), tuple(where_present or [sum(pixels)] * len(pixels)))


def test_class_weights_by_hand() -> None:
    assert class_weights(of([80, 20]), "none") == [1, 1]
    # 1/0.8 and 1/0.2, halved: 0.8 * 0.625 + 0.2 * 2.5 = 1.
    assert class_weights(of([80, 20]), "inverse") == pytest.approx([0.625, 2.5])
    # Median 0.2: 0.2/0.7, 0.2/0.2, 0.2/0.1 weigh a pixel 0.6 on average.
    expected = np.array([0.2 / 0.7, 1, 2]) / 0.6
    assert class_weights(of([70, 20, 10]), "median_frequency") == pytest.approx(expected)


def test_median_frequency_looks_at_the_images_that_have_the_class() -> None:
    # The third class is in one image of ten alone, and fills all of it: frequency 10/10. The
    # others are 70/100 and 20/100; the median is 0.7: weights 1, 3.5 and 0.7, times 70, 20 and 10
    # pixels: 147, for 100 pixels.
    expected = np.array([1, 3.5, 0.7]) / 1.47
    found = class_weights(of([70, 20, 10], [100, 100, 10]), "median_frequency")
    assert found == pytest.approx(expected)


def test_effective_number_by_hand() -> None:
    # beta 1/2: (1/2) / (1 - 1/2) = 1 of one pixel, (1/2) / (1 - 1/4) = 2/3 of two; three pixels
    # weigh 1 + 4/3 in sum.
    found = class_weights(of([1, 2]), "effective_number", beta=0.5)
    assert found == pytest.approx([9 / 7, 6 / 7])
    # Of far fewer pixels than 1 / (1 - beta) it is inverse frequency, of far more none.
    few = class_weights(of([80, 20]), "effective_number", beta=1 - 1e-12)
    assert few == pytest.approx([0.625, 2.5], rel=1e-3)
    many = class_weights(of([8e9, 2e9]), "effective_number")
    assert many == pytest.approx([1, 1])


@pytest.mark.parametrize("scheme", ["inverse", "median_frequency", "effective_number"])
def test_a_class_that_never_occurs_weighs_nothing(scheme: str) -> None:
    assert class_weights(of([50, 50, 0], [100, 100, 0]), scheme) == pytest.approx([1, 1, 0])
    assert class_weights(of([0, 0]), scheme) == [0, 0]
