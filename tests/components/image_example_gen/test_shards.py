from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

_FAULTS = """
import resource, sys
from pathlib import Path
from components.image_example_gen.config import DataConfig
from components.image_example_gen.ingest_config import IngestConfig
from components.image_example_gen.shards import Settings, Shard, write
from components.image_example_gen.sources import paired
from components.image_example_gen.splitting import Placed

top = Path(sys.argv[1])
data = DataConfig(path=top, channels=3, dtype="uint8", classes={{"a": [0], "b": [1]}})
(sample,) = paired.listing(data).samples
placed = (Placed(sample, "train", "g", ""),) * {images}
for name in ("first", "second"):  # of which the first imports
    shard = Shard(str(top / name / "Split-train" / "records"), "train", placed)
    Path(shard.path).parent.mkdir(parents=True)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    write(shard, Settings(data, IngestConfig(tile=512)))
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="page faults are counted by Linux, with glibc")
def test_the_memory_of_one_image_is_kept_for_the_next(tmp_path: Path) -> None:
    for name, shape in (("images", (512, 512, 3)), ("masks", (512, 512))):
        (tmp_path / name).mkdir()
        Image.fromarray(np.zeros(shape, np.uint8)).save(tmp_path / name / "a.png")
    images = 20
    command = [sys.executable, "-c", _FAULTS.format(images=images), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    # An image and its mask are 1 MiB, 256 pages; decoders and sums take as much again.
    assert int(done.stdout) < 50 * images
