"""The page in headless Chromium, as on a laptop and on a phone."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.comparison import page
from tests.components.run_report.browser import Browser
from tests.components.run_report.test_in_browser import CUT, FAINT, LAPTOP, PHONE, STICKING_OUT
from tests.pipeline.comparison.conftest import Make

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, make_comparison: Make) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    many = {f"a_configuration_with_a_long_name_{n}": [n % 4 + 1] * 5 for n in range(6)}
    classes = tuple(f"class_{n:02}_with_a_long_name" for n in range(12))
    settings = [(f"train.key_{n}", [f"a long value {n} {m}" for m in range(6)]) for n in range(4)]
    told = {
        "usual": make_comparison(),
        "large": make_comparison(shifts=many, classes=classes, settings=settings),
    }
    for name, comparison in told.items():
        page.write(comparison, folder / f"{name}.html")
    return {name: folder / f"{name}.html" for name in told}


@pytest.mark.parametrize("width", [LAPTOP, PHONE])
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", ["usual", "large"])
def test_nothing_sticks_out_is_cut_or_faint(
    browser: Browser, files: dict[str, Path], name: str, dark: bool, width: int
) -> None:
    browser.requests.clear()
    browser.open(files[name], width, dark)
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    assert browser.evaluate(STICKING_OUT) == []
    assert browser.evaluate(CUT) == []
    assert browser.evaluate(FAINT) == []
    assert browser.complaints == []
    assert browser.requests == [files[name].as_uri()]
    broken = "[...document.images].filter(one => !one.complete || !one.naturalWidth).length"
    assert browser.evaluate(broken) == 0
