"""A report in other forms than a page: its figures as rows, records, text and drawings."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from heatlift.errors import HeatliftError
from heatlift.report.compared.pages import build_compared_page
from heatlift.report.compared.runs import read_beside
from heatlift.report.exports.figures import write_figures
from heatlift.report.exports.markdown import markdown
from heatlift.report.exports.records import compared_document, document
from heatlift.report.exports.rows import as_csv, compared_rows, run_rows
from heatlift.report.html import AnyPage, build, render, write_text
from heatlift.report.targets import file_target, folder_target
from heatlift.report.wording import listing


def export(runs: Sequence[Path], form: str = "html", out: Path | None = None) -> Path:
    """Write the report of one finished run, or of several audits, in one of `FORMATS`; gives its path.

    One run's report goes to its own folder unless ``out`` names another place; several runs need ``out``.

    Raises:
        HeatliftError: the form is not known, a run cannot be reported, several cannot be compared, or ``out``
            is missing or taken.
    """
    if form not in FORMATS:
        raise HeatliftError(f"'{form}' is not a format of reports: choose from {listing(FORMATS)}")
    if not runs:
        raise HeatliftError("no run to report: give the folder of a finished run")
    if len(runs) > 1 and out is None:
        raise HeatliftError(
            f"a report of {len(runs)} runs belongs to none of them: say where to write it, such as "
            f"--out {'compared' if form == 'figures' else f'compared.{form}'}"
        )
    written = out.suffix.lower().removeprefix(".") if out is not None else ""
    if form != written and written in TEXTS and form in TEXTS:
        raise HeatliftError(f"--out {out} with --format {form}: give --format {written}, or another ending")
    target = out if out is not None else runs[0] / ("figures" if form == "figures" else f"report.{form}")
    if form == "figures":
        return write_figures(_page(runs), folder_target(target))
    return write_text(file_target(target, runs), TEXTS[form](runs))


def _page(runs: Sequence[Path]) -> AnyPage:
    return build(runs[0]) if len(runs) == 1 else build_compared_page(runs)


def _html(runs: Sequence[Path]) -> str:
    return render(_page(runs))


def _csv(runs: Sequence[Path]) -> str:
    if len(runs) == 1:
        return as_csv(run_rows(runs[0]))
    return as_csv(compared_rows(runs, read_beside(runs)))


def _json(runs: Sequence[Path]) -> str:
    found = document(runs[0]) if len(runs) == 1 else compared_document(runs, read_beside(runs))
    return json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _markdown(runs: Sequence[Path]) -> str:
    return markdown(_page(runs))


TEXTS: Mapping[str, Callable[[Sequence[Path]], str]] = {
    "html": _html,
    "csv": _csv,
    "json": _json,
    "md": _markdown,
}

FORMATS = (*TEXTS, "figures")
"""What a report can be written as: files of text, or a folder of figures."""
