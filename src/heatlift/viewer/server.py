"""The viewer as a server: an address of its own, until it is stopped."""

from __future__ import annotations

import secrets
import signal
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import uvicorn

from heatlift.errors import HeatliftError, first_line
from heatlift.viewer.app import application
from heatlift.viewer.catalogue import Catalogue
from heatlift.viewer.guard import LOOPBACK, Guard, hosts_of

PORT = 8462
"""Where the viewer is unless told otherwise: a link to a view then holds from one start to the next."""

GRACE = 1
"""Seconds that open connections are given when the viewer is stopped."""


@dataclass(frozen=True)
class Server:
    """A viewer that has its address, and waits for `run`.

    Attributes:
        address: to be opened in a browser; with the token, where one is needed.
        catalogues: the runs.
    """

    address: str
    catalogues: Sequence[Catalogue]
    _socket: socket.socket
    _server: uvicorn.Server

    @classmethod
    def open(cls, runs: Sequence[Path], host: str = "127.0.0.1", port: int = PORT) -> Self:
        """Take the address and open the runs.

        Args:
            runs: their folders.
            host: an address of this machine; for another than the loopback a token is needed to look.
            port: 0 for any that is free.

        Raises:
            HeatliftError: a folder that is no run, or an address that can't be had.
        """
        taken = _listening(host, port)
        try:
            catalogues = [Catalogue(run) for run in runs]
        except BaseException:
            taken.close()
            raise
        for catalogue in catalogues:
            catalogue.watch()
        token = None if host in LOOPBACK else secrets.token_urlsafe(24)
        shown = socket.gethostname() if host in ("0.0.0.0", "::") else host
        shown = f"[{shown}]" if ":" in shown else shown
        address = f"http://{shown}:{taken.getsockname()[1]}/" + (f"?token={token}" if token else "")
        config = uvicorn.Config(
            Guard(application(catalogues), hosts_of(host), token),
            log_level="error",
            access_log=False,
            lifespan="off",
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=GRACE,
        )
        return cls(address, catalogues, taken, uvicorn.Server(config))

    def run(self) -> None:
        """Answer until somebody presses Ctrl-C, or another thread calls `stop`."""
        interrupted: Any = None
        if threading.current_thread() is threading.main_thread():
            # Ctrl-C is how a viewer ends, also before uvicorn listens for it, and when it passes it on.
            interrupted = signal.signal(signal.SIGINT, lambda number, frame: self.stop())
        try:
            self._server.run(sockets=[self._socket])
        finally:
            if interrupted is not None:
                signal.signal(signal.SIGINT, interrupted)
            self._socket.close()
            for catalogue in self.catalogues:
                catalogue.close()

    def stop(self) -> None:
        """Let `run` come to its end."""
        self._server.should_exit = True


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise HeatliftError(f"--host {host}: {first_line(error)}") from error
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(128)
    except OSError as error:
        found.close()
        raise HeatliftError(
            f"{host}:{port} can't be used ({error.strerror or first_line(error)}): "
            "give another --port, or 0 for any that is free"
        ) from error
    return found
