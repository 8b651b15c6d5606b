"""Trials side by side, in processes of this machine.

KerasTuner's own way of doing it: a chief, here a server in the process of the Tuner component, has
the oracle; workers ask it over gRPC for trials. KerasTuner leaves to others to start the workers,
to notice that one has died, and to end; that is here.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.errors import InputError

progress = logging.getLogger("overtile.progress")

_LOOK_EVERY = 0.2
_PATIENCE = 10.0
_MOST_LONELY = 2


def run(oracle: Any, spec: Path, count: int, wanted: int | None) -> None:
    """Tries until the oracle has enough, or gives up.

    Args:
      oracle: one of `trainer.oracles`.
      spec: file that tells a worker what it searches; in the search's folder.
      count: of workers.
      wanted: how many trials there will be; None where nobody knows.

    Raises:
      InputError: workers die without having begun a trial.
    """
    if wanted is not None:
        count = min(count, wanted - len(oracle.end_order))
    if count < 1:
        return
    from trainer import strategy  # late, as all that loads TensorFlow

    shares = split(count, _gpus(), strategy.cores())
    lonely = 0
    with _served(oracle) as port:
        workers: dict[int, _Worker] = {}
        try:
            for number in range(count):
                workers[number] = _Worker(number, spec, port, shares[number])
            while workers and oracle.gave_up is None:
                time.sleep(_LOOK_EVERY)
                _tell(list(workers.values()), wanted)
                for number, worker in list(workers.items()):
                    code = worker.process.poll()
                    if code is None:
                        continue
                    workers.pop(number).end()
                    if code == 0:  # there was nothing left to do
                        continue
                    why = _death(code)
                    trial = oracle.give_back(worker.name, why)
                    lonely += trial is None
                    if lonely > _MOST_LONELY:
                        raise InputError(
                            f"The processes of tune.parallel end before they try anything ({why}); "
                            "see the log, or set tune.parallel to 1."
                        )
                    note = f"A worker of the search ended: {why}."
                    progress.warning(note, extra={"note": note})
                    workers[number] = _Worker(number, spec, port, shares[number])
        finally:
            for worker in workers.values():
                worker.process.terminate()
            for worker in workers.values():
                worker.end()


def split(count: int, gpus: Sequence[str], cores: int) -> list[dict[str, str]]:
    """The environment of each worker: its GPU, and its share of the cores.

    Args:
      count: of workers.
      gpus: names, as CUDA_VISIBLE_DEVICES has them; more workers than GPUs share them.
      cores: of this machine or container.
    """
    threads = str(max(1, cores // count))
    common = dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"), threads)
    if not gpus:
        return [common] * count
    if count > len(gpus):
        common["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
    return [{**common, "CUDA_VISIBLE_DEVICES": gpus[n % len(gpus)]} for n in range(count)]


def work(spec: Path) -> None:
    """What a worker's process does; KerasTuner's variables say where the chief is."""
    # Standard output is for the chief, whatever else the libraries print there.
    told = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the chief hears Ctrl-C, and ends its workers
    threading.Thread(target=_end_with_the_chief, daemon=True).start()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    progress.addHandler(_Messages(told))
    progress.setLevel(logging.INFO)
    progress.propagate = False

    values = json.loads(spec.read_text())

    from trainer.tune import Search

    Search.from_json(values, spec.parent).search()


@dataclasses.dataclass
class _Worker:
    """A process that asks for trials and trains them."""

    number: int
    spec: Path
    port: int
    share: Mapping[str, str]

    def __post_init__(self) -> None:
        self.state: dict[str, Any] = {}
        environment = {
            **os.environ,
            **self.share,
            "KERASTUNER_TUNER_ID": self.name,
            "KERASTUNER_ORACLE_IP": "127.0.0.1",
            "KERASTUNER_ORACLE_PORT": str(self.port),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "trainer.parallel", str(self.spec)],
            stdin=subprocess.PIPE,  # it closes when this process ends, however that ends
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def name(self) -> str:
        return f"worker-{self.number}"

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            message = json.loads(line)
            if "note" in message:
                progress.info(message["note"], extra=message)
            else:
                self.state = message

    def end(self) -> None:
        try:
            self.process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self._reader.join()
        with self.process:  # closes the pipes
            pass


class _Messages(logging.Handler):
    """Sends what is told of progress to the chief, a JSON object a line."""

    _FIELDS = ("what", "done", "total", "detail", "note")

    def __init__(self, stream: Any) -> None:
        super().__init__()
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        message = {name: getattr(record, name) for name in self._FIELDS if hasattr(record, name)}
        print(json.dumps(message), file=self._stream)


def _tell(workers: Sequence[_Worker], wanted: int | None) -> None:
    """One line for all: how far the trials that are under way are together."""
    states = [worker.state for worker in workers if worker.state]
    if not states:
        return
    done, total = (sum(state[name] for state in states) for name in ("done", "total"))
    # Each says "trial 3 of 8, step" or "trial 3, step".
    numbers = sorted({int(re.findall(r"\d+", state["what"])[0]) for state in states})
    names = f"trial{'s' if len(numbers) > 1 else ''} {' and '.join(map(str, numbers))}"
    what = f"{names} of {wanted}, step" if wanted else f"{names}, step"
    detail = "; ".join(state["detail"] for state in states)
    told = {"what": what, "done": done, "total": total, "detail": detail}
    progress.info("%s %d of %d, %s", what, done, total, detail, extra=told)


@contextmanager
def _served(oracle: Any) -> Iterator[int]:
    """KerasTuner's chief on a free port of this machine."""
    import grpc
    from keras_tuner.src import protos
    from keras_tuner.src.distribute.oracle_chief import OracleServicer

    # One thread, as in KerasTuner: oracles are not made for several.
    server = grpc.server(ThreadPoolExecutor(max_workers=1))
    protos.get_service_grpc().add_OracleServicer_to_server(OracleServicer(oracle), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(grace=None).wait()


def _gpus() -> list[str]:
    import tensorflow as tf

    there = tf.config.list_physical_devices("GPU")
    named = [one for one in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if one]
    return (named or [str(number) for number in range(len(there))])[: len(there)]


def _death(code: int) -> str:
    if code == -signal.SIGKILL:
        return "it was killed, most likely because memory ran out"
    if code < 0:
        return f"it was ended by {signal.Signals(-code).name}"
    return f"it ended with code {code}"


def _end_with_the_chief() -> None:
    sys.stdin.read()  # until the chief closes it, or is no more
    os._exit(1)


if __name__ == "__main__":
    work(Path(sys.argv[1]))
