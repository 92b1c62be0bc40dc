"""All that a panel tells of one image, as plain data: what the browser gets as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import numpy as np

from heatlift.wording import clean


@dataclass(frozen=True)
class Figures:
    """Numbers per step, lists of one length; None or NaN where there is none.

    Attributes:
        step: the steps; there may be more of them than there are frames.
        co: CO score.
        p_target: probability of the target.
        p_label: probability of the label.
        top: the most probable classes, (name, probability) each.
        view: whether they are of a view of the image, shifted or mirrored, another one at each step.
    """

    step: Sequence[int]
    co: Sequence[float | None] | None = None
    p_target: Sequence[float | None] | None = None
    p_label: Sequence[float | None] | None = None
    top: Sequence[Sequence[tuple[str, float]] | None] | None = None
    view: bool = False


@dataclass(frozen=True)
class Result:
    """Figures of the result, measured on the image itself."""

    co: float | None = None
    p_target: float | None = None
    p_label: float | None = None


@dataclass(frozen=True)
class Second:
    """What another network says of the original and of the changed image, as texts."""

    name: str
    p_before: str
    p_after: str
    predicted_before: str
    predicted_after: str


@dataclass(frozen=True)
class Layer:
    """One heatmap of an image, or its way there.

    Attributes:
        title: its name.
        what: one sentence how to read it.
        kind: ``signed`` (around what changes nothing) or ``taken`` (the share taken away, in [0, 1]).
        operation: how the changed image comes about: ``add``, ``multiply``, ``blur``; None if none is shown.
        channels: 1 or 3.
        neutral: what changes nothing, 0 or 1; a value of the heatmap is that plus what a frame holds.
        steps: of each frame; None for one that belongs to no step.
        own: the place of the frame that the run's figures are about.
        own_words: what is said of it.
        figures: numbers per step.
        result: those of the frame that the run's figures are about.
        target: the class that the heatmap is for.
        label: the true class.
        second: another network's opinion.
        problem: why nothing can be shown.
    """

    title: str
    what: str
    kind: str
    operation: str | None
    channels: int
    neutral: float
    steps: Sequence[int | None]
    own: int = 0
    own_words: str = ""
    figures: Figures | None = None
    result: Result | None = None
    target: str = ""
    label: str | None = None
    second: Second | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Table:
    """Figures of an image in rows, as texts; the first cell names its row."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Fact:
    """One thing told of an image."""

    name: str
    value: str


@dataclass(frozen=True)
class Details:
    """One image of a run, or of a result in a notebook.

    Attributes:
        name: of the image, unique in its run.
        title: what the image is called for people, such as its class.
        status: ``ok``, or why the image failed.
        correct: whether the prediction is; None without a label.
        facts: names and texts.
        tables: of figures.
        thumbnail: whether there is one.
        original: whether the image itself is there.
        size: width and height in pixels.
        reference: whether there is a picture of what takes a pixel's place.
        layers: the heatmaps.
        problems: what could not be read.
        elsewhere: ids of the image of the same name in other runs, by the run's id.
        run: the run's id.
        id: the image's id in its run.
    """

    name: str
    title: str
    status: str = "ok"
    correct: bool | None = None
    facts: Sequence[Fact] = ()
    tables: Sequence[Table] = ()
    thumbnail: bool = False
    original: bool = False
    size: tuple[int, int] | None = None
    reference: bool = False
    layers: Sequence[Layer] = ()
    problems: Sequence[str] = ()
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    run: int = 0
    id: str = ""

    def as_json(self) -> dict[str, Any]:
        """What JSON can hold: numbers that are not finite are None, and every text is printable."""
        return {name: _plain(value) for name, value in _entries(self)}


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, np.generic | np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if is_dataclass(value):
        return {name: _plain(entry) for name, entry in _entries(value)}
    if isinstance(value, Mapping):
        return {clean(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, Sequence):
        return [_plain(entry) for entry in value]
    return value


def _entries(thing: Any) -> list[tuple[str, Any]]:
    return [(one.name, getattr(thing, one.name)) for one in fields(thing)]
