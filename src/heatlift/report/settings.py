"""What a run was made with, as terms and texts: the report's last section."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from heatlift.report.summary import Audit, Finished
from heatlift.report.wording import count
from heatlift.wording import clean, shorten

LONGEST = 400
"""Characters of one setting; a list of a thousand class names is not for reading here."""


@dataclass(frozen=True)
class Entry:
    """A term with what there is to say about it."""

    term: str
    text: str
    note: str = ""


@dataclass(frozen=True)
class Section:
    """Entries under one heading."""

    title: str
    entries: tuple[Entry, ...]


def sections(run: Finished) -> tuple[Section, ...]:
    """Model, data, settings, throughput and versions, those that run.json has."""
    contents = {
        "Model": run.section("model"),
        **{f"Lifted along: {about.get('name')}": about for about in run.run.get("also") or ()},
        "Second network": run.section("verify"),
        "Data": run.section("data"),
        "Settings": run.section("config"),
        "Throughput": run.timing,
        "Versions": {"heatlift": run.run.get("version"), **run.section("packages")},
    }
    found = (Section(title, tuple(_entries(content))) for title, content in contents.items())
    return tuple(section for section in found if section.entries)


def explained(audit: Audit) -> tuple[Entry, ...]:
    """The heatmaps and controls by their full names, with their sources or what they show."""
    described = {**audit.section("methods"), **audit.section("controls")}
    return tuple(
        Entry(clean(name), clean(about.get("title") or ""), _source(about))
        for name, about in described.items()
        if isinstance(about, Mapping)
    )


def _source(about: Mapping[str, Any]) -> str:
    layer = f"layer {about['layer']}" if about.get("layer") else ""
    return clean("; ".join(filter(None, (about.get("source"), about.get("shows"), layer))))


def _entries(content: Mapping[str, Any], prefix: str = "") -> Iterator[Entry]:
    for key, value in content.items():
        term = f"{prefix}{clean(key).replace('_', ' ')}"
        if isinstance(value, Mapping):
            yield from _entries(value, f"{term}: ")
        elif key == "classes" and isinstance(value, list):
            yield Entry(term, count(len(value), "name"), shorten(", ".join(map(clean, value)), LONGEST // 2))
        elif value is not None and value != []:
            yield Entry(term, shorten(_text(value), LONGEST))


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_text(item) for item in value)
    return str(value)
