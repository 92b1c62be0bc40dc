"""A report on undesirable pixels as plain data: words, numbers and figures' contents, in the page's order."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from heatlift.report.facts import change, fact
from heatlift.report.pages import Failure, command, subject
from heatlift.report.plate import Plate
from heatlift.report.settings import Entry, Section, sections
from heatlift.report.summary import mapping
from heatlift.report.tables import Table
from heatlift.report.undesirable.examples import Gallery, read_gallery
from heatlift.report.undesirable.outcomes import Outcome, read_outcomes
from heatlift.report.undesirable.plates import (
    agreement_plate,
    control_plate,
    probability_plate,
    second_plate,
)
from heatlift.report.undesirable.summary import FactorSummary, Undesirable, read_undesirable
from heatlift.report.undesirable.tables import agreement_table, figures_table, paper_table, wrong_table
from heatlift.wording import class_name, clean

REFERENCES = {
    "blur": "the same pixels of the blurred image",
    "mean": "the image’s mean colour",
    "local_mean": "the mean colour around them",
}
"""What takes a pixel's place."""

TITLES = {
    "improve": "Undesirable pixels",
    "delete": "Pixels that a class rests on",
    "preserve": "Pixels that a class can do without",
}


@dataclass(frozen=True)
class UndesirablePage:
    """Everything that a report on undesirable pixels prints."""

    template: ClassVar[str] = "undesirable.html.jinja"

    title: str
    verdict: str
    facts: tuple[Entry, ...]
    lead: tuple[Plate, ...]
    gallery: Gallery
    stepped: bool
    others: tuple[Plate, ...]
    paper: Table | None
    figures: Table | None
    agreement: Table | None
    agreement_plate: Plate | None
    seconds: tuple[Plate, ...]
    wrong: Table | None
    failures: tuple[Failure, ...]
    game: str
    factors: tuple[str, ...]
    target: str
    reference: str
    trials: int
    second: str
    command: str
    settings: tuple[Section, ...]
    version: str


def build_undesirable_page(run: Path) -> UndesirablePage:
    """Read a finished search for undesirable pixels and lay out its report.

    Raises:
        HeatliftError: the folder is not a finished run, or a file in it cannot be read.
    """
    found, outcomes = read_undesirable(run), read_outcomes(run)
    gallery = read_gallery(run, outcomes, found.classes, falls=found.game == "delete")
    places = {kept.image: f"#{kept.identity}" for kept in gallery.images}
    first, *others = _clouds(found, outcomes) or (None,)
    controls = control_plate(found)
    seconds = (second_plate(found, factor, outcomes) for factor in found.factors)
    failures = mapping(found.counts.get("failures")).items()
    reference = str(found.section("config").get("reference") or "blur")
    return UndesirablePage(
        title=f"{TITLES.get(found.game, TITLES['improve'])} of {subject(found)}",
        verdict=clean(found.verdict),
        facts=tuple(_facts(found)),
        lead=tuple(plate for plate in (first, controls) if plate is not None),
        gallery=gallery,
        stepped=any(kept.steps for kept in gallery.images),
        others=tuple(plate for plate in others if plate is not None),
        paper=paper_table(found),
        figures=figures_table(found),
        agreement=agreement_table(found),
        agreement_plate=agreement_plate(found),
        seconds=tuple(plate for plate in seconds if plate is not None),
        wrong=wrong_table(outcomes, places, found.classes) if found.target == "label" else None,
        failures=tuple(Failure("no mask", clean(reason), f"{int(n):,}") for reason, n in sorted(failures)),
        game=found.game,
        factors=tuple(factor.factor for factor in found.factors),
        target=_target(found),
        reference=REFERENCES.get(reference, clean(reference)),
        trials=found.trials,
        second=found.second if found.verified else "",
        command=command(found),
        settings=sections(found),
        version=clean(found.run.get("version") or ""),
    )


def _clouds(found: Undesirable, outcomes: list[Outcome]) -> tuple[Plate, ...]:
    plates = (probability_plate(factor, outcomes, found.trials) for factor in found.factors)
    return tuple(plate for plate in plates if plate is not None)


def _target(found: Undesirable) -> str:
    """Which class the masks are about."""
    if isinstance(found.target, int):
        which = f"{class_name(found.target, found.classes)}, for every image"
    elif found.target == "label":
        which = "the image’s label"
    else:
        which = "the one predicted before"
    does = {"delete": "lowered", "preserve": "kept"}.get(found.game, "raised")
    return f"The class whose probability is {does}: {which}."


def _facts(found: Undesirable) -> list[Entry]:
    facts: list[Entry | None] = [
        Entry("Images", f"{found.count('ok'):,}", found.among),
    ]
    shown = [factor for factor in found.factors if factor.n]
    for factor in shown[:1]:
        facts += _figures(found, factor, f", {factor.name}" if len(shown) > 1 else "")
    return [known for known in facts if known is not None]


def _figures(found: Undesirable, factor: FactorSummary, whose: str) -> list[Entry | None]:
    return [
        change(f"Probability{whose}", factor.figure("p_before"), factor.figure("p_after")),
        fact(f"φ, %{whose}", factor.figure("phi")),
        fact(f"Area{whose}", factor.figure("area"), 4),
        fact(f"Turned right{whose}", factor.figure("turned_right"), 2),
        change(
            f"On {found.second}{whose}", factor.figure("p_verify_before"), factor.figure("p_verify_after")
        ),
    ]
