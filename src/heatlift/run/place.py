"""Where a run is: a folder of this machine, or object storage that it is worked on in a copy of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from heatlift.errors import HeatliftError
from heatlift.run.lease import leased
from heatlift.run.mirror import RECORD, temporary_mirror
from heatlift.storage import below, local_or_url, opened, speaking

if TYPE_CHECKING:
    from heatlift.run.work import Engine, Job, Shards, Work


@dataclass(frozen=True)
class Place:
    """Where a run is worked on.

    Attributes:
        folder: of this machine.
        engine: does shards and sees to it that they get where the run is.
        url: where that is, if it is not the folder.
    """

    folder: Path
    engine: Engine
    url: str | None = None

    def shown(self, path: Path) -> str:
        """A file of the run as its user knows it."""
        return str(path) if self.url is None else f"{self.url}/{path.relative_to(self.folder).as_posix()}"


@contextmanager
def placed(out: str | Path, engine: Engine) -> Iterator[Place]:
    """A run's place, to work on it; what is in the folder at the end is what is stored.

    Raises:
        HeatliftError: somebody else works on it, or the storage can't be reached; of whatever happens
            inside, the lines that name the folder name its address.
    """
    run = local_or_url(out)
    if isinstance(run, Path):
        yield Place(run, engine)
        return
    # Here, since it needs torch, for which what only reads runs should not wait.
    from heatlift.run.dask_engine import DaskEngine

    there = below(run)
    if there and RECORD not in there:
        raise HeatliftError(f"{run} is not empty and not the folder of a run: choose another --out")
    with leased(run) as held:
        mirror = temporary_mirror(run)
        elsewhere = replace(engine, url=run) if isinstance(engine, DaskEngine) else engine

        def stored(
            folder: Path, shards: Shards, work: Work, job: Job, finished: Callable[[int], None]
        ) -> None:
            def kept(images: int) -> None:
                held.check()
                finished(images)
                mirror.push_if_due()

            held.check()
            mirror.push()  # workers elsewhere look for the run
            elsewhere(folder, shards, work, job, kept)
            mirror.pull()  # what they have done

        def leave() -> None:
            held.check()
            mirror.push()

        try:
            mirror.pull()
            try:
                yield Place(mirror.folder, stored, run)
            except BaseException:
                # What is finished is kept however it ends; if that fails, too, the first error is said.
                with suppress(HeatliftError, FileNotFoundError):
                    leave()
                raise
            leave()
        except HeatliftError as error:
            raise HeatliftError(str(error).replace(str(mirror.folder), run)) from error


def fetched(run: str | Path) -> Path:
    """A run to be read: its folder, or a copy of what is stored, which ends with this process.

    Raises:
        HeatliftError: the storage can't be reached, or has nothing there.
    """
    place = local_or_url(run)
    if isinstance(place, Path):
        return place
    if RECORD not in below(place):
        raise HeatliftError(f"{place} is not the folder of a run: it has no {RECORD}")
    mirror = temporary_mirror(place)
    mirror.pull()
    return mirror.folder


def put_back(written: Path, folder: Path, run: str | Path) -> str:
    """Where something is that was written into what `fetched` gave: it is stored where the run is.

    Args:
        written: a file or a folder in it.
        folder: what `fetched` gave.
        run: what it was given.

    Raises:
        HeatliftError: the storage can't be written to.
    """
    place = local_or_url(run)
    if isinstance(place, Path):
        return str(written)
    files, root = opened(place)
    new = [path for path in (written, *written.rglob("*")) if path.is_file()]
    with speaking("write to", place):
        files.put(
            [str(path) for path in new], [f"{root}/{path.relative_to(folder).as_posix()}" for path in new]
        )
    return f"{place}/{written.relative_to(folder).as_posix()}"
