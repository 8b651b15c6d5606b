"""ML Metadata's gRPC service over an SQLite file, as KFP's metadata-grpc is over MySQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from ml_metadata import errors, metadata_store
from ml_metadata.proto import metadata_store_service_pb2 as messages
from ml_metadata.proto import metadata_store_service_pb2_grpc as service
from tfx.orchestration.metadata import sqlite_metadata_connection_config

_CODES = {status.value[0]: status for status in grpc.StatusCode}


@contextmanager
def serve(file: Path) -> Iterator[str]:
    """Yields the address."""
    store = metadata_store.MetadataStore(sqlite_metadata_connection_config(str(file)))

    def method(name: str, response: type) -> Callable[[Any, Any, Any], Any]:
        def call(servicer: Any, request: Any, context: Any) -> Any:
            del servicer
            answer = response()
            try:
                # The stubs' messages are the C++ library's own.
                store._call_method(name, request, answer)
            except errors.StatusError as error:
                context.abort(_CODES[error.error_code], str(error))
            return answer

        return call

    described = messages.DESCRIPTOR.services_by_name["MetadataStoreService"].methods
    calls = {
        one.name: method(one.name, getattr(messages, one.output_type.name)) for one in described
    }
    servicer = type("Servicer", (service.MetadataStoreServiceServicer,), calls)
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
    service.add_MetadataStoreServiceServicer_to_server(servicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"grpc://127.0.0.1:{port}"
    finally:
        server.stop(None).wait()
