"""The page in headless Chromium, as on a laptop and on a phone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from components.errors import SetAside
from components.run_report import page
from components.run_report.facts import ServingCheck
from components.tuner.trials import Trial
from tests.components.run_report.browser import Browser
from tests.components.run_report.conftest import MakeFacts

pytestmark = pytest.mark.slow

LAPTOP, PHONE = 1280, 390

CHECK: dict[str, Any] = {
    "name": "latency", "value": 812.5, "limit": 500, "passed": False,
    "sentence": "an answer takes 812 ms, more than 500 (push.validation.max_latency_ms)",
}  # fmt: skip

# What sticks out of the page without lying in something that scrolls.
STICKING_OUT = """
[...document.querySelectorAll('body *')].filter(one => {
  const box = one.getBoundingClientRect();
  return box.width && box.right > document.documentElement.clientWidth + 1
    && !one.closest('.scroll') && !one.closest('svg');
}).map(one => one.outerHTML.slice(0, 120))
"""

# Text that is cut off where it stands.
CUT = """
[...document.querySelectorAll('th, td, dt, dd, h1, h2, h3, h4, p, li, figcaption, .plot span')]
  .filter(one => one.scrollWidth > one.clientWidth + 1 && one.clientWidth
    && getComputedStyle(one).overflowX !== 'visible')
  .map(one => one.outerHTML.slice(0, 120))
"""

# Tables that have to be scrolled to be read.
SCROLLS = """
[...document.querySelectorAll('.scroll')]
  .filter(one => one.scrollWidth > one.clientWidth + 1).map(one => one.ariaLabel)
"""

# The contrast of each text with what is behind it, by WCAG 2.1's formula, where that is plain.
FAINT = """
(() => {
  const parse = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b]
    .map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = one => {
    for (; one; one = one.parentElement) {
      const style = getComputedStyle(one);
      if (style.backgroundImage !== 'none') return null;
      const colour = parse(style.backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll('body *')].filter(one =>
    [...one.childNodes].some(node => node.nodeType === 3 && node.textContent.trim())
  ).filter(one => {
    const ground = behind(one);
    if (!ground || !one.getClientRects().length) return false;
    const [a, b] = [light(parse(getComputedStyle(one).color)), light(ground)];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5;
  }).map(one => one.outerHTML.slice(0, 120));
})()
"""


def searched_trials(count: int) -> list[Trial]:
    """Trials of four hyperparameters, the best first, of which each tenth failed."""
    losses = ("dice", '{"cross_entropy": 1.0, "lovasz": 0.5}')
    found = []
    for place in range(count):
        failed = place >= count - count // 10
        values = {
            "train.learning_rate": 10 ** (-4 + 2 * (place * 7 % count) / count),
            "model.name": ("unet", "squeeze_unet", "deeplab_v3")[place % 3],
            "train.loss": losses[place % 2],
            "augment.strength": (place * 11 % count) / count,
        }
        iou = None if failed else 0.8 - 0.5 * (place / count) ** 2
        error = (
            "A step of 64 tiles does not fit into memory: set train.batch_size." if failed else None
        )
        state: Any = "failed" if failed else "completed"
        found.append(Trial(place + 1, values, state, iou, 1200, 123.4 + place, error))
    return found


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, make_facts: MakeFacts) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("reports")
    long = [SetAside(f"images/{'very_' * 30}long/{n:04}.png", "truncated PNG") for n in range(500)]
    names = tuple(f"class_{n:02}_with_a_long_name" if n % 3 else f"c{n}" for n in range(30))
    told = {
        "usual": make_facts(),
        "refused": make_facts(
            floor=0.95, set_aside=long[:3], serving_check=ServingCheck(False, [CHECK])
        ),
        "searched": make_facts(trials=searched_trials(30)),
        "large": make_facts(classes=names, count=12, set_aside=long),
    }
    for name, facts in told.items():
        (folder / name).with_suffix(".html").write_text(page.render(facts))
    return {name: folder / f"{name}.html" for name in told}


@pytest.mark.parametrize("width", [LAPTOP, PHONE])
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", ["usual", "refused", "searched", "large"])
def test_nothing_sticks_out_is_cut_or_faint(
    browser: Browser, files: dict[str, Path], name: str, dark: bool, width: int
) -> None:
    browser.requests.clear()
    browser.open(files[name], width, dark)
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    assert browser.evaluate(STICKING_OUT) == []
    assert browser.evaluate(CUT) == []
    assert browser.evaluate(FAINT) == []
    # Thirty columns do not fit; few do, on a phone as well, where those of a search do not.
    scrolled = {"large": ["Confusion matrix"], "searched": ["Trials"] if width == PHONE else []}
    assert browser.evaluate(SCROLLS) == scrolled.get(name, [])
    assert browser.complaints == []
    assert browser.requests == [files[name].as_uri()]

    picture = cv2.imdecode(np.frombuffer(browser.screenshot(0, 900), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape[1] == width
    paper = int(np.median(picture))
    assert paper < 60 if dark else paper > 200
    # A page with words on it: neither blank nor a wall.
    ink = np.abs(picture.astype(int) - paper).max(axis=2) > 60
    assert 0.01 < ink.mean() < 0.5


def test_every_picture_is_shown(browser: Browser, files: dict[str, Path]) -> None:
    browser.open(files["usual"], LAPTOP)
    broken = "[...document.images].filter(one => !one.complete || one.naturalWidth < 48).length"
    assert browser.evaluate("document.images.length") == 15  # five images, three layers each
    assert browser.evaluate(broken) == 0
    top = browser.evaluate(
        "Math.round(document.querySelector('.panels').getBoundingClientRect().top)"
    )
    shot = browser.screenshot(top, 200)
    picture = cv2.imdecode(np.frombuffer(shot, np.uint8), cv2.IMREAD_COLOR).astype(int)
    boxes = browser.evaluate(
        "[...document.querySelectorAll('.panels')[0].querySelectorAll('.layers')]"
        ".map(one => one.getBoundingClientRect()).map(box => [box.left, box.width])"
    )
    image, label, prediction, error = (
        picture[10:190, round(left) + 5 : round(left + width) - 5] for left, width in boxes
    )
    # The photograph is grey, the layers over it are not, and they differ from each other.
    assert np.ptp(image, axis=2).max() < 12
    for layer in (label, prediction, error):
        assert np.ptp(layer, axis=2).max() > 60
    assert np.abs(label - error).mean() > 10
    assert np.abs(label - prediction).mean() > 1


def test_it_prints_without_losing_its_pictures(browser: Browser, files: dict[str, Path]) -> None:
    browser.open(files["usual"], LAPTOP)
    printed = browser.call("Page.printToPDF", printBackground=False)["data"]
    # Base64 of a PDF with the photographs of five images in it, not of words alone.
    assert len(printed) > 100_000
