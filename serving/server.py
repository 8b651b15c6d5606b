"""The embedded server: both protocols over one model, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import uvicorn

from serving import grpc_api, ports, rest_api
from serving.announcement import Announcement
from serving.service import Service
from serving.versions import Versions


@dataclasses.dataclass(frozen=True)
class Options:
    """How a model is served.

    Attributes:
      name: of the model.
      models: folder of versions, or of one SavedModel.
      host: address to listen at; the default is seen by this machine only.
      grpc_port: 0 for any that is free.
      rest_port: 0 for any that is free.
      poll: seconds between two looks for a newer version; 0 looks once.
      workers: requests that are answered at a time.
      limit: bytes that a message may have.
      grace: seconds that requests have to end when the server does.
    """

    name: str
    models: Path
    host: str = "127.0.0.1"
    grpc_port: int = 8500
    rest_port: int = 8501
    poll: float = 1.0
    workers: int = 2
    limit: int = 256 * 2**20
    grace: float = 10.0


@contextlib.contextmanager
def running(options: Options) -> Iterator[Announcement]:
    """Loads the newest version and serves it while the context lasts, in threads of its own.

    Yields:
      Where it listens; both ports answer.

    Raises:
      ServingError: no version loads, or a port is taken.
    """
    ports.check(options.host, options.grpc_port, options.rest_port)
    # Whoever trains on the same GPU needs memory too.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    versions = Versions(options.name, options.models, options.limit)
    number = versions.load_first()
    service = Service(versions, options.workers)
    stop = threading.Event()
    listener = _Listener(service, options)
    watcher = threading.Thread(
        target=versions.watch, args=(options.poll, stop), name="watch", daemon=True
    )
    with contextlib.ExitStack() as stack:
        stack.callback(service.close)
        grpc_port, rest_port = listener.start()
        stack.callback(listener.stop)
        if options.poll > 0:
            watcher.start()
        stack.callback(stop.set)
        yield Announcement.of(options.host, grpc_port, rest_port, number)


def told_to_end() -> threading.Event:
    """An event that SIGINT and SIGTERM set; the second of them ends the process at once."""
    ended = threading.Event()

    def end(number: int, _: object) -> None:
        if ended.is_set():
            os._exit(128 + number)  # whatever is being answered is given up
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    return ended


class _Listener:
    """The event loop of both protocols, in a thread of its own."""

    def __init__(self, service: Service, options: Options) -> None:
        self._service, self._options = service, options
        self._started = threading.Event()
        self._error: BaseException | None = None
        self._ports = (0, 0)
        self._thread = threading.Thread(target=self._run, name="listen", daemon=True)

    def start(self) -> tuple[int, int]:
        """Returns the gRPC and the REST port when both answer."""
        self._thread.start()
        self._started.wait()
        if self._error is not None:
            raise self._error
        return self._ports

    def stop(self) -> None:
        """Takes no more requests, and waits for those that are being answered."""
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._error = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        options = self._options
        self._loop, self._ending = asyncio.get_running_loop(), asyncio.Event()
        address = f"[{options.host}]" if ":" in options.host else options.host
        with ports.bound(options.host, options.rest_port) as listening:
            made, grpc_port = grpc_api.server(
                self._service, f"{address}:{options.grpc_port}", options.limit
            )
            await made.start()
            web = uvicorn.Server(
                uvicorn.Config(
                    rest_api.app(self._service, options.limit),
                    lifespan="off",
                    log_config=None,
                    access_log=False,
                    timeout_graceful_shutdown=int(options.grace),
                )
            )
            answering = asyncio.create_task(web.serve([listening]))
            while not web.started and not answering.done():
                await asyncio.sleep(0.01)
            self._ports = (grpc_port, listening.getsockname()[1])
            self._started.set()
            await self._ending.wait()
            web.should_exit = True
            await asyncio.gather(made.stop(options.grace), answering)
