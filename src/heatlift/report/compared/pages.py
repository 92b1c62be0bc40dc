"""The report of several audits as plain data: words, numbers and figures' contents, in the page's order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from heatlift import __version__
from heatlift.report.compared.indicators import indicators_table
from heatlift.report.compared.limits import differing_settings, limits
from heatlift.report.compared.plates import accuracy_plate, auroc_plates, change_plates
from heatlift.report.compared.runs import Beside, Side, read_beside
from heatlift.report.compared.tables import (
    aurocs_table,
    changes_table,
    disputed_table,
    pairs_table,
    ranks_table,
    runs_table,
)
from heatlift.report.compared.words import verdict
from heatlift.report.facts import fact
from heatlift.report.known import Known, known_figure
from heatlift.report.pages import command
from heatlift.report.plate import Plate
from heatlift.report.settings import Entry, Section, sections
from heatlift.report.tables import Table
from heatlift.report.wording import listing
from heatlift.statistics import Figure
from heatlift.wording import clean, shorten


@dataclass(frozen=True)
class ComparedPage:
    """Everything that the report of several audits prints."""

    template: ClassVar[str] = "compared.html.jinja"

    title: str
    verdict: str
    facts: tuple[Entry, ...]
    lead: tuple[Plate, ...]
    first: str
    others: tuple[str, ...]
    differing: str
    runs: Table
    pairs: Table | None
    changes: Table | None
    more_changes: tuple[Plate, ...]
    aurocs: Table | None
    auroc_plates: tuple[Plate, ...]
    indicators: Table | None
    ranks: Table | None
    disputed: Table | None
    limits: tuple[Entry, ...]
    command: str
    settings: tuple[Section, ...]
    version: str


def build_compared_page(folders: Sequence[Path]) -> ComparedPage:
    """Read finished audits of the same images and lay out their report.

    Raises:
        HeatliftError: as of `heatlift.report.compared.runs.read_beside`.
    """
    beside = read_beside(folders)
    names = [side.name for side in beside.sides]
    accuracy, changes = accuracy_plate(beside), change_plates(beside)
    return ComparedPage(
        title=f"{shorten(listing(map(_titled, beside.sides)), 120)}, audited on {_images(beside)}",
        verdict=clean(verdict(beside)),
        facts=tuple(_facts(beside)),
        lead=(*(() if accuracy is None else (accuracy,)), *changes[:1]),
        first=names[0],
        others=tuple(names[1:]),
        differing=listing(differing_settings(beside) or [""]),
        runs=runs_table(beside),
        pairs=pairs_table(beside),
        changes=changes_table(beside),
        more_changes=changes[1:],
        aurocs=aurocs_table(beside),
        auroc_plates=auroc_plates(beside),
        indicators=indicators_table(beside),
        ranks=ranks_table(beside),
        disputed=disputed_table(beside),
        limits=limits(beside),
        command="\n".join(filter(None, (command(side.audit) for side in beside.sides))),
        settings=tuple(_settings(beside)),
        version=__version__,
    )


def _titled(side: Side) -> str:
    """A run and its network, where its folder isn't called after it."""
    spec = shorten(clean(side.audit.section("model").get("spec") or ""), 40)
    return side.name if not spec or spec in side.name else f"{side.name} ({spec})"


def _images(beside: Beside) -> str:
    shared = len(beside.paired.names)
    if all(side.shared.images == shared for side in beside.sides):
        return "the same images"
    return f"{shared:,} shared image{'' if shared == 1 else 's'}"


def _facts(beside: Beside) -> Iterator[Entry]:
    first, *others = beside.sides
    yield Entry("Images in every run", f"{len(beside.paired.names):,}")
    if beside.accuracies:
        accuracies = [beside.accuracies[0].first, *(found.other for found in beside.accuracies)]
        for side, accuracy in zip(beside.sides, accuracies, strict=True):
            yield from _fact(f"Accuracy, {side.short}", _known(accuracy), 2)
    if len(others) > 1:
        return  # the table of pairs has the rest
    for other, found in zip(others, beside.accuracies, strict=False):
        turned = found.turned
        yield from _fact(f"{other.short} minus {first.short}", _known(found.difference), 3)
        yield Entry(
            f"Only {other.short} right",
            f"{turned.turned_right:,}",
            f"only {first.short}: {turned.turned_wrong:,}",
        )
    yield from _fact("Same prediction", _known(beside.same[0]), 2)


def _fact(term: str, known: Known | None, decimals: int) -> Iterator[Entry]:
    entry = fact(term, known, decimals)
    if entry is not None:
        yield entry


def _settings(beside: Beside) -> Iterator[Section]:
    for side in beside.sides:
        for section in sections(side.audit):
            yield Section(f"{side.name}: {section.title[:1].lower()}{section.title[1:]}", section.entries)


def _known(figure: Figure) -> Known | None:
    return known_figure(figure.as_json())
