"""A report as Markdown, GitHub's flavour: the verdict, the facts, what the figures show, and every table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from heatlift.report.exports.escaping import escaped
from heatlift.report.exports.figures import plates_of
from heatlift.report.html import AnyPage
from heatlift.report.pages import Failure
from heatlift.report.plate import Plate
from heatlift.report.settings import Entry
from heatlift.report.tables import Table

HEADINGS = {
    "runs": "Each run by itself",
    "pairs": "On the same images",
    "changes": "What the heatmaps do to the label’s probability",
    "aurocs": "Whether they tell correct from wrong",
    "ranks": "Whether the runs order the heatmaps alike",
    "indicators": "What the indicators add to confidence",
    "disputed": "Where the networks contradict each other",
    "limits": "What cannot be compared",
    "baselines": "What the classifier says by itself",
    "methods": "All heatmaps",
    "explained": "Heatmaps in this report",
    "failures": "What failed",
    "certificates": "Certificates",
    "missed": "Not reached, not tried",
    "paper": "Beside the paper",
    "figures": "Figures of each factor",
    "agreement": "Agreement of trials",
    "wrong": "Wrong predictions",
}
"""Above a part of a page, by its name in the page; others are headed by that name itself."""


def markdown(page: AnyPage) -> str:
    """The page as text; names from the run are escaped, so none of them becomes markup."""
    parts = [f"# {escaped(page.title)}", escaped(page.verdict), _entries(page.facts)]
    titles = [f"- {escaped(plate.title)}" for plate in plates_of(page)]
    if titles:
        parts += ["## What the figures show", "\n".join(titles)]
    for name, part in _parts(page):
        body = _table(part) if isinstance(part, Table) else _listed(part)
        title = part.title if isinstance(part, Table) and part.title else HEADINGS.get(name, "")
        if body:
            parts += [f"## {escaped(title or name.replace('_', ' ').capitalize())}", body]
    parts.append("## Configuration")
    if page.command:
        fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", page.command)), default=0))
        parts.append(f"{fence}console\n{page.command}\n{fence}")
    for section in page.settings:
        parts += [f"### {escaped(section.title)}", _entries(section.entries)]
    parts.append(f"Made by heatlift {escaped(page.version)}.")
    return "\n\n".join(filter(None, parts)) + "\n"


def _parts(page: Any) -> Iterator[tuple[str, Any]]:
    """The tables, failures and lists of terms of a page by their names in it, in the page's order."""
    for field in fields(page):
        if field.name not in ("facts", "settings"):
            yield from _found(field.name, getattr(page, field.name))


def _found(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Table) or _is_list(value):
        yield name, value
    elif isinstance(value, tuple):
        for each in value:
            yield from _found(name, each)
    elif is_dataclass(value) and not isinstance(value, (type, Plate)):
        yield from _parts(value)


def _is_list(value: object) -> bool:
    return (
        isinstance(value, tuple) and bool(value) and all(isinstance(each, (Entry, Failure)) for each in value)
    )


def _listed(part: Sequence[Entry | Failure]) -> str:
    failures = [each for each in part if isinstance(each, Failure)]
    if not failures:
        return _entries([each for each in part if isinstance(each, Entry)])
    return _rows(
        ["Where", "Reason", "Images"],
        ["---", "---", "---:"],
        ([f.where, f.reason, f.images] for f in failures),
    )


def _entries(entries: Sequence[Entry]) -> str:
    return "\n".join(
        f"- **{escaped(entry.term)}**: {escaped(_with_aside(entry.text, entry.note))}" for entry in entries
    )


def _table(table: Table) -> str:
    rule = ["---:" if column.numeric else "---" for column in table.columns]
    rows = ([_with_aside(cell.text, cell.detail) for cell in row.cells] for row in table.rows)
    return f"{escaped(table.caption)}\n\n{_rows([column.title for column in table.columns], rule, rows)}"


def _with_aside(text: str, aside: str) -> str:
    """An interval behind its value, anything else in brackets."""
    return f"{text} {aside}" if aside.startswith("[") else f"{text} ({aside})" if aside else text


def _rows(head: Sequence[str], rule: Sequence[str], rows: Any) -> str:
    lines = [[escaped(text) for text in head], rule, *([escaped(text) for text in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
