from __future__ import annotations

import numpy as np

from components.evaluation import seg


def test_by_hand() -> None:
    labelled = np.array([[1, 1, 1, 0, 7, 7], [1, 1, 1, 0, 7, 7]])
    predicted = np.array([[3, 3, 0, 0, 0, 9], [3, 3, 3, 3, 0, 9]])
    # Of object 1, 6 pixels, five are in 3, which has six: 5 / (6 + 6 - 5). Of object 7, 4 pixels,
    # two are in 9: not more than half.
    assert seg.values(labelled, predicted).tolist() == [5 / 7, 0]


def test_objects_run_together_count_once() -> None:
    labelled = np.array([[1, 1, 1, 2, 2]])
    # One object of five pixels holds all of both: 3 / 5 and 2 / 5.
    assert seg.values(labelled, np.ones((1, 5), int)).tolist() == [0.6, 0.4]
    assert seg.values(labelled, labelled + 4).tolist() == [1, 1]


def test_nothing_predicted_and_nothing_labelled() -> None:
    labelled = np.array([[1, 0, 2]])
    assert seg.values(labelled, np.zeros((1, 3), int)).tolist() == [0, 0]
    assert seg.values(np.zeros((1, 3), int), labelled).tolist() == []
