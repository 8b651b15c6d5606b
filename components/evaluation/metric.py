"""TFMA metrics over the confusion matrices that a model's `evaluate` signature returns.

TFMA's own segmentation metrics know true and false positives only and cannot be thresholded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis import constants
from tensorflow_model_analysis.metrics import metric_types

from components.evaluation import confusion

OUTPUT = "confusion"
"""What the `evaluate` signature calls its output."""


class SegmentationMetric(tfma.metrics.Metric):
    """One of `confusion.names`, such as `mean_iou` or `iou/cell`, summed exactly over records."""

    def __init__(self, name: str, classes: Sequence[str]) -> None:
        """Keeps what TFMA writes into its configuration.

        Args:
          name: the metric.
          classes: the class names.
        """

        # TFMA looks at the parameters' names and passes only those it finds.
        def computations(name: str, model_names: Sequence[str] | None = None) -> list[Any]:
            return _computations(name, tuple(classes), model_names or [""])

        super().__init__(computations, name=name)
        self._classes = list(classes)

    def get_config(self) -> dict[str, Any]:
        """What makes this metric again."""
        return {"name": self.name, "classes": self._classes}


metric_types.register_metric(SegmentationMetric)


def _computations(name: str, classes: tuple[str, ...], model_names: Sequence[str]) -> list[Any]:
    """The sum of the matrices, once a model, and the metric that follows from it."""
    computations: list[Any] = []
    for model_name in model_names:
        # TFMA computes equal computations once; a leading underscore keeps it out of the results.
        counts = metric_types.MetricKey(f"_{OUTPUT}", model_name=model_name)
        key = metric_types.MetricKey(name, model_name=model_name)

        def derive(results: Any, counts: Any = counts, key: Any = key) -> dict[Any, float]:
            return {key: confusion.metrics(results[counts], classes)[name]}

        computations += [
            metric_types.MetricComputation(
                keys=[counts],
                preprocessors=[
                    metric_types.StandardMetricInputsPreprocessor(
                        include_filter={constants.PREDICTIONS_KEY: {}},
                        include_default_inputs=False,
                    )
                ],
                combiner=_SumOfMatrices(counts, len(classes)),
            ),
            metric_types.DerivedMetricComputation(keys=[key], result=derive),
        ]
    return computations


class _SumOfMatrices(beam.CombineFn):
    """Adds int64 [K, K] matrices."""

    def __init__(self, key: metric_types.MetricKey, classes: int) -> None:
        self._key, self._classes = key, classes

    def create_accumulator(self) -> np.ndarray:
        return np.zeros((self._classes, self._classes), np.int64)

    def add_input(self, accumulator: np.ndarray, element: Any) -> np.ndarray:
        prediction = element.prediction
        for name in (self._key.model_name, OUTPUT):
            if isinstance(prediction, dict) and name in prediction:
                prediction = prediction[name]
        return accumulator + np.asarray(prediction, np.int64).reshape(accumulator.shape)

    def merge_accumulators(self, accumulators: Any) -> np.ndarray:
        return sum(accumulators, start=self.create_accumulator())

    def extract_output(self, accumulator: np.ndarray) -> dict[Any, np.ndarray]:
        return {self._key: accumulator}
