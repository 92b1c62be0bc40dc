"""What of several audits can't be compared, and why: images, settings, heatmaps, classes that differ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from heatlift.report.compared.runs import Beside, Side
from heatlift.report.settings import Entry
from heatlift.report.wording import count, listing
from heatlift.wording import clean, shorten

MATTERS = {"space": "model", "target": "predicted", "clip": False}
"""The settings that decide what a heatmap's figures mean, and what a run that does not name them had."""

LONGEST = 300
"""Characters of one entry."""


def limits(beside: Beside) -> tuple[Entry, ...]:
    """Everything that differs, the most weighty first; none where nothing does."""
    found = (_settings, _classes, _images, _unusable, _labels, _heatmaps, _data)
    return tuple(entry for look in found for entry in look(beside))


def differing_settings(beside: Beside) -> list[str]:
    """The names of the settings that decide what a heatmap's figures mean, and that differ."""
    return [name for name in MATTERS if len({_setting(side, name) for side in beside.sides}) > 1]


def _settings(beside: Beside) -> Iterator[Entry]:
    for name in differing_settings(beside):
        yield Entry(
            f"Setting {name}",
            f"{_told(beside, [_setting(side, name) for side in beside.sides])}. The heatmaps’ figures mean "
            "different things there, so their differences are not the networks’ alone.",
        )


def _classes(beside: Beside) -> Iterator[Entry]:
    known = {side.name: side.audit.classes for side in beside.sides if side.audit.classes is not None}
    if len({tuple(map(str, classes)) for classes in known.values()}) > 1:
        counts = listing(f"{len(classes):,} in {name}" for name, classes in known.items())
        yield Entry(
            "Names of classes",
            f"They differ ({counts}); images are taken to have the same label where its number is the same.",
        )


def _images(beside: Beside) -> Iterator[Entry]:
    shared = len(beside.paired.names)
    for side in beside.sides:
        left = side.shared.images - shared
        if left:
            yield Entry(
                f"Images of {side.name}",
                f"{left:,} of {side.shared.images:,} are not in every run and enter no paired figure.",
            )


def _unusable(beside: Beside) -> Iterator[Entry]:
    for side in beside.sides:
        failed = int((~side.shared.usable).sum())
        if failed:
            yield Entry(
                f"Failed in {side.name}",
                f"{count(failed, 'image')} of those that all have; no paired figure has them.",
            )


def _labels(beside: Beside) -> Iterator[Entry]:
    for side in beside.sides:
        unknown = int((side.shared.usable & ~side.shared.labelled).sum())
        if unknown:
            yield Entry(
                f"Without a label in {side.name}",
                f"{count(unknown, 'image')} of those that all have; accuracy and the label’s probability are "
                "not compared on them.",
            )


def _heatmaps(beside: Beside) -> Iterator[Entry]:
    common = {row.name for row in beside.heatmaps}
    for side in beside.sides:
        alone = [clean(name) for name in side.heatmaps if clean(name) not in common]
        if alone:
            yield Entry(
                f"Heatmaps of {side.name}", f"Not in every run: {shorten(', '.join(alone), LONGEST)}."
            )


def _data(beside: Beside) -> Iterator[Entry]:
    folders = [clean(side.audit.section("data").get("path") or "unknown") for side in beside.sides]
    if len(set(folders)) > 1:
        yield Entry(
            "Folders of images",
            f"{_told(beside, folders)}. Images are matched by name: one name is taken to be one image.",
        )


def _setting(side: Side, name: str) -> str:
    value = side.audit.section("config").get(name, MATTERS[name])
    return value if isinstance(value, str) else json.dumps(value)


def _told(beside: Beside, values: Sequence[str]) -> str:
    """Each value with the runs that have it."""
    found: dict[str, list[str]] = {}
    for side, value in zip(beside.sides, values, strict=True):
        found.setdefault(value, []).append(side.name)
    return "; ".join(f"{shorten(value, 80)} in {listing(names)}" for value, names in found.items())
