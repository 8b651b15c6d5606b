"""The ports that a server listens at."""

from __future__ import annotations

import errno
import socket

from serving.errors import Code, ServingError


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes any that is free.

    Raises:
      ServingError: the port is taken, or not one of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        made = socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            words = "is taken: choose another port, or 0 for any that is free"
        else:
            # Python adds what it attempted.
            words = f"cannot be listened at: {str(error).split('] ')[-1].split(' (')[0]}"
        raise ServingError(Code.UNAVAILABLE, f"{host}:{port} {words}.") from None
    # Connections inherit it. asyncio sets it only where a socket names its protocol, and an answer
    # in two parts would wait 40 ms for the acknowledgement of the first.
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def check(host: str, *ports: int) -> None:
    """Tries ports, before anything that takes long is done for them.

    Raises:
      ServingError: as `bound`.
    """
    for port in ports:
        bound(host, port).close()
