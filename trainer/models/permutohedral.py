"""Gaussian filtering in many dimensions, in time linear in the number of points.

Adams, Baek, Davis, Fast High-Dimensional Filtering Using the Permutohedral Lattice, Eurographics
2010. The lattice of d dimensions lies in the hyperplane of d + 1 whose coordinates add up to zero.
Each point is given to the d + 1 corners of the simplex that it falls into (splat), the corners are
blurred along each of the d + 1 axes (blur), and each point takes back what its corners have then
(slice). All of it is TensorFlow operations on whole tensors, so it works in an exported graph.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf


class Lattice(NamedTuple):
    """The corners that a set of points occupies.

    Attributes:
      corners: int32 [N, d + 1], the corners of the simplex around each point, numbered from 0.
      shares: float32 [N, d + 1], how much of the point goes to each; they add up to 1.
      neighbours: int32 [2 (d + 1), M + 1], the corner before and the one after each of the M
        corners, axis by axis; M, where all is zero, stands for one that no point occupies.
    """

    corners: tf.Tensor
    shares: tf.Tensor
    neighbours: tf.Tensor


def lattice(points: tf.Tensor) -> Lattice:
    """Finds the simplices around points.

    Args:
      points: float32 [N, d], in standard deviations of the Gaussian; d is static.
    """
    d = points.shape[-1]
    elevated = points @ tf.constant(_basis(d))
    # The closest lattice point whose coordinates are all multiples of d + 1: each is rounded, and
    # where their sum is then k (d + 1) instead of 0, k coordinates go one multiple back, those
    # that were rounded up furthest (or on, where k is negative).
    rounded = tf.round(elevated / (d + 1))
    excess = tf.cast(tf.reduce_sum(rounded, -1, keepdims=True), tf.int32)
    rank = _ranks(elevated - rounded * (d + 1)) + excess
    rounded += tf.cast(rank < 0, tf.float32) - tf.cast(rank > d, tf.float32)
    rest = elevated - rounded * (d + 1)

    # From here on coordinates are taken from the largest rest to the smallest. The corner of
    # remainder k is k further than the closest one on every axis, but on the last k axes d + 1
    # less. The shares are the barycentric coordinates (proposition 4.2 of the paper).
    rest, order = tf.math.top_k(rest, d + 1)
    steps = (rest[:, :-1] - rest[:, 1:])[:, ::-1]
    least = d + 1 + rest[:, -1:] - rest[:, :1]
    shares = tf.concat([least, steps], -1) / (d + 1)

    # A corner's code is a sum of its coordinates with odd factors, modulo 2^64: two corners share
    # one with a probability of 2^-63, and a step along an axis always adds the same to it.
    factors = _factors(d)
    with np.errstate(over="ignore"):
        further = np.arange(d + 1) * factors.sum()
        step = factors.sum() - (d + 1) * factors
    closest = tf.reduce_sum(tf.cast(rounded, tf.int64) * ((d + 1) * factors), -1, keepdims=True)
    last = tf.cumsum(tf.gather(factors, order), -1, exclusive=True, reverse=True)
    # last[:, r] is the sum over axes after r; over the last k of d + 1 axes it is at r = d - k.
    codes = closest + further - (d + 1) * last[:, ::-1]

    occupied, corners = tf.unique(tf.reshape(codes, [-1]))
    by_code = tf.argsort(occupied)
    ordered = tf.gather(occupied, by_code)
    count = tf.size(occupied)
    nobody = tf.reshape(count, [1])

    neighbours = []
    for delta in step:
        # Asked for in the order of their codes, which keeps the binary search in the cache.
        place = tf.minimum(tf.searchsorted(ordered, ordered + delta), count - 1)
        known = tf.where(tf.gather(ordered, place) == ordered + delta)[:, 0]
        one, other = tf.gather(by_code, known), tf.gather(by_code, tf.gather(place, known))
        for this, next_to_it in ((other, one), (one, other)):
            empty = tf.repeat(nobody, count + 1)
            neighbours.append(tf.tensor_scatter_nd_update(empty, this[:, None], next_to_it))
    return Lattice(tf.reshape(corners, [-1, d + 1]), shares, tf.stack(neighbours))


def filtered(on: Lattice, values: tf.Tensor) -> tf.Tensor:
    """The sum over all points of their values, each by its Gaussian of the distance.

    Args:
      on: lattice of the points.
      values: float32 [N, K].

    Returns:
      float32 [N, K], about sum_j exp(-|p_i - p_j|^2 / 2) values_j.
    """
    axes = on.shares.shape[-1]
    size = tf.shape(on.neighbours)[1]
    # One corner after the other, so that no tensor is larger than the values.
    grid = tf.add_n(
        [
            tf.math.unsorted_segment_sum(values * on.shares[:, k : k + 1], on.corners[:, k], size)
            for k in range(axes)
        ]
    )
    for axis in range(axes):
        before, after = on.neighbours[2 * axis], on.neighbours[2 * axis + 1]
        grid += (tf.gather(grid, before) + tf.gather(grid, after)) / 2
    sliced = tf.add_n(
        [tf.gather(grid, on.corners[:, k]) * on.shares[:, k : k + 1] for k in range(axes)]
    )
    # The blur doubles on each axis, and a corner stands for a volume of 1.5^(d/2) / sqrt(d + 1),
    # where a Gaussian has (2 pi)^(d/2): evenly spread points get what they should on average.
    d = axes - 1
    return sliced * ((4 * np.pi / 3) ** (d / 2) * np.sqrt(axes) / 2**axes)


def _ranks(values: tf.Tensor) -> tf.Tensor:
    """int32 [N, d + 1]: 0 for the largest of a row, d for the smallest."""
    order = tf.argsort(values, direction="DESCENDING", stable=True)
    return tf.argsort(order, stable=True)


def _basis(d: int) -> np.ndarray:
    """float32 [d, d + 1]: to the hyperplane, in units in which the blur's deviation is 1.

    Splat, blur and slice together have a variance of 2 (d + 1)^2 / 3 on each axis of the plane.
    """
    basis = np.zeros((d, d + 1))
    for row in range(d):
        basis[row, : row + 1] = 1
        basis[row, row + 1] = -(row + 1)
    basis /= np.linalg.norm(basis, axis=1, keepdims=True)
    return (basis * (d + 1) * np.sqrt(2 / 3)).astype(np.float32)


def _factors(d: int) -> np.ndarray:
    """int64 [d + 1], odd, the same ones each time."""
    values = np.random.default_rng(2010).integers(-(2**63), 2**63 - 1, d + 1, np.int64)
    return values | 1
