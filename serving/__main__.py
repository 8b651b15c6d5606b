"""`python -m serving`: serves one model until it is told to end."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import warnings
from pathlib import Path

# Seconds between two looks whether the parent still is.
_GLANCE = 1.0


def main() -> int:
    """Exit codes: 0 it was told to end; 1 it could not start; 130 stopped while it loaded."""
    parser = argparse.ArgumentParser(
        prog="python -m serving", description="Serves a model as TensorFlow Serving does."
    )
    parser.add_argument("--name", required=True, help="of the model")
    parser.add_argument("--models", required=True, type=Path, help="folder of its versions")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--grpc-port", type=int, default=8500, help="0 for any that is free")
    parser.add_argument("--rest-port", type=int, default=8501, help="0 for any that is free")
    parser.add_argument("--announce", type=Path, help="file to write when it answers")
    parser.add_argument("--poll", type=float, default=1.0, help="seconds between looks, 0: none")
    parser.add_argument("--workers", type=int, default=2, help="requests answered at a time")
    parser.add_argument("--limit", type=int, default=256 * 2**20, help="bytes of a message")
    parser.add_argument("--parent", type=int, help="process to end with, if it is the parent")
    arguments = vars(parser.parse_args())
    announce, parent = arguments.pop("announce"), arguments.pop("parent")

    # Standard error is for the sentence that says why it could not start.
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stdout
    )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.simplefilter("ignore")
    from serving import ports
    from serving.errors import ServingError

    try:
        ports.check(arguments["host"], arguments["grpc_port"], arguments["rest_port"])
        from serving import server

        with server.running(server.Options(**arguments)) as announcement:
            ended = server.told_to_end()  # first: whoever is told of the server may end it
            if announce:
                announcement.write(announce)
            while not ended.wait(_GLANCE if parent else None):
                if os.getppid() != parent:
                    break
    except ServingError as error:
        print(error.message, file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # while it was loading
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
