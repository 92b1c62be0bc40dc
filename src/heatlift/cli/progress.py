"""How far a run is: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from heatlift.run.work import Progress

SECONDS_BETWEEN_LINES = 10.0

WITHOUT_UNIT = ("finding a batch size", "looking for the weights")
"""Steps that count something else than the rest."""


@contextmanager
def shown(unit: str = "images") -> Iterator[Progress]:
    """A progress display for the time of the block, on standard error; ``unit`` is what is counted."""
    if not sys.stderr.isatty():
        yield _lines(unit)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def update(done: int, total: int, step: str) -> None:
            bar.update(task, completed=done, total=total, description=step)

        yield update


def _lines(unit: str) -> Progress:
    """A line when the step changes, and one every few seconds while it lasts."""
    last_step, last_line, last_time = "", "", 0.0

    def update(done: int, total: int, step: str) -> None:
        nonlocal last_step, last_line, last_time
        now = time.monotonic()
        of = "" if not unit or any(words in step for words in WITHOUT_UNIT) else f" {unit}"
        line = f"{step}: {done}/{total}{of}"
        due = step != last_step or now - last_time > SECONDS_BETWEEN_LINES or done == total
        if due and line != last_line:
            print(line, file=sys.stderr, flush=True)
            last_step, last_line, last_time = step, line, now

    return update
