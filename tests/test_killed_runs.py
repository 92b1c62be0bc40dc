"""Real runs that are killed, gone on with by the same command, and equal to undisturbed ones bit for bit.

At least 24 kills by three signals, each asserted where it happens: of each of three kinds of run 4 at writes
and 2 at a moment, 4 beside workers or of them, and 2 of a command with workers of its own.

``HEATLIFT_KILLS=all`` kills at every single write instead of a sample of them, which takes long.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM
from typing import Any

import pytest
from distributed import Client

from heatlift.run.dask_engine import LIVES
from heatlift.run.lock import holder
from killing import Ended, Sabotage, Template, at_work, differences, members
from pictures import class_folders
from workers import cluster_of_two

pytestmark = pytest.mark.slow

KINDS: Mapping[str, Sequence[str]] = {
    "audit": ("--methods", "saliency", "--controls", "zero,shuffled", "--operations", "add"),
    "lift": ("--max-steps", "3", "--include", "all", "--keep-steps", "2"),
    "undesirable": ("--steps", "2", "--keep-steps", "2"),
}

ALL = os.environ.get("HEATLIFT_KILLS") == "all"

ATTEMPTS = 20
"""To kill a run while it is at something, which on a busy machine may be over by then."""

DURING: Mapping[int, int] = {SIGKILL: -SIGKILL, SIGTERM: 128 + SIGTERM, SIGINT: 128 + SIGINT}
"""Exit status after each signal, while a run is going on."""


@dataclass(frozen=True)
class Runs:
    """Starts runs, and has undisturbed ones."""

    template: Template
    data: Path
    folder: Path

    def command(self, kind: str, *engine: str) -> list[str]:
        return [kind, str(self.data), "--model", "networks:small", "--out", "run", *KINDS[kind], *engine]

    def start(self, name: str, kind: str, *engine: str, **sabotage: Any) -> int:
        return self.template.start(self.folder / name, self.command(kind, *engine), **sabotage)

    def run(self, name: str, kind: str, *engine: str, **sabotage: Any) -> Ended:
        return self.template.wait(self.start(name, kind, *engine, **sabotage))

    def killed(self, ended: Ended, signal: int) -> bool:
        """Whether a run was killed, and then left as it should be; else it is done."""
        assert "Traceback" not in ended.said
        if "report:" in ended.said:
            return False
        assert ended.status == DURING[signal], ended.said
        if signal != SIGKILL:
            assert ended.line.startswith("heatlift: stopped; what is finished is kept")
        return True

    def undisturbed(self, kind: str) -> Path:
        """A run that nothing happened to."""
        if not (self.folder / kind).exists():
            ended = self.run(kind, kind, count=self.folder / f"{kind}.count")
            assert ended.status == 0, ended.said
            (self.folder / f"{kind}.seconds").write_text(str(ended.seconds))
        return self.folder / kind / "run"

    def writes(self, kind: str) -> int:
        """How many moments to be killed at a run has."""
        self.undisturbed(kind)
        return int((self.folder / f"{kind}.count").read_text())

    def same(self, name: str, kind: str) -> None:
        assert differences(self.undisturbed(kind), self.folder / name / "run") == []


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    folder = tmp_path_factory.mktemp("killed")
    data = class_folders(folder / "data", each=12)
    (data / "bee" / "torn.png").write_bytes(b"\x89PNG\r\n")
    with Template() as template:
        yield Runs(template, data, folder)


@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_random_writes(runs: Runs, kind: str) -> None:
    """Between two parts of a shard, before a file gets its name, while a heatmap is put in its place, ..."""
    name, draw = f"writes {kind}", random.Random(f"writes of {kind}")
    writes = runs.writes(kind)
    # Fewer than a shard has of them brings no shard to its end.
    for signal in (SIGKILL, SIGTERM, SIGKILL, SIGINT):
        at = draw.randrange(1, int(0.6 * writes))
        if not runs.killed(runs.run(name, kind, at=at, signal=signal), signal):
            # It had fewer left, so that another one begins.
            runs.same(name, kind)
            shutil.rmtree(runs.folder / name)
            assert runs.killed(runs.run(name, kind, at=at, signal=signal), signal)
    assert runs.run(name, kind).status == 0
    runs.same(name, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_random_moments(runs: Runs, kind: str) -> None:
    name, draw = f"moments {kind}", random.Random(f"moments of {kind}")
    runs.undisturbed(kind)
    seconds = float((runs.folder / f"{kind}.seconds").read_text())
    for signal in (SIGKILL, draw.choice([SIGTERM, SIGINT])):
        moment = draw.uniform(0, 0.7) * seconds
        assert any(killed_after(runs, name, kind, moment / 2**n, signal) for n in range(ATTEMPTS))
    assert runs.run(name, kind).status == 0
    runs.same(name, kind)


def killed_after(runs: Runs, name: str, kind: str, seconds: float, signal: int) -> bool:
    """Whether a run was killed, so long after it had begun; else it was done before, and is gone."""
    process = runs.start(name, kind)
    _until(lambda: holder(runs.folder / name / "run").startswith(f"process {process} "))
    time.sleep(seconds)
    os.kill(process, signal)
    killed = runs.killed(runs.template.wait(process), signal)
    if not killed:
        shutil.rmtree(runs.folder / name)
    return killed


@pytest.mark.skipif(not ALL, reason="takes many minutes: HEATLIFT_KILLS=all")
@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_every_write(runs: Runs, kind: str) -> None:
    writes = runs.writes(kind)
    for at in range(1, writes + 1):
        name = f"write {at} of {kind}"
        assert runs.killed(runs.run(name, kind, at=at), SIGKILL), f"{at} of {writes}"
        ended = runs.run(name, kind)
        assert ended.status == 0, f"{at} of {writes}: {ended.said}"
        runs.same(name, kind)
        shutil.rmtree(runs.folder / name)
    print(f"{kind}: killed at each of {writes} writes")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with cluster_of_two({"distributed.scheduler.allowed-failures": LIVES - 1}) as started:
        yield started


def test_a_worker_killed_while_it_writes(runs: Runs, cluster: Any) -> None:
    """What a run begun here has left is done by two workers, of which one is killed."""
    kind = "undesirable"  # writes whatever a lift does, and more
    name, at = "worker", random.Random(f"worker of {kind}").randrange(1, 12)
    assert runs.killed(runs.run(name, kind, at=12), SIGKILL)
    with Client(cluster) as client:
        client.wait_for_workers(2, timeout=600)
        workers = dict(client.run(os.getpid))
        address, process = next(iter(workers.items()))
        client.run(Sabotage, str(runs.folder / name / "run"), at, workers=[address])
        ended = runs.run(name, kind, "--engine", "dask", "--scheduler", cluster.scheduler_address)
        assert ended.status == 0, ended.said
        assert "Traceback" not in ended.said
        assert process not in client.run(os.getpid).values(), "the worker was not killed"
    runs.same(name, kind)


def test_no_worker_stays_behind(runs: Runs, cluster: Any) -> None:
    """The whole command killed with workers of its own, and by Ctrl-C, which a terminal sends to them all."""
    name, kind = "orphans", "lift"
    assert runs.killed(runs.run(name, kind, at=12), SIGKILL)
    ways: Mapping[int, Callable[[int, int], None]] = {SIGKILL: os.kill, SIGINT: os.killpg}
    for signal, send in ways.items():
        assert any(killed_with_its_worker(runs, name, kind, signal, send) for _ in range(ATTEMPTS))
    ended = runs.run(name, kind, "--engine", "dask", "--scheduler", cluster.scheduler_address)
    assert ended.status == 0, ended.said
    runs.same(name, kind)


def killed_with_its_worker(
    runs: Runs, name: str, kind: str, signal: int, send: Callable[[int, int], None]
) -> bool:
    """Whether a run was killed with a worker that was writing; else the worker was through before."""
    for part in (runs.folder / name).glob("run/*/*part-*"):
        part.unlink()
    process = runs.start(name, kind, "--engine", "dask", "--workers", "1")
    _until(lambda: any((runs.folder / name).glob("run/*/*part-*")))
    alive = members(process)
    send(process, signal)
    _until(lambda: not members(process))
    return runs.killed(runs.template.wait(process), signal) and len(alive) >= 2


def _until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 600
    while not true():
        assert time.monotonic() < end, "not within ten minutes"
        time.sleep(0.02)


def test_a_worker_whose_disk_is_full(runs: Runs, cluster: Any) -> None:
    """Said by the process that hands out, in a line; with room again it goes on."""
    name, kind = "full", "audit"
    assert runs.killed(runs.run(name, kind, at=12), SIGKILL)
    run, engine = runs.folder / name / "run", ("--engine", "dask", "--scheduler", cluster.scheduler_address)
    with Client(cluster) as client:
        client.wait_for_workers(2, timeout=600)
        client.run(Sabotage, str(run), at=1, within="scores", limit=64)
        ended = runs.run(name, kind, *engine)
        # Else the other worker meets its limit after it is lifted.
        _until(lambda: not any(client.run(at_work).values()))
        client.run(Sabotage.unlimited)
        assert ended.status == 2, ended.said
        assert "Traceback" not in ended.said
        assert "File too large" in ended.line
        assert f"{run}/" in ended.line
        assert ended.line.endswith("the same command goes on from here")
    assert runs.run(name, kind, *engine).status == 0
    runs.same(name, kind)
