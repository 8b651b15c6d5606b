"""Runs one node of the DAG in a container, by TFX's portable launcher against ML Metadata.

    python -m kubeflow.entrypoint --node Trainer --run RUN --dag DIGEST --config JSON \
        --data_path /overtile/data --train_steps 2000 ...

Drivers, resolvers, importers, conditions and the cache are TFX's own and work as they do in
`overtile run`. Kubeflow sees of a node that it ends with 0, or not.

The command carries the configuration, not the node's compiled form (TFX's IR), and the DAG is built
from it again. So a pipeline's parameters are settings like any others, which are checked, and reach
every place where the DAG puts them; a command has 3 kB, where Kubernetes and Argo have limits; and
it can be read. The price is that image and package must agree on the DAG: each command carries a
digest of it, and a node refuses to run as part of another.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import hashlib
import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from components.errors import InputError
from kubeflow.parameters import PARAMETERS, overrides
from pipeline import config as configuration
from pipeline import failures
from pipeline.config import PipelineConfig
from pipeline.progress import Display

if TYPE_CHECKING:
    from pipeline.nodes import Dag
    from pipeline.outcome import Outcome

LOG = "OVERTILE_LOG"
"""The environment variable with the file that standard error goes to, where it goes to one."""

_DIGEST_LENGTH = 12


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a node; KFP calls this in the container.

    Standard output has only what is said to people, and the error's sentence last.

    Returns:
      The exit code: 0 done or from cache, 1 failed, 2 bad input, 130 told to stop.
    """
    from rich.console import Console

    from pipeline import summary

    # Of C++ only warnings; everything else of the libraries comes on standard error.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    faulthandler.enable()
    # A pod that is deleted is told so by SIGTERM.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    given = parse(arguments)
    # What libraries print goes where they log.
    screen = open(os.dup(1), "w", buffering=1, errors="replace")  # noqa: SIM115
    os.dup2(2, 1)
    console = Console(file=screen, force_terminal=False)
    with Display(console, [given.node]) as display:
        try:
            display.begin(given.node, "loading TensorFlow and TFX")
            done = run(configured(given), given.node, given.run, given.dag)
            display.end(done.state)
        except (Exception, KeyboardInterrupt) as error:
            traceback.print_exc()
            display.end("failed")
            log = os.environ.get(LOG, "above")
            failure = failures.explain(error, given.node, Path(given.workspace), log)
            bad = [{"file": entry.file, "reason": entry.reason} for entry in failure.set_aside]
            summary.show_set_aside(console, bad)
            console.print(failure.sentence, markup=False, highlight=False, soft_wrap=True)
            return failure.exit_code
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads a command's arguments: `node`, `run`, `dag`, `config` and the parameters."""
    parser = argparse.ArgumentParser(prog="python -m kubeflow.entrypoint", allow_abbrev=False)
    parser.add_argument("--node", required=True, help="the node's id in the DAG")
    parser.add_argument("--run", required=True, help="id that all nodes of a run share")
    parser.add_argument("--dag", required=True, help="digest of the DAG that was compiled")
    parser.add_argument("--config", required=True, help="the configuration, as JSON")
    for name, parameter in PARAMETERS.items():
        help = f"in place of {parameter.key}"
        parser.add_argument(f"--{name}", required=True, type=parameter.type, help=help)
    return parser.parse_args(arguments)


def configured(given: argparse.Namespace) -> PipelineConfig:
    """The configuration with the parameters in place.

    Raises:
      InputError: a value is not allowed.
    """
    values = {name: getattr(given, name) for name in PARAMETERS}
    return configuration.parse(
        json.loads(given.config), Path.cwd(), "the package", overrides(values)
    )


def dag(config: PipelineConfig, run: str) -> Dag:
    """The DAG, compiled for a run, on the ML Metadata that the configuration names."""
    from kubeflow import metadata
    from pipeline import graph, nodes

    connection = metadata.connection(config.kubeflow.metadata, config.workspace)
    return nodes.Dag(graph.build_pipeline(config), run, connection)


def digest(upstream: Mapping[str, Sequence[str]]) -> str:
    """Tells one DAG from another: by its nodes, each with those that it comes after."""
    edges = json.dumps({name: sorted(before) for name, before in upstream.items()}, sort_keys=True)
    return hashlib.sha256(edges.encode()).hexdigest()[:_DIGEST_LENGTH]


def run(config: PipelineConfig, node: str, run: str, expected: str) -> Outcome:
    """Runs a node, or answers from the cache, or for an attempt before that ended well.

    Args:
      config: complete.
      node: its id.
      run: the id that all nodes of this run share.
      expected: the digest of the DAG that the package was compiled from.

    Raises:
      InputError: the image builds another DAG, or Kubeflow has not put in the run's id.
      ConnectionError: ML Metadata does not answer.
      Exception: whatever the node raises.
    """
    if "{{" in run:
        raise InputError(
            f"Kubeflow left {run} in place of the run's id: the cluster needs Kubeflow Pipelines "
            "2.4 or newer."
        )
    compiled = dag(config, run)
    if digest(compiled.upstream) != expected:
        raise InputError(
            "This image's Overtile builds another DAG than the package was compiled from: "
            "make the image again from the version that compiles, and compile again."
        )
    with _reached(config.kubeflow.metadata):
        compiled.forget_unfinished(node)
    compiled.push_again_if_gone()
    return compiled.outcome(node) or compiled.launch(node)


@contextlib.contextmanager
def _reached(address: str) -> Iterator[None]:
    """Says what does not answer: of a wrong password the library says nothing at all."""
    from ml_metadata import errors

    try:
        yield
    except (errors.UnavailableError, RuntimeError) as error:
        raise ConnectionError(
            f"ML Metadata does not answer at {address}; check kubeflow.metadata, and for a "
            "database the password in kubeflow.metadata_secret"
        ) from error


if __name__ == "__main__":
    sys.exit(main())
