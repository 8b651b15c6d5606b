"""How long opening a file of S3 takes, with one client for all and with Beam's own for each.

    python benchmarks/object_store.py [--files 50]

Runs a server that speaks S3's protocol on this machine, puts files of 150 kB on it, and reads them
all by Beam's filesystem as it is and as Overtile mends it (`components/remote/clients.py`). Prints
the seconds a file of both, and their ratio, as one JSON line. On a real store the way there comes
on top.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from components.places import place
from components.remote import clients
from components.remote.stores import filesystems
from tests.object_stores import BUCKET, serve

_BYTES = 150_000


def read_all(urls: list[str]) -> float:
    """Seconds a file."""
    began = time.perf_counter()
    for url in urls:
        with filesystems().open(url, compression_type="uncompressed") as file:
            file.read()
    return (time.perf_counter() - began) / len(urls)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--files", type=int, default=50)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, serve("s3", Path(folder) / "log") as store:
        os.environ.update(store.environment)
        urls = [f"s3://{BUCKET}/{number}" for number in range(options.files)]
        # Beam's own first: what Overtile mends stays so for the process.
        content = os.urandom(_BYTES)
        for url in urls:
            with filesystems().create(url, compression_type="uncompressed") as file:
                file.write(content)
        beam = read_all(urls)
        clients.reuse_s3()
        assert place(urls[0]).read_bytes() == content
        ours = read_all(urls)
    told = {"benchmark": "object_store", "beam": round(beam, 4), "overtile": round(ours, 4)}
    print(json.dumps({**told, "ratio": round(beam / ours, 1)}))


if __name__ == "__main__":
    main()
