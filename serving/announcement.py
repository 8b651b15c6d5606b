"""Where a server listens, told to whoever started it."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

# Listened at by all addresses of a host; asked by this one.
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


@dataclasses.dataclass(frozen=True)
class Announcement:
    """A server that answers.

    Attributes:
      pid: of its process.
      grpc: host and port.
      rest: URL, without a path.
      version: of the model, when it started.
    """

    pid: int
    grpc: str
    rest: str
    version: int

    @classmethod
    def of(cls, host: str, grpc_port: int, rest_port: int, version: int) -> Announcement:
        """Of this process, at addresses that can be asked."""
        host = _ANY.get(host, host)
        host = f"[{host}]" if ":" in host else host
        return cls(os.getpid(), f"{host}:{grpc_port}", f"http://{host}:{rest_port}", version)

    def to_json(self) -> str:
        """One line."""
        return json.dumps(dataclasses.asdict(self))

    def write(self, path: Path) -> None:
        """Writes it as JSON, at once: who waits for the file finds it whole."""
        incoming = path.with_name(f".{path.name}.{self.pid}")
        incoming.write_text(self.to_json() + "\n")
        os.replace(incoming, path)

    @classmethod
    def read(cls, path: Path) -> Announcement:
        """What `write` wrote."""
        return cls(**json.loads(path.read_text()))
