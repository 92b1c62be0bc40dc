"""A lift's report as plain data: words, formatted numbers and figures' contents, in the order of the page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from heatlift.report.facts import change, fact
from heatlift.report.lift.examples import Evolution, read_evolutions
from heatlift.report.lift.outcomes import read_outcomes
from heatlift.report.lift.plates import lead_plates
from heatlift.report.lift.summary import Lifted, read_lift
from heatlift.report.lift.tables import certificates_table, missed_table
from heatlift.report.pages import Failure, command, subject
from heatlift.report.plate import Plate
from heatlift.report.settings import Entry, Section, sections
from heatlift.report.summary import mapping
from heatlift.report.tables import Table
from heatlift.wording import class_name, clean


@dataclass(frozen=True)
class LiftPage:
    """Everything that a lift's report prints."""

    template: ClassVar[str] = "lift.html.jinja"

    title: str
    verdict: str
    facts: tuple[Entry, ...]
    lead: tuple[Plate, ...]
    examples: tuple[Evolution, ...]
    multiplied: bool
    spotlight: bool
    second: str
    target: str
    certificates: Table | None
    missed: Table | None
    failures: tuple[Failure, ...]
    command: str
    settings: tuple[Section, ...]
    version: str


def build_lift_page(run: Path) -> LiftPage:
    """Read a finished lift and lay out its report.

    Raises:
        HeatliftError: the folder is not a finished run, or a file in it cannot be read.
    """
    lift, outcomes = read_lift(run), read_outcomes(run)
    operation = "multiply" if lift.method == "spotlight" else str(lift.section("config").get("operation"))
    failures = mapping(lift.counts.get("failures")).items()
    return LiftPage(
        title=f"Lifting {subject(lift)}",
        verdict=clean(lift.verdict),
        facts=tuple(_facts(lift)),
        lead=lead_plates(run, lift, outcomes),
        examples=read_evolutions(run, outcomes, operation, lift.classes),
        multiplied=operation == "multiply",
        spotlight=lift.method == "spotlight",
        second=lift.second if lift.verified else "",
        target=_target(lift),
        certificates=certificates_table(lift),
        missed=missed_table(outcomes, lift.classes),
        failures=tuple(Failure("not tried", clean(reason), f"{int(n):,}") for reason, n in sorted(failures)),
        command=command(lift),
        settings=sections(lift),
        version=clean(lift.run.get("version") or ""),
    )


def _target(lift: Lifted) -> str:
    """Which class was raised."""
    target = lift.section("config").get("target")
    if isinstance(target, int):
        which = f"{class_name(target, lift.classes)}, for every image"
    elif target == "predicted":
        which = "the one predicted before"
    else:
        which = "the image’s label, or where none is known the class predicted before"
    return f"The class whose score is raised: {which}."


def _facts(lift: Lifted) -> list[Entry]:
    reached = "Target predicted" if lift.target is None else f"Reached CO {lift.target:g}"
    facts = [
        Entry("Images tried", f"{lift.count('ok'):,}", lift.among),
        fact(reached, lift.figure("reached"), 2),
        fact("Median steps", lift.figure("steps"), 0),
        change("Probability", lift.figure("p_before"), lift.figure("p_after")),
        change(f"On {lift.second}", lift.figure("p_verify_before"), lift.figure("p_verify_after")),
        fact("Median CO score, clipped", lift.figure("co_clipped")),
    ]
    return [known for known in facts if known is not None]
