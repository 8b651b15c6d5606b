"""A small synthetic data set: cells that touch, as under a phase-contrast microscope.

Three classes: background, the cells' inside, and their border, which keeps touching cells apart.
Dust and, on some images, a band that nobody labelled are to be ignored. Everything follows from a
seed, so that the demo's numbers can be compared.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

IMAGES = 28
SIDE = 128
BACKGROUND, CELL, BORDER, IGNORE = 0, 1, 2, 255
_APART = 22.0
_SEED = 1505  # the month of the U-Net paper, arXiv 1505.04597

CONFIGURATION = """\
# Synthetic cells that touch. The whole run takes about two minutes on two cores.
# It should reach a mean IoU of 0.85 or more.

name: cells
workspace: work

data:
  path: data
  channels: 1
  dtype: uint8
  classes:
    background: [0]
    cell: [1]
    border: [2]                   # keeps touching cells apart
  ignore: [255]                   # dust, and what nobody labelled
  colours:
    cell: "#56b4e9"
    border: "#d55e00"

ingest:
  tile: 128

model:
  name: unet
  options:
    width: 16
    depth: 3

train:
  steps: 200
  steps_per_epoch: 100
  batch_size: 8
  learning_rate: 0.003

augment:
  elastic: true

tune:
  trials: 2
  steps: 30
  space:
    train.learning_rate: {min: 0.001, max: 0.01, scale: log}

evaluate:
  min_mean_iou: 0.7
"""


def write(folder: Path) -> tuple[Path, Path]:
    """Writes `data/images`, `data/masks`, `overtile.yaml` and `unlabelled.png` into a folder.

    Files that are there already with the same content are left alone, so that a second demo finds
    its data unchanged; a configuration that somebody has edited stays.

    Returns:
      The configuration's file, and an image that is not in the data set.
    """
    for name in ("images", "masks"):
        (folder / "data" / name).mkdir(parents=True, exist_ok=True)
    for index in range(IMAGES):
        for name, pixels in zip(("images", "masks"), scene(index)):
            _write_if_new(folder / "data" / name / f"cells_{index:02}.png", _png(pixels))
    config = folder / "overtile.yaml"
    if not config.exists():
        config.write_text(CONFIGURATION)
    unlabelled = folder / "unlabelled.png"
    _write_if_new(unlabelled, _png(scene(IMAGES)[0]))
    return config, unlabelled


def scene(index: int) -> tuple[np.ndarray, np.ndarray]:
    """An image and its mask, both uint8 [SIDE, SIDE]; the same for the same index."""
    random = np.random.default_rng((_SEED, index))
    cells = _cells(random)
    # A border is a cell's outermost pixels, three where it meets the background and, since both
    # sides have theirs, six where two cells touch.
    inside = np.zeros_like(cells, dtype=np.uint8)
    for cell in range(1, cells.max() + 1):
        inside |= cv2.erode((cells == cell).astype(np.uint8), np.ones((3, 3)), iterations=3)
    mask = np.where(inside > 0, CELL, np.where(cells > 0, BORDER, BACKGROUND)).astype(np.uint8)

    image = _photograph(cells, inside, random)
    _drop_dust(image, mask, random)
    if index % 4 == 0:
        mask[: random.integers(8, 20)] = IGNORE  # a band that nobody labelled
    return np.clip(np.rint(image), 0, 255).astype(np.uint8), mask


def _cells(random: np.random.Generator) -> np.ndarray:
    """Labels, int [SIDE, SIDE]: 0 between cells, which grow until they meet."""
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    # Waves in the plane make the outlines uneven.
    rows += _noise(random, 10, 4.0)
    columns += _noise(random, 10, 4.0)
    nearest = np.full((SIDE, SIDE), np.inf, np.float32)
    labels = np.zeros((SIDE, SIDE), np.int32)
    centres: list[np.ndarray] = []
    for _ in range(random.integers(14, 18)):
        y, x = centre = random.uniform(0, SIDE, 2)
        if any(np.hypot(*(centre - other)) < _APART for other in centres):
            continue  # one on top of the other would leave slivers that are all border
        centres.append(centre)
        long, wide = random.uniform(17, 25), random.uniform(13, 19)
        angle = random.uniform(0, np.pi)
        along = (columns - x) * np.cos(angle) + (rows - y) * np.sin(angle)
        across = (rows - y) * np.cos(angle) - (columns - x) * np.sin(angle)
        distance = np.hypot(along / long, across / wide)
        closer = (distance < 1) & (distance < nearest)
        nearest[closer] = distance[closer]
        labels[closer] = labels.max() + 1
    return labels


def _photograph(cells: np.ndarray, inside: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Grey values, float32 [SIDE, SIDE], as a microscope might give them."""
    depth = cv2.distanceTransform((cells > 0).astype(np.uint8), cv2.DIST_L2, 5)
    image = np.full(cells.shape, 96, np.float32) + _noise(random, 3, 3.0)
    granules = _noise(random, 1.6, 9.0) + _noise(random, 5, 5.0)
    image = np.where(cells > 0, 132 + granules + np.minimum(depth, 10), image)
    for cell in range(1, cells.max() + 1):  # a nucleus each, darker than its cell
        body = cv2.distanceTransform((cells == cell).astype(np.uint8), cv2.DIST_L2, 5)
        if body.max() > 9:
            image -= 22 * np.clip(body - 0.6 * body.max(), 0, 4) / 4
        image[cells == cell] += random.uniform(-8, 8)
    image = np.where((cells > 0) & (inside == 0), 186 + _noise(random, 2, 6.0), image)
    image = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 0.9)
    rows, columns = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    tilt = random.uniform(0, 2 * np.pi)
    light = 1 + 0.15 * (rows * np.sin(tilt) + columns * np.cos(tilt))
    light -= 0.08 * (rows**2 + columns**2)
    return (image * light + random.normal(0, 5, cells.shape)).astype(np.float32)


def _drop_dust(image: np.ndarray, mask: np.ndarray, random: np.random.Generator) -> None:
    """Dark grains that hide what is below: nobody can say what it is, so it is ignored."""
    for _ in range(random.integers(1, 4)):
        centre = tuple(int(place) for place in random.integers(0, SIDE, 2))
        axes = tuple(int(axis) for axis in random.integers(3, 8, 2))
        grain = np.zeros(mask.shape, np.uint8)
        cv2.ellipse(grain, centre, axes, float(random.uniform(0, 180)), 0, 360, 1, -1)
        mask[cv2.dilate(grain, np.ones((3, 3))) > 0] = IGNORE
        shade = cv2.GaussianBlur(grain.astype(np.float32), (0, 0), 1.0)
        image *= 1 - 0.75 * shade


def _noise(random: np.random.Generator, size: float, strength: float) -> np.ndarray:
    """Smooth noise, float32 [SIDE, SIDE], of this deviation and feature size in pixels."""
    noise = cv2.GaussianBlur(random.normal(0, 1, (SIDE, SIDE)).astype(np.float32), (0, 0), size)
    return noise * (strength / noise.std())


def _png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def _write_if_new(path: Path, content: bytes) -> None:
    if not path.exists() or path.read_bytes() != content:
        path.write_bytes(content)
