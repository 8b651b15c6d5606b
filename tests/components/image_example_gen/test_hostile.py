from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.components.image_example_gen import hostile

_ROOT = Path(hostile.__file__).parents[3]
# Mutations a format; more are looked at by running the module with other seeds.
_COUNT = 1000
# A process holds some 80 MiB with all libraries; the files are of a few kilobytes.
_MOST_MIB = 400


def attack(kind: str, note: Path) -> subprocess.CompletedProcess[str]:
    """A process of its own: a decoder in C that crashes does not take the tests down."""
    command = [sys.executable, "-W", "error::RuntimeWarning", "-m", hostile.__name__, kind]
    return subprocess.run(
        [*command, str(_COUNT), "0", str(note)],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
def test_damaged_files_of_every_format_are_refused_and_nothing_else(tmp_path: Path):
    notes = {kind: tmp_path / kind for kind in hostile.FORMATS}
    with ThreadPoolExecutor(2) as pool:
        done = dict(zip(notes, pool.map(lambda kind: attack(kind, notes[kind]), notes)))
    for kind, result in done.items():
        seed = notes[kind].read_text().strip()
        assert result.returncode == 0, (
            f"{kind}: ended with {result.returncode} at seed {seed}: {result.stderr[-2000:]}"
        )
        told = json.loads(result.stdout.splitlines()[-1])
        outcomes = told["outcomes"]
        assert sum(outcomes.values()) == _COUNT, kind
        # Damage is noticed, and not everything is refused.
        assert outcomes.get("refused", 0) + outcomes.get("set aside", 0) > _COUNT / 4, kind
        assert outcomes["read"] > 0, kind
        assert told["peak_mib"] < _MOST_MIB, kind
