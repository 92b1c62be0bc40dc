"""``heatlift report``: a run as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Where to write it. [RUN/report.html]")
    ] = None,
) -> None:
    """Write a run's report: one HTML file that opens without a network connection.

    Example: heatlift report runs/first --out first.html
    """
    from heatlift.report import write_report

    print(f"report: {write_report(run, out)}")
