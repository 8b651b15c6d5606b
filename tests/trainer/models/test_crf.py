"""The lattice against the sum over all pairs, and the mean field against that of NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from components.records import Layout
from trainer.export import Exported
from trainer.models import crf, permutohedral, pixels, registry
from trainer.models.options import CRFOptions


def scene(size: int, noise: float, classes: int = 3) -> tuple[np.ndarray, ...]:
    """A disc on a ground of another colour, noisy scores of it three pixels aside, and its mask."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size]
    disc = (y - 0.45 * size) ** 2 + (x - 0.55 * size) ** 2 < (0.3 * size) ** 2
    image = np.where(disc[..., None], [180, 120, 60], [70, 90, 110])
    image = np.clip(image + random.normal(0, noise, (size, size, 3)), 0, 255)
    score = np.where(np.roll(disc, 3, 1), 1.0, -1.0) + random.normal(0, 1, (size, size))
    rest = np.full((size, size), -0.5)
    logits = np.stack([-score, score, rest], -1)[..., :classes]
    return image.astype(np.float32), logits.astype(np.float32), disc


def mean_field(image: np.ndarray, logits: np.ndarray, options: CRFOptions) -> np.ndarray:
    """Probabilities by the sum over all pairs of pixels: algorithm 1 of the paper, in float64."""
    height, width, classes = logits.shape
    place = np.stack(np.mgrid[:height, :width], -1).reshape(-1, 2).astype(float)
    colour = image.reshape(height * width, -1).astype(float)
    apart = ((place[:, None] - place) ** 2).sum(-1)
    unlike = ((colour[:, None] - colour) ** 2).sum(-1)
    alike = apart / options.bilateral_deviation**2 + unlike / options.colour_deviation**2
    pull = np.zeros_like(apart)
    for weight, distance in (
        (options.bilateral_weight, alike),
        (options.spatial_weight, apart / options.spatial_deviation**2),
    ):
        kernel = np.exp(-distance / 2)
        root = 1 / np.sqrt(kernel.sum(1))
        pull += weight * root[:, None] * kernel * root
    unary = logits.reshape(-1, classes).astype(float)
    field = softmax(unary)
    for _ in range(options.iterations):
        field = softmax(unary + pull @ field)
    return field.reshape(logits.shape)


def softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def refined(image: np.ndarray, logits: np.ndarray, options: CRFOptions) -> np.ndarray:
    return tf.nn.softmax(crf.refine(tf.constant(image[None]), tf.constant(logits[None]), options))[
        0
    ].numpy()


@pytest.mark.parametrize("dimensions", [1, 2, 3, 5])
def test_shares_are_those_of_the_simplex_around_a_point(dimensions: int) -> None:
    random = np.random.default_rng(1)
    points = random.normal(0, 3, (500, dimensions)).astype(np.float32)
    on = permutohedral.lattice(tf.constant(points))
    shares = on.shares.numpy()
    assert shares.min() > -1e-5
    assert np.allclose(shares.sum(1), 1, atol=1e-5)
    # A point is the mean of its corners, weighed by its shares: so an affine function of the
    # corners is, at the point, the mean of its values there. Corners that several points share
    # must be one and the same place for each of them.
    corners = on.corners.numpy()
    count = on.neighbours.shape[1] - 1
    matrix = np.zeros((500, count))
    for column in range(dimensions + 1):
        matrix[np.arange(500), corners[:, column]] += shares[:, column]
    places, *_ = np.linalg.lstsq(matrix, points, rcond=None)
    assert np.allclose(matrix @ places, points, atol=1e-3)


def test_neighbours_are_each_others() -> None:
    points = np.random.default_rng(2).normal(0, 1, (300, 3)).astype(np.float32)
    neighbours = permutohedral.lattice(tf.constant(points)).neighbours.numpy()
    count = neighbours.shape[1] - 1
    assert (neighbours[:, count] == count).all()
    for before, after in neighbours.reshape(4, 2, -1):
        has = np.flatnonzero(after[:count] < count)
        assert len(has)
        assert (before[after[has]] == has).all()
        assert (after[:count] != np.arange(count)).all()


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_the_lattice_filters_by_a_gaussian(dimensions: int) -> None:
    random = np.random.default_rng(3)
    points = random.uniform(0, 6, (4000, dimensions)).astype(np.float32)
    values = random.uniform(0, 1, (4000, 2)).astype(np.float32) * (points[:, :1] > 3)
    found = permutohedral.filtered(permutohedral.lattice(tf.constant(points)), tf.constant(values))
    some = slice(0, 400)
    distance = ((points[some, None] - points) ** 2).sum(-1)
    exact = np.exp(-distance / 2) @ values
    # The lattice's kernel is a spline, not quite the Gaussian. Its error is largest where few
    # points are, so it is told as a share of the largest sum.
    error = np.abs(found[some] - exact) / exact.max()
    assert error.mean() < 0.03
    assert error.max() < 0.12


@pytest.mark.parametrize(("noise", "colour"), [(8, 13), (3, 5), (20, 30)])
@pytest.mark.parametrize("reach", [67, 10])
def test_the_mean_field_is_that_of_the_sum_over_all_pairs(
    noise: float, colour: float, reach: float
) -> None:
    image, logits, disc = scene(40, noise)
    options = CRFOptions(iterations=10, colour_deviation=colour, bilateral_deviation=reach)
    exact, found = mean_field(image, logits, options), refined(image, logits, options)
    assert (exact.argmax(-1) == found.argmax(-1)).mean() > 0.995
    assert np.abs(exact - found).mean() < 0.003
    # It must have had something to do: four of five pixels are right before, and most after.
    right = [(scores.argmax(-1) == disc).mean() for scores in (logits, found)]
    assert right[0] < 0.85
    assert right[1] > 0.95


def test_the_spatial_kernel_alone_is_exact() -> None:
    image, logits, _ = scene(24, 8)
    options = CRFOptions(
        iterations=1, bilateral_weight=1e-9, spatial_weight=2.0, spatial_deviation=1.5
    )
    exact, found = mean_field(image, logits, options), refined(image, logits, options)
    # Cut off at 4 deviations, where it is exp(-8).
    assert np.allclose(exact, found, atol=1e-3)


def test_two_pixels_by_hand() -> None:
    # Far apart in colour, both kernels are 1 on the pixel itself; the spatial one is exp(-1/2) =
    # 0.6065 between the two, whose sums are 1.6065. With weights of 1 the first iteration adds to
    # each class q itself, and (q + 0.6065 q') / 1.6065. Scores (1, 0) and (0, 0): q = (0.7311,
    # 0.2689) and (0.5, 0.5), so (1, 0) + (0.7311, 0.2689) + (0.6439, 0.3561).
    image = np.float32([[[0, 0, 0], [250, 250, 250]]])
    logits = np.float32([[[1, 0], [0, 0]]])
    options = CRFOptions(
        iterations=1, bilateral_weight=1, spatial_weight=1, spatial_deviation=1, colour_deviation=3
    )
    found = crf.refine(tf.constant(image[None]), tf.constant(logits[None]), options)[0, 0, 0]
    # The lattice's own answer for a lone point is 1 after its normalisation.
    assert np.allclose(found, [1 + 0.7311 + 0.6439, 0.2689 + 0.3561], atol=1e-3)


def test_no_iterations_leave_the_logits_alone() -> None:
    logits = tf.random.stateless_normal([1, 4, 5, 3], [1, 2])
    assert crf.refine(tf.zeros([1, 4, 5, 1]), logits, CRFOptions()) is logits


@pytest.mark.parametrize("channels", [1, 3, 6])
def test_images_of_any_size_and_channels_in_a_graph(channels: int) -> None:
    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, None, channels]),
            tf.TensorSpec([None, None, None, 2]),
        ]
    )
    def run(images: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        return crf.refine(images, logits, CRFOptions(iterations=3))

    for shape in ((2, 7, 9), (1, 1, 1), (1, 30, 1)):
        images = tf.random.stateless_uniform([*shape, channels], [1, 2], maxval=255)
        logits = tf.random.stateless_normal([*shape, 2], [3, 4])
        found = run(images, logits)
        assert found.shape == (*shape, 2)
        assert np.isfinite(found).all()
    # One image after the other: a batch is what its images are.
    images = tf.random.stateless_uniform([2, 12, 12, channels], [1, 2], maxval=255)
    logits = tf.random.stateless_normal([2, 12, 12, 2], [3, 4])
    assert np.allclose(run(images, logits)[1:], run(images[1:], logits[1:]), atol=1e-5)


def test_what_a_grey_level_is() -> None:
    assert pixels.grey_level("uint8", [20.0]) == 1
    # A deviation of 580 counts as 58 grey levels, so 10 of its units are one.
    assert pixels.grey_level("uint16", [580.0]) == 10
    image, logits, _ = scene(20, 8)
    options = {"backbone": "mobilenet", "crf": {"iterations": 2}}
    eight, sixteen = (
        registry.refinement("deeplab_v3", options, grey)(values[None], tf.constant(logits[None]))
        for grey, values in ((1.0, image), (10.0, image * 10))
    )
    assert np.allclose(eight, sixteen, atol=1e-4)


def test_all_signatures_are_refined_in_one_piece_and_in_tiles() -> None:
    geometry = registry.Geometry(stride=4, smallest=4)
    inputs = tf.keras.Input((None, None, 1))
    scores = tf.keras.layers.Lambda(lambda x: tf.concat([0.02 * (130 - x), 0.02 * (x - 130)], -1))
    layout = Layout(channels=1, dtype="uint8", classes=("background", "cell"))
    options = CRFOptions(iterations=5, colour_deviation=20, bilateral_deviation=4)
    exported = Exported(
        tf.keras.Model(inputs, scores(inputs)),
        layout,
        geometry,
        core=32,
        context=40,
        refine=lambda images, logits: crf.refine(tf.cast(images, tf.float32), logits, options),
    )
    # Specks on either side of the threshold, which the field takes away.
    image, _, disc = scene(80, 30)
    images = tf.constant(image[None, ..., :1].astype(np.uint8))
    threshold = (images[0, ..., 0].numpy() > 130).astype(int)
    mask = exported.tensor(images)["mask"][0].numpy()
    assert (mask == disc).mean() > 0.99 > (threshold == disc).mean()
    probabilities = exported.probabilities(tf.io.encode_png(images[0])[None])["probabilities"]
    assert np.array_equal(probabilities[0].numpy().argmax(-1), mask)
    # A tile's field ends 40 pixels beyond its core: ten deviations of the bilateral kernel.
    tiled = tf.argmax(exported.tiled(images, tf.identity), -1)[0].numpy()
    assert (tiled == mask).mean() > 0.995
