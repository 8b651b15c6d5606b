"""Ingestion that is killed at any moment and started again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from components.image_example_gen import integrity
from tests.components.image_example_gen.conftest import make_pair

DEATHS = 4


@pytest.fixture(scope="module")
def deaths(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    root, work = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("work")
    for number in range(12):
        make_pair(root / "plain", f"t{number}", number)
    for number in range(3):
        make_pair(root / "plain", f"e{number}", 100 + number)
    # A file that cannot be read, and one whose pixels evaluate: its records are taken out again.
    (root / "plain/images/t3.png").write_bytes(b"")
    Image.open(root / "plain/images/e0.png").save(root / "plain/images/t4.bmp")
    (root / "plain/images/t4.png").unlink()
    for span in (1, 2):
        for seed, key in enumerate(("p1_a", "p1_b", "p2_a", "p2_b")):
            make_pair(root / f"spans/span-{span}", key, 10 * span + seed)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.components.image_example_gen.killing"),
            *(str(root), str(work), str(DEATHS)),
        ],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("of", ["plain", "spans"])
def test_a_killed_ingestion_starts_again_to_the_same_records(
    deaths: list[dict[str, Any]], of: str
) -> None:
    mine = [death for death in deaths if death["of"] == of]
    assert len(mine) == DEATHS
    for death in mine:
        assert death["died"] == -signal.SIGKILL, death
        assert death["again"] == 0, death
        # Every file, byte for byte, and none more.
        assert death["differ"] == [], death


@pytest.mark.slow
def test_what_says_that_records_are_whole_comes_last(deaths: list[dict[str, Any]]) -> None:
    """Of the files, `counts.json` and after it the list of bad ones are written at the very end."""
    for death in deaths:
        if death["of"] == "plain" and death["moment"] < death["steps"] - 2:
            assert death["counted"] == 0, death
    assert integrity.COUNTS_FILE == "counts.json"
