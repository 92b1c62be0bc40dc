"""The report as plain data: words, formatted numbers and figures' contents, in the order of the page."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import ClassVar

from heatlift.report import findings, plates
from heatlift.report.added_plates import added_plate
from heatlift.report.distributions import Distribution, read_distributions
from heatlift.report.heatmaps import Example, read_examples
from heatlift.report.plate import Plate
from heatlift.report.plates import ScoresOf
from heatlift.report.questions import Question, questions
from heatlift.report.risk_plates import side_risk
from heatlift.report.settings import Entry, Section, explained, sections
from heatlift.report.summary import Audit, Finished, MethodSummary, read_audit
from heatlift.report.tables import Table, methods_table
from heatlift.report.wording import bounds_text, listing, value_text
from heatlift.wording import clean, shorten


@dataclass(frozen=True)
class Choice:
    """One heatmap's figures, of which the reader chooses, and its name in the list."""

    identity: str
    name: str
    control: bool
    chosen: bool
    verdict: str
    plates: tuple[Plate, ...]


@dataclass(frozen=True)
class Failure:
    """What has no figures, why, and how many images that concerns; a refused method concerns all."""

    where: str
    reason: str
    images: str


@dataclass(frozen=True)
class Page:
    """Everything that the report prints."""

    template: ClassVar[str] = "audit.html.jinja"

    title: str
    verdict: str
    labelled: bool
    facts: tuple[Entry, ...]
    lead: tuple[Plate, ...]
    questions: tuple[Question, ...]
    examples: tuple[Example, ...]
    choices: tuple[Choice, ...]
    methods: Table
    failures: tuple[Failure, ...]
    explained: tuple[Entry, ...]
    command: str
    settings: tuple[Section, ...]
    version: str


def build_page(run: Path) -> Page:
    """Read a finished run and lay out its report.

    Raises:
        HeatliftError: the folder is not a finished run, or a file in it cannot be read.
    """
    audit = read_audit(run)
    scores, confidence = read_distributions(run, audit.scale)
    lead = _lead(audit, scores, confidence)
    return Page(
        title=f"Heatmaps of {subject(audit)}",
        verdict=clean(audit.verdict),
        labelled=audit.count("labelled") > 0,
        facts=_facts(audit),
        lead=lead,
        questions=questions(audit, scores, frozenset(plate.identity for plate in lead)),
        examples=read_examples(run, audit.classes),
        choices=_choices(audit, scores),
        methods=methods_table(audit),
        failures=tuple(_failures(audit)),
        explained=explained(audit),
        command=command(audit),
        settings=sections(audit),
        version=clean(audit.run.get("version") or ""),
    )


def subject(run: Finished) -> str:
    """What a run is about: which classifier, on which images."""
    model, data = run.section("model"), run.section("data")
    spec, name = clean(model.get("spec") or "a classifier"), clean(model.get("name") or "")
    also = f" ({shorten(name, 40)})" if name and name not in spec else ""
    folder = _folder(PurePath(str(data.get("path") or "")))
    return f"{shorten(spec, 60)}{also} on {shorten(folder, 60)}"


def command(run: Finished) -> str:
    """The command line that the run was started with."""
    return shlex.join(clean(part) for part in run.run.get("command") or ())


def _folder(path: PurePath) -> str:
    """The folder's name; with its parent's where it only says which part of the data it is."""
    if path.name.lower() in {"test", "train", "val", "valid", "validation", "images", "data"}:
        return "/".join(path.parts[-2:]).replace("//", "/")
    return path.name or "unnamed images"


def _facts(audit: Audit) -> tuple[Entry, ...]:
    facts = [Entry("Images", f"{audit.count('images'):,}", audit.note)]
    if audit.count("labelled"):
        facts += [
            Entry("Accuracy", value_text(audit.accuracy, 2), bounds_text(audit.accuracy, 2)),
            Entry("Correct", f"{audit.count('correct'):,}"),
            Entry("Wrong", f"{audit.count('wrong'):,}"),
        ]
    else:
        facts.append(Entry("Labels", "none"))
    return (*facts, Entry("Failed", f"{audit.count('failed'):,}"))


def _lead(audit: Audit, scores: ScoresOf, confidence: Distribution | None) -> tuple[Plate, ...]:
    """The first screen's two figures; without labels there is no correct and wrong to compare."""
    first = _most_telling(audit, scores)
    if first is None or not audit.count("labelled"):
        return ()
    answer = added_plate(audit) or plates.auroc_plate(audit)
    closer = plates.closer_plate(audit, first, scores[first.name, first.operation], confidence)
    return (answer, closer) if answer is not None else (closer,)


def _choices(audit: Audit, scores: ScoresOf) -> tuple[Choice, ...]:
    first = _most_telling(audit, scores)
    found = [m for m in audit.shown if (m.name, m.operation) in scores]
    drawn = plates.drawable(sorted(found, key=plates.rank), plates.MOST_APART)
    if first is not None and first not in drawn:
        drawn.insert(0, first)
    named = {f"choice-{place}-{_slug(findings.name_of(m))}": m for place, m in enumerate(drawn)}
    return tuple(
        Choice(
            identity=identity,
            name=clean(findings.name_of(method)),
            control=method.control,
            chosen=method is first,
            verdict=clean(method.verdict),
            plates=tuple(_closely(audit, method, scores, identity)),
        )
        for identity, method in named.items()
    )


def _slug(name: str) -> str:
    """A heatmap's name as part of a file's name, and of an identifier in the page.

    >>> _slug("captum:IntegratedGradients/add x0.3")
    'captum-IntegratedGradients-add-x0-3'
    """
    return re.sub(r"[^A-Za-z0-9]+", "-", name)[:60].strip("-")


def _closely(audit: Audit, method: MethodSummary, scores: ScoresOf, identity: str) -> Iterator[Plate]:
    yield from plates.side_plates(audit, method, scores[method.name, method.operation], identity)
    risk = side_risk(audit, method, identity)
    if risk is not None:
        yield risk


def _most_telling(audit: Audit, scores: ScoresOf) -> MethodSummary | None:
    """The heatmap with the largest gap; the first one where no gap is known."""

    def order(method: MethodSummary) -> tuple[bool, float]:
        return not method.control, method.gap.value if method.gap is not None else float("-inf")

    drawn = (m for m in audit.shown if (m.name, m.operation) in scores)
    return max(drawn, key=order, default=None)


def _failures(audit: Audit) -> Iterable[Failure]:
    """Images first; then what only some heatmaps failed at, alike ones together; then refused methods."""
    images = {str(reason): int(n) for reason, n in (audit.counts.get("failures") or {}).items()}
    for reason, n in sorted(images.items()):
        yield Failure("the image itself", clean(reason), f"{n:,}")
    alike: dict[tuple[str, int], list[str]] = {}
    for method in audit.methods:
        for reason, n in method.failures.items():
            if n != images.get(reason):
                alike.setdefault((reason, n), []).append(clean(findings.name_of(method)))
    for one in audit.indicators:
        for reason, n in one.failures.items():
            if n != images.get(reason):
                alike.setdefault((reason, n), []).append(clean(one.name))
    for (reason, n), names in sorted(alike.items()):
        yield Failure(listing(names), clean(reason), f"{n:,}")
    for name, reason in audit.section("refused").items():
        yield Failure(clean(name), f"refused: {clean(reason)}", "all")
