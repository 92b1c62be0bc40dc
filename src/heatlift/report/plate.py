"""A figure of the report as plain data: what it draws, its title (the finding) and its caption."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from heatlift.report.distributions import Axis, Box, Distribution, Kind
from heatlift.report.known import Known

Role: TypeAlias = Literal["ink", "hollow", "correct", "wrong", "all", "control", "bound", "chance"]
"""What a mark stands for, which decides its colour.

``ink`` and ``hollow`` are heatmaps, ``all`` is confidence or all images, ``bound`` is what nothing
can beat, ``chance`` what tells nothing.
"""


@dataclass(frozen=True)
class DotRow:
    """One line of a dot-and-interval figure: a name, a note in lighter ink, and up to two estimates."""

    name: str
    note: str
    control: bool
    filled: Known | None
    hollow: Known | None = None


@dataclass(frozen=True)
class Dots:
    """AUROCs with their intervals; the reference is a line with its interval as a band."""

    rows: tuple[DotRow, ...]
    reference: Known | None = None
    legend: tuple[str, str] | None = None


@dataclass(frozen=True)
class BoxRow:
    """One heatmap, with a box for each kind of image."""

    name: str
    control: bool
    boxes: Mapping[Kind, Box]


@dataclass(frozen=True)
class Boxes:
    """Boxplots on one axis."""

    rows: tuple[BoxRow, ...]
    axis: Axis
    label: str


@dataclass(frozen=True)
class Hill:
    """One histogram: what is counted, the AUROC printed beside it, and the words on its axis."""

    title: str
    distribution: Distribution
    auroc: Known | None
    axis: str


@dataclass(frozen=True)
class Hills:
    """Histograms, one below the other."""

    panels: tuple[Hill, ...]


@dataclass(frozen=True)
class Curve:
    """One image's score over the steps, from step 0 to the last it had."""

    steps: tuple[int, ...]
    scores: tuple[float, ...]
    reached: bool


@dataclass(frozen=True)
class Curves:
    """Scores over optimisation steps, one line per image; the target is a dashed line where there is one."""

    curves: tuple[Curve, ...]
    target: float | None
    legend: tuple[str, str]  # what those that reached it did, and those that did not


@dataclass(frozen=True)
class Cloud:
    """One dot per image by kind; the same range on both axes, with the diagonal and, if asked, zero lines."""

    dots: Mapping[Kind, tuple[tuple[float, float], ...]]
    axis: Axis
    across: str
    up: str
    diagonal: str  # what is equal on it
    zero: bool = True


@dataclass(frozen=True)
class IntervalRow:
    """One estimate with its interval, and the values that a paper printed for it."""

    name: str
    control: bool
    known: Known
    printed: tuple[float, ...] = ()


@dataclass(frozen=True)
class IntervalPanel:
    """Estimates on one axis; the words below it say what they are."""

    rows: tuple[IntervalRow, ...]
    axis: Axis
    label: str


@dataclass(frozen=True)
class Intervals:
    """Estimates with their intervals, each kind on an axis of its own, one below the other."""

    panels: tuple[IntervalPanel, ...]
    printed: str = ""  # whose values the hollow marks are, where there are any


@dataclass(frozen=True)
class GroupRow:
    """One line of a figure with an estimate for each series, and a note in lighter ink."""

    name: str
    note: str
    control: bool
    known: tuple[Known | None, ...]


@dataclass(frozen=True)
class Groups:
    """Several estimates per row on one axis, one colour for each series.

    ``line`` is where nothing is different; the rows of a ``joined`` one are stages of one thing.
    """

    rows: tuple[GroupRow, ...]
    series: tuple[tuple[str, Role], ...]
    axis: Axis
    label: str
    line: float
    joined: bool = False


@dataclass(frozen=True)
class RiskLine:
    """The share of wrong images among those kept, at each coverage, and what it was ranked by."""

    name: str
    role: Role
    risk: tuple[float | None, ...]


@dataclass(frozen=True)
class Risks:
    """Selective risk over coverage; ``random`` is the share of wrong images among all."""

    coverage: tuple[float, ...]
    lines: tuple[RiskLine, ...]
    random: float | None


@dataclass(frozen=True)
class ScalePanel:
    """One heatmap's estimates over its scales, for each series."""

    name: str
    control: bool
    known: tuple[tuple[Known | None, ...], ...]


@dataclass(frozen=True)
class Scales:
    """Small panels on shared axes: the scale, logarithmic, and an estimate with its interval."""

    scales: tuple[float, ...]
    panels: tuple[ScalePanel, ...]
    series: tuple[tuple[str, Role], ...]
    label: str


@dataclass(frozen=True)
class Plate:
    """A figure with its words; ``identity`` is unique in the page."""

    identity: str
    title: str
    caption: str
    alt: str
    content: Dots | Boxes | Hills | Curves | Cloud | Intervals | Groups | Risks | Scales
