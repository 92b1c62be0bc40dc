"""A run in object storage belongs to one process at a time, for as long as it says so again and again."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from heatlift.errors import HeatliftError
from heatlift.storage import opened, speaking

NAME = ".lease.json"

RENEWED, OVER = 20, 120
"""Seconds after which a lease is renewed, and after which one that was not is another's to take."""

SETTLED = 2
"""Seconds in which whoever takes over a lease has written his own: the last one has it."""

UNABLE = (TypeError, ValueError, NotImplementedError)
"""What fsspec's file systems raise that can't write only where there is nothing."""

_MINE: set[str] = set()
"""Tokens of the leases that this process has."""


class Lease:
    """One process's lease of a run."""

    def __init__(self, url: str) -> None:
        self._url, self._token = url, uuid4().hex
        self._ended = threading.Event()

    def check(self) -> None:
        """That nobody else has taken the run meanwhile.

        Raises:
            HeatliftError: somebody has, since this process was not heard of for long; or the storage can't
                be reached.
        """
        there = _read(self._url)
        if there.get("token", self._token) != self._token:
            raise HeatliftError(
                f"{self._url} was taken over by {there.get('holder')}: "
                "what is finished is kept, and the other one goes on"
            )

    def take(self) -> None:
        """Write it.

        Raises:
            HeatliftError: another process has the run, or it can't be written to.
        """
        there = _read(self._url)
        if there and not _is_over(self._url, there):
            raise _busy(self._url, there)
        if there or not self._written_first():
            self._write()
            # Others may have found the same old one, or nothing, where a storage can't tell who is first.
            time.sleep(SETTLED)
            self.check()
        _MINE.add(self._token)
        threading.Thread(target=self._renew, name="heatlift-lease", daemon=True).start()

    def give_back(self) -> None:
        """End it, so that the next process need not wait."""
        self._ended.set()
        _MINE.discard(self._token)
        with suppress(HeatliftError, FileNotFoundError):  # it is over in two minutes anyway
            if _read(self._url).get("token") == self._token:
                files, path = opened(f"{self._url}/{NAME}")
                with speaking("write to", self._url):
                    files.rm_file(path)

    def _renew(self) -> None:
        while not self._ended.wait(RENEWED):
            with suppress(HeatliftError):  # a storage out of reach now may be back the next time
                if _read(self._url).get("token", self._token) != self._token:
                    return
                self._write()

    def _written_first(self) -> bool:
        """Write it where there is none; False if the storage knows no such writing."""
        try:
            self._write(mode="create")
        except FileExistsError:
            raise _busy(self._url, _read(self._url)) from None
        except UNABLE:
            return False
        return True

    def _write(self, **how: str) -> None:
        content = {"token": self._token, "holder": f"process {os.getpid()} on {socket.gethostname()}"}
        files, path = opened(f"{self._url}/{NAME}")
        try:
            with speaking("write to", self._url, *((FileExistsError, *UNABLE) if how else ())):
                files.pipe_file(path, json.dumps(content | _process(os.getpid())).encode(), **how)
        except FileNotFoundError as error:
            raise HeatliftError(f"can't write to {self._url}: no such bucket") from error


@contextmanager
def leased(url: str) -> Iterator[Lease]:
    """Have a run in object storage for oneself.

    Raises:
        HeatliftError: another process has it, or it can't be written to.
    """
    lease = Lease(url)
    lease.take()
    try:
        yield lease
    finally:
        lease.give_back()


def token(url: str) -> str:
    """Tells the lease that a run is under from every other one.

    Raises:
        HeatliftError: the storage can't be reached.
    """
    return str(_read(url).get("token"))


def _busy(url: str, there: dict[str, Any]) -> HeatliftError:
    return HeatliftError(
        f"{url} is being worked on by {there.get('holder', 'another process')}: wait for it, or stop it and "
        f"start again ({OVER} s after it was killed on another machine)"
    )


def _read(url: str) -> dict[str, Any]:
    files, path = opened(f"{url}/{NAME}")
    try:
        with speaking("read", url):
            found = json.loads(files.cat_file(path))
            return found if isinstance(found, dict) else {}
    except FileNotFoundError:
        return {}


def _is_over(url: str, there: dict[str, Any]) -> bool:
    """Whether who had it is gone: of this machine's processes that is known at once, else by silence."""
    if there.get("token") in _MINE:
        return False
    known = {key: there.get(key) for key in ("machine", "process", "since")}
    here = _process(os.getpid())
    ours = known["machine"] is not None and known["machine"] == here["machine"]
    gone = ours and (known == here or known != _process(known["process"]))
    return gone or _silent_for(url) > OVER


def _process(number: Any) -> dict[str, Any]:
    """What tells a process of any machine from all others; machine is None where that can't be known.

    Names of machines and numbers of processes alone do not: containers share them.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        machine = f"{boot} {os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return {"machine": None, "process": number, "since": None}
    try:
        # The name, in brackets, may have spaces; the 22nd field is the time at which it began.
        since = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        since = None
    return {"machine": machine, "process": number, "since": since}


def _silent_for(url: str) -> float:
    """Seconds since a lease was renewed, both ends by the storage's clock: machines' own differ."""
    files, path = opened(f"{url}/{NAME}")
    probe = f"{path}.{uuid4().hex}"
    with speaking("write to", url):
        files.pipe_file(probe, b"now")
        try:
            files.invalidate_cache()
            return float((files.modified(probe) - files.modified(path)).total_seconds())
        finally:
            files.rm_file(probe)
