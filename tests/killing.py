"""Real runs of the command line that end where a test wants it.

A template process imports what runs need, once, and forks: each run is a process of its own, killed by a
real signal, and begins at once.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import re
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL
from types import TracebackType
from typing import IO, Any, cast

from PIL import Image

IMPORTS = (
    "pyarrow.dataset",
    "pyarrow.pandas_compat",
    "matplotlib.style",
    "email.policy",
    "heatlift.run.audit",
    "heatlift.run.lift",
    "heatlift.run.undesirable",
    "heatlift.report.html",
    "heatlift.cli.progress",
    "networks",
    "matplotlib.backends.backend_agg",
    "torch._dynamo",
    "zarr.codecs",
    "distributed.deploy.local",
)


@dataclass(frozen=True)
class Ended:
    """A process that has ended.

    Attributes:
        status: its exit status; that of a signal is negative.
        said: what it printed, on both streams.
        seconds: that it took.
    """

    status: int
    said: str
    seconds: float

    @property
    def line(self) -> str:
        """What it said at last."""
        return self.said.strip().splitlines()[-1]


class Template:
    """Starts runs."""

    def __enter__(self) -> Template:
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
        self._began: dict[int, float] = {}
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            cast("IO[str]", stream).close()
        self._process.wait(600)

    def start(
        self, folder: Path, arguments: Sequence[str], count: Path | None = None, **sabotage: Any
    ) -> int:
        """Begin ``heatlift ARGUMENTS`` in a folder; the process's number, which is its session's too.

        Args:
            folder: where it works, with its run in ``run``.
            arguments: the command line.
            count: a file that gets the number of moments that `Sabotage` met, if the process gets to its end.
            sabotage: of `Sabotage`.
        """
        folder.mkdir(exist_ok=True)
        request = {"folder": str(folder), "arguments": list(arguments), "sabotage": sabotage}
        process = int(self._ask(request | {"count": None if count is None else str(count)}))
        self._began[process] = time.monotonic()
        return process

    def wait(self, process: int) -> Ended:
        """Wait for a process to end that `start` began."""
        answer = self._ask({"wait": process})
        return Ended(*answer, time.monotonic() - self._began.pop(process))

    def run(self, folder: Path, arguments: Sequence[str], **sabotage: Any) -> Ended:
        """Both."""
        return self.wait(self.start(folder, arguments, **sabotage))

    def _ask(self, request: dict[str, Any]) -> Any:
        asked, answers = (cast("IO[str]", each) for each in (self._process.stdin, self._process.stdout))
        asked.write(json.dumps(request) + "\n")
        asked.flush()
        return json.loads(answers.readline())


@dataclass
class Sabotage:
    """Does something at a chosen moment to the process it is in, of all at which that touches a run.

    Python's own auditing tells of each: a file that is opened to be written, renamed or removed, a folder
    made or removed; and, besides, data sent to the disk.

    Args:
        run: the run's folder.
        at: the moment's number among those that count, from 1.
        within: what the path must have in it for a moment to count.
        signal: that the process gets.
        fill: instead, a file of which the disk gets full.
        limit: instead, the bytes that no file that it writes may go beyond any more.
        jumps: whether all clocks jump by days back and forth between any two looks.
    """

    run: str
    at: int | None = None
    within: str = ""
    signal: int = SIGKILL
    fill: str | None = None
    limit: int | None = None
    jumps: bool = False

    def __post_init__(self) -> None:
        self.met, self._fsync = 0, os.fsync
        os.fsync = self._synced
        if self.jumps:
            draw = random.Random(5)
            time.time = time.monotonic = time.perf_counter = lambda: 1e6 * draw.random()
        sys.addaudithook(self._heard)

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            _, mode, flags = arguments
            if not (set(mode) & set("wxa+") if mode else flags & (os.O_WRONLY | os.O_RDWR)):
                return
        elif event not in ("os.rename", "os.remove", "os.mkdir", "os.rmdir"):
            return
        if isinstance(arguments[0], str | os.PathLike):
            path = os.path.abspath(arguments[0])
            if path.startswith(self.run) and self.within in path:
                self._touched()

    def _synced(self, descriptor: int) -> None:
        if not self.within:
            self._touched()
        self._fsync(descriptor)

    @staticmethod
    def unlimited() -> None:
        """Take the limit away."""
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def _touched(self) -> None:
        self.met += 1
        if self.met != self.at:
            return
        if self.fill is not None:
            fill(Path(self.fill))
        elif self.limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.limit, resource.RLIM_INFINITY))
        else:
            os.kill(os.getpid(), self.signal)


def fill(file: Path) -> None:
    """Write a file until there is no space left."""
    with suppress(OSError), file.open("wb", buffering=0) as filler:
        while True:
            filler.write(b"0" * 4096)


def at_work(dask_worker: Any) -> int:
    """How many tasks a worker is doing, also of runs that have ended."""
    return len(dask_worker.state.executing) + len(dask_worker.state.long_running)


def members(session: int) -> list[int]:
    """The processes of a session that are alive."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, _, _, its = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(its) == session and state != "Z":
                found.append(int(folder.name))
    return found


def differences(one: Path, other: Path) -> list[str]:
    """The files in which two runs' folders differ by a single bit, apart from the time that they took."""
    found = []
    files = [{path.relative_to(run) for path in run.rglob("*")} for run in (one, other)]
    found += [f"only in {one}: {path}" for path in files[0] - files[1]]
    found += [f"only in {other}: {path}" for path in files[1] - files[0]]
    for path in sorted(files[0] & files[1]):
        if (
            (one / path).is_file()
            and path.name != ".holder"
            and _timeless(one / path) != _timeless(other / path)
        ):
            found.append(str(path))
    return found


def _timeless(path: Path) -> bytes:
    content = path.read_bytes()
    if path.name in ("run.json", ".run.json", "summary.json"):
        record = json.loads(content)
        for part in (record, record.get("run", {})):
            for name in ("timing", "seconds", "images", "images_per_second"):
                part.pop(name, None)
        if path.name == ".run.json":
            del record["status"]  # it is not up to date until the run is started again
        return json.dumps(record).encode()
    if path.suffix == ".html":
        return re.sub(rb"<dt>(seconds|images|images per second)</dt><dd>[^<]+</dd>\n", b"", content)
    return content


def _template() -> None:
    """Answer requests, one a line, until there are no more."""
    import torch

    torch.set_num_threads(1)
    for name in IMPORTS:
        importlib.import_module(name)
    Image.init()
    pipes: dict[int, int] = {}
    for line in sys.stdin:
        request = json.loads(line)
        answer: Any
        if "wait" in request:
            process = request["wait"]
            with open(pipes.pop(process), errors="replace") as said:
                text = said.read()
            answer = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), text
        else:
            reading, writing = os.pipe()
            answer = os.fork()
            if not answer:
                _run(writing, **request)
            os.close(writing)
            pipes[answer] = reading
        print(json.dumps(answer), flush=True)


def _run(said: int, folder: str, arguments: list[str], count: str | None, sabotage: Any) -> None:
    """In a process of its own: the real command."""
    from heatlift.cli import main

    os.setsid()
    os.chdir(folder)
    for stream, descriptor in ((os.open(os.devnull, os.O_RDONLY), 0), (said, 1), (said, 2)):
        os.dup2(stream, descriptor)
    os.close(said)
    sabotage = Sabotage(os.path.abspath("run"), **sabotage)
    try:
        main(arguments)
    except SystemExit as end:
        if count is not None:
            Path(count).write_text(str(sabotage.met))
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(end.code or 0))  # to take all of torch apart takes longer than these runs


if __name__ == "__main__":
    _template()
