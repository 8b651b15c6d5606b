"""Ingests a data set in processes that kill themselves, each after another step on the disk.

Run as a script: it prints a JSON line a death, of what the next, undisturbed process left.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import components.image_example_gen.executor  # noqa: F401 - loaded once, not by each process
from components.image_example_gen.ingest_config import IngestConfig
from components.image_example_gen.spans import Request, Span
from tests.components.image_example_gen import conftest, test_span_records

_STEPS = ("open", "os.rename", "os.remove", "os.mkdir")


def main(root: Path, work: Path, deaths: int) -> None:
    """Ingests `root/plain`, and the two spans in `root/spans`."""
    for name, ingest in (("plain", plain), ("spans", spans)):
        told = run(ingest, root / name, work / "whole", work / "steps")
        assert told == 0, f"the undisturbed run ended with {told}"
        steps = int((work / "steps").read_text())
        whole = contents(work / "whole")
        shutil.rmtree(work / "whole")
        for moment in sorted(random.Random(0).sample(range(1, steps), deaths)):
            told = run(ingest, root / name, work / "records", work / "steps", moment)
            counted = sorted(str(file) for file in (work / "records").rglob("counts.json"))
            again = run(ingest, root / name, work / "records", work / "steps")
            found = contents(work / "records")
            differ = sorted(
                file for file in whole.keys() | found.keys() if whole.get(file) != found.get(file)
            )
            shutil.rmtree(work / "records")
            report = {"of": name, "moment": moment, "steps": steps, "died": told, "again": again}
            print(json.dumps({**report, "counted": len(counted), "differ": differ}), flush=True)


def plain(root: Path, folder: Path) -> None:
    """A data set with a bad file and a copy among the pixels."""
    options = IngestConfig(tile=16, bad_input_limit=0.5)
    split = {"train": ["t*"], "eval": ["e*"]}
    conftest.ingest(conftest.data_of(root, split=split), options, folder)


def spans(root: Path, folder: Path) -> None:
    """Two spans at once, with the evaluation set."""
    names = ("span-1", "span-2")
    request = Request(tuple(Span(number, name, "f") for number, name in enumerate(names, 1)))
    test_span_records.ingest(root, request, folder)


def run(ingest: Any, root: Path, folder: Path, steps: Path, last: int = 0) -> int:
    """Ingests in a process of its own; its exit code, or minus the signal that killed it.

    Args:
      ingest: `plain` or `spans`.
      root: the data set.
      folder: where the records shall be.
      steps: file that gets the number of steps on the disk.
      last: of these, after which the process dies; 0 for none.
    """
    process = os.fork()
    if process:
        _, status = os.waitpid(process, 0)
        return os.waitstatus_to_exitcode(status)
    taken = 0

    def step(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal taken
        if event not in _STEPS or not str(arguments[0]).startswith(str(folder)):
            return
        if event == "open" and "r" in (arguments[1] or ""):
            return
        taken += 1
        if taken == last:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(step)
    code = 1
    try:
        ingest(root, folder)
        steps.write_text(str(taken))
        code = 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def contents(folder: Path) -> dict[str, str]:
    """A digest of each file, by its path."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file()
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
