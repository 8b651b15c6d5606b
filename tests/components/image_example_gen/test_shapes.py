from __future__ import annotations

import base64
import io
import math

import numpy as np
import pytest
from PIL import Image, ImageDraw
from pycocotools import mask as cocotools

from components.errors import BadFileError
from components.image_example_gen import drawing, shapes
from components.image_example_gen.shapes import BACKGROUND, Shape


def drawn(kind: str, geometry: object, size: tuple[int, int]) -> np.ndarray:
    whole = np.zeros(size, bool)
    patch = drawing.draw(kind, geometry, size)
    if patch is not None:
        height, width = patch.inside.shape
        whole[patch.top : patch.top + height, patch.left : patch.left + width] = patch.inside
    return whole


@pytest.mark.parametrize("seed", range(60))
def test_polygons_as_pycocotools_draws_them_whole(seed: int):
    rng = np.random.default_rng(seed)
    size = tuple(rng.integers(5, 80, 2).tolist())
    # Some corners lie outside, and many on the tenths where rounding shows.
    corners = rng.uniform(-20, 100, (rng.integers(3, 9), 2)).round(int(rng.integers(0, 3)))
    rings = [corners.ravel().tolist(), (corners + 7).ravel().tolist()]
    merged = cocotools.merge(cocotools.frPyObjects(rings, *size))
    np.testing.assert_array_equal(drawn("polygons", rings, size), cocotools.decode(merged))


def labelme(kind: str, points: list[list[float]], size: tuple[int, int]) -> np.ndarray:
    """labelme.utils.shape_to_mask, on the whole image."""
    canvas = Image.new("L", size[::-1])
    pen = ImageDraw.Draw(canvas)
    xy = [tuple(point) for point in points]
    if kind == "circle":
        (cx, cy), (px, py) = xy
        d = math.hypot(cx - px, cy - py)
        pen.ellipse([cx - d, cy - d, cx + d, cy + d], outline=1, fill=1)
    elif kind == "rectangle":
        pen.rectangle(xy, outline=1, fill=1)
    elif kind in ("line", "linestrip"):
        pen.line(xy, fill=1, width=10)
    elif kind == "point":
        ((cx, cy),) = xy
        pen.ellipse([cx - 5, cy - 5, cx + 5, cy + 5], outline=1, fill=1)
    else:
        pen.polygon(xy, outline=1, fill=1)
    return np.array(canvas, bool)


@pytest.mark.parametrize("kind", ["outline", "rectangle", "circle", "line", "linestrip", "point"])
def test_labelme_shapes_as_labelme_draws_them(kind: str):
    for seed in range(40):
        rng = np.random.default_rng(seed)
        size = tuple(rng.integers(20, 90, 2).tolist())
        count = {"outline": 6, "linestrip": 4, "point": 1}.get(kind, 2)
        points = rng.uniform(0, 90, (count, 2)).round(2)
        if kind == "rectangle":  # Pillow wants the corners in order; labelme passes them on
            points = np.sort(points, axis=0)
        expected = labelme(kind, points.tolist(), size)
        np.testing.assert_array_equal(drawn(kind, points.tolist(), size), expected, str(seed))


def test_ellipse_takes_pixels_whose_centres_lie_inside():
    # Radii 2 and 1 around (3, 2): centres at x = 1.5, 2.5, ... and y = 1.5, 2.5, so that
    # (dx/2)^2 + (dy/1)^2 is 0.3125 for dx = 0.5, 0.8125 for 1.5, and more than 1 for dy = 1.5.
    expected = np.zeros((5, 7), bool)
    expected[1:3, 1:5] = True
    np.testing.assert_array_equal(drawn("ellipse", [3, 2, 2, 1, 0], (5, 7)), expected)
    # A quarter turn swaps the radii.
    turned = drawn("ellipse", [3, 2, 2, 1, 90], (5, 7))
    np.testing.assert_array_equal(turned, drawn("ellipse", [3, 2, 1, 2, 0], (5, 7)))


def test_bitmap_within_a_box():
    file = io.BytesIO()
    Image.fromarray(np.array([[0, 1], [255, 0]], np.uint8)).save(file, "PNG")
    coded = base64.b64encode(file.getvalue()).decode()
    assert np.argwhere(drawn("bitmap", [3.0, 1.0, coded], (4, 5))).tolist() == [[1, 4], [2, 3]]
    # What reaches over the edge is cut.
    assert np.argwhere(drawn("bitmap", [4.0, 1.0, coded], (4, 5))).tolist() == [[2, 4]]


SQUARE = [[0, 0, 4, 0, 4, 4, 0, 4]]
SMALL = [[1, 1, 3, 1, 3, 3, 1, 3]]


def test_the_smaller_object_on_top_or_the_last():
    both = [Shape("small", "polygons", SMALL), Shape("large", "polygons", SQUARE)]
    smallest = shapes.labels(both, (4, 4), "smallest")
    assert smallest.names == (BACKGROUND, "small", "large")
    # 4 x 4 pixels of `large`, of which `small` hides 2 x 2.
    assert np.bincount(smallest.values.ravel()).tolist() == [0, 4, 12]
    assert np.bincount(smallest.instances.ravel()).tolist() == [0, 4, 12]
    assert smallest.region is None
    last = shapes.labels(both, (4, 4), "last")
    assert np.bincount(last.values.ravel()).tolist() == [0, 0, 16]


def test_groups_are_one_object():
    parts = [
        Shape("cat", "polygons", [[0, 0, 2, 0, 2, 2, 0, 2]], "7"),
        Shape("cat", "polygons", [[4, 0, 6, 0, 6, 2, 4, 2]], "7"),
        Shape("dog", "polygons", [[0, 4, 2, 4, 2, 6, 0, 6]], "7"),
        Shape("dog", "polygons", [[4, 4, 6, 4, 6, 6, 4, 6]]),
    ]
    instances = shapes.labels(parts, (6, 6)).instances
    assert [int(instances[y, x]) for y, x in ((0, 0), (0, 4), (4, 0), (4, 4), (3, 3))] == [
        1,
        1,
        2,
        3,
        0,
    ]


def test_ignored_crowds_lie_below_what_is_told_apart():
    crowd = Shape("cat", "polygons", SMALL, crowd=True)
    cat = Shape("cat", "polygons", [[0, 0, 2, 0, 2, 4, 0, 4]])
    counted = shapes.labels([cat, crowd], (4, 4), "smallest")
    assert counted.region is None
    ignored = shapes.labels([cat, crowd], (4, 4), "smallest", crowds_count=False)
    # The crowd's 2 x 2 pixels less the 1 x 2 that the cat has.
    assert np.argwhere(~ignored.region).tolist() == [[1, 2], [2, 2]]


def test_what_no_shape_covers_counts_or_not():
    shape = [Shape("cat", "polygons", SMALL)]
    assert shapes.labels(shape, (4, 4)).region is None
    region = shapes.labels(shape, (4, 4), unlabelled_counts=False).region
    assert region.sum() == 4
    assert not shapes.labels([], (4, 4), unlabelled_counts=False).region.any()
    # A shape that says background says it.
    painted = [*shape, Shape(BACKGROUND, "polygons", SQUARE)]
    over = shapes.labels(painted, (4, 4), unlabelled_counts=False)
    assert over.names == (BACKGROUND, "cat")
    assert over.region is None
    assert not over.values.any()
    assert not over.instances.any()


def test_json_keeps_all():
    kept = [Shape("cat", "polygons", SMALL, "7", True), Shape("ü", "ellipse", [1, 2, 3, 4, 5])]
    assert shapes.from_json(shapes.to_json(kept, (4, 5)), (4, 5)) == kept
    with pytest.raises(BadFileError, match="annotations are of 5x4, image is 4x5"):
        shapes.from_json(shapes.to_json(kept, (4, 5)), (5, 4))


@pytest.mark.parametrize(
    ("kind", "geometry", "message"),
    [
        ("polygons", [[0, 0, 1, 1]], "2 points, where 3 are needed"),
        ("polygons", [[0, 0, 1, 1, 2]], "no pairs of numbers"),
        ("polygons", [[0, 0, 1, 1, None, 2]], "no numbers"),
        ("polygons", [["a", 0, 1, 1, 2, 2]], "no pairs of numbers"),
        ("polygons", [[0, 0, 1e9, 1, 2, 2]], "far outside"),
        ("polygons", [[0, 0, float("inf"), 1, 2, 2]], "no numbers"),
        ("polygons", [[10**400, 0, 1, 1, 2, 2]], "no pairs of numbers"),
        ("polygons", 7, "no pairs of numbers"),
        ("polygons", [[[0, 0, 1], [1, 1, 1], [2, 2, 2]]], "no pairs of numbers"),
        ("polygons", [[0, 0, 1e6, 1e6] * 10], "longer than"),
        ("runs", {"size": [2**20, 2**20], "counts": [2**40]}, r"is of size \[1048576, 1048576\]"),
        ("runs", {"size": [9, 9], "counts": [1, 2]}, "of 3 pixels, where 81 are needed"),
        ("runs", [], "lacks size or counts"),
        ("runs", {"size": 5, "counts": []}, "lacks size or counts"),
        ("rows", [8, 8, 5, 5, [25]], "outside"),
        ("rows", [0, 0, 10**9, 10**9, [1]], "outside"),
        ("rows", [0, 0], "lacks its box"),
        ("ellipse", [1, 1, 0, 1, 0], "two radii"),
        ("ellipse", [1, 1, 1e12, 1, 0], "far outside"),
        ("ellipse", [1, 1, "x", 1, 0], "two radii"),
        ("circle", [[1, 1]], "1 points, where 2 are needed"),
        ("line", [[1, 1], [2, 2], [3, 3]], "3 points, where 2 are needed"),
        ("bitmap", [0, 0, "no picture"], "no base64"),
        ("bitmap", [0, 0, "aGVsbG8gd29ybGQhISEh"], "begins with text"),
        ("bitmap", None, "no picture"),
        ("brush", {}, "ends early"),
    ],
)
def test_what_cannot_be_drawn_is_named(kind: str, geometry: object, message: str):
    with pytest.raises(BadFileError, match=f"'cat': .*{message}"):
        shapes.labels([Shape("cat", kind, geometry)], (9, 9))


def test_shapes_without_end_are_refused():
    full = Shape("cat", "polygons", [[0, 0, 4096, 0, 4096, 4096, 0, 4096]])
    # 2^30 pixels, or a hundred times the image's 2^24, may be drawn: 101 times are too many.
    with pytest.raises(BadFileError, match="101 shapes cover the image too many times over"):
        shapes.labels([full] * 101, (4096, 4096))
