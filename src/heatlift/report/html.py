"""The page as one self-contained HTML file: no request leaves it, and nothing from the run is trusted."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import ClassVar, Protocol

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from heatlift.errors import HeatliftError
from heatlift.report.compared.pages import build_compared_page
from heatlift.report.figures import draw
from heatlift.report.lift.pages import build_lift_page
from heatlift.report.pages import build_page
from heatlift.report.plate import Plate
from heatlift.report.settings import Entry, Section
from heatlift.report.targets import file_target
from heatlift.report.undesirable.pages import build_undesirable_page
from heatlift.report.wording import listing
from heatlift.run.record import read_record
from heatlift.run.whole import whole
from heatlift.wording import clean


class AnyPage(Protocol):
    """A page as plain data, of any kind of run; its template knows what it has."""

    template: ClassVar[str]

    @property
    def title(self) -> str: ...
    @property
    def verdict(self) -> str: ...
    @property
    def facts(self) -> tuple[Entry, ...]: ...
    @property
    def command(self) -> str: ...
    @property
    def settings(self) -> tuple[Section, ...]: ...
    @property
    def version(self) -> str: ...


BUILDERS: Mapping[str, Callable[[Path], AnyPage]] = {
    "audit": build_page,
    "lift": build_lift_page,
    "undesirable": build_undesirable_page,
}
"""How the page of each kind of run is laid out."""


def write_report(run: Path, out: Path | None = None) -> Path:
    """Write the report of a finished run to ``out`` (RUN/report.html by default) and return its path.

    Folders on the way to ``out`` are created. The file appears under its name only when it is complete, and
    nothing is created for a run that cannot be reported.

    Raises:
        HeatliftError: ``run`` is not a finished run, or ``out`` is a folder or a part of a run.
    """
    target = file_target(out if out is not None else run / "report.html", [run])
    return write_text(target, render(build(run)))


def write_comparison(runs: Sequence[Path], out: Path) -> Path:
    """Write one report of several finished audits of the same images to ``out`` and return its path.

    Everything is compared to the first of them.

    Raises:
        HeatliftError: the runs cannot be compared, or ``out`` is a folder or belongs to one of them.
    """
    target = file_target(out, runs)
    return write_text(target, render(build_compared_page(runs)))


def build(run: Path) -> AnyPage:
    """The page of a finished run of any kind, as plain data.

    Raises:
        HeatliftError: ``run`` is not a finished run, or one of a kind that is not known.
    """
    kind = str(read_record(run).get("kind") or "audit")
    if kind not in BUILDERS:
        raise HeatliftError(
            f"{run} is a run of another kind, '{clean(kind)}': this heatlift reports {listing(BUILDERS)}"
        )
    return BUILDERS[kind](run)


def write_text(target: Path, text: str) -> Path:
    """Write a file, whole or not at all, and the folders on the way to it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole(target) as file:
        file.write(text)
    return target


def render(page: AnyPage) -> str:
    """The page as HTML; the same page gives the same text, byte for byte."""
    script = _asset("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    return (
        _environment()
        .get_template(page.template)
        .render(
            page=page,
            policy=f"{policy}; base-uri 'none'; form-action 'none'",
            style=Markup(_asset("report.css")),
            script=Markup(script),
        )
    )


def _drawn(plate: Plate) -> Markup:
    return Markup(draw(plate))


def _breakable(text: str) -> Markup:
    """The escaped text, with places where a long name may break: after ``_ / : . @``."""
    return Markup(re.sub(r"([_/:.@])(?=\w)", r"\1<wbr>", str(escape(text))))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("heatlift.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"draw": _drawn, "breakable": _breakable}
    return environment


def _asset(name: str) -> str:
    return (files("heatlift.report") / "templates" / name).read_text(encoding="utf-8")
