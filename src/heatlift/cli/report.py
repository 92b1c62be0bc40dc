"""``heatlift report``: a run, or several audits beside each other, as one HTML file or in another form."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...", help="The folder of a finished run, or of several audits to compare."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="PATH",
            help="Where to write it; folders on the way are created. Needed for several runs. "
            "[RUN/report.FORMAT, RUN/figures]",
        ),
    ] = None,
    form: Annotated[
        str, typer.Option("--format", metavar="html|csv|json|md|figures", help="What to write.")
    ] = "html",
) -> None:
    """Write a run's report: one HTML file that opens without a network connection.

    Several audits of the same images are compared, each to the first: heatlift report runs/a runs/b --out
    both.html. --format csv, json and md write the figures as rows, as one document and as a text; --format
    figures writes every figure as SVG and PDF into a folder.

    Example: heatlift report runs/first --format figures --out figures/first
    """
    from heatlift.report import export
    from heatlift.run.place import fetched, put_back

    folders = [fetched(run) for run in runs]
    written = export(folders, form, out)
    shown = written if out is not None else put_back(written, folders[0], runs[0])
    print(f"{'report' if form == 'html' else form}: {shown}")
