"""Kang 2019's tables: what undesirable pixels gain (table 1), and how few they are (table 2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from heatlift.report.distributions import Axis
from heatlift.report.figures import draw
from heatlift.report.known import Known
from heatlift.report.plate import IntervalPanel, IntervalRow, Intervals, Plate
from heatlift.report.undesirable.paper import PAPER
from heatlift.report.undesirable.summary import FactorSummary, Undesirable, read_undesirable
from heatlift.report.wording import count, interval, listing
from heatlift.reproduce.kang2019.stages import WEIGHTS, Stages
from heatlift.reproduce.networks import Used
from heatlift.reproduce.parts import Drawing, Line, Part
from heatlift.run.evidence import FEWEST

FACTORS = ("target", "non_target")

FEW = 0.04
"""The share of the pixels that both factors are said to stay below."""

FAR = 400.0
"""Per cent below which the axis of phi is logarithmic: it has no lower bound."""


@dataclass(frozen=True)
class Measured:
    """A network's run."""

    network: Used
    found: Undesirable
    run: str

    @property
    def factors(self) -> tuple[FactorSummary, ...]:
        """In the order of the tables."""
        return self.found.factors


def table_1(stages: Stages) -> Part:
    """How much of what was missing to certainty masks gain."""
    measured = _measured(stages)
    return Part(
        "table-1",
        "Table 1",
        _gain_title(measured),
        "Perturbing undesirable pixels gains 44.7 to 49.0 per cent of what the class’s probability lacked "
        "to 1, with F-TC and F-NTC alike.",
        lines=tuple(line for one in measured for line in _gains(one)),
        drawings=(_gain_drawing(measured),),
        differs=_differs(stages, measured),
        runs=tuple(one.run for one in measured),
    )


def table_2(stages: Stages) -> Part:
    """How large a share of the pixels that takes."""
    measured = _measured(stages)
    return Part(
        "table-2",
        "Table 2",
        _area_title(measured),
        "3.6 to 4.0 per cent of the pixels, those whose mask takes more than 0.6 away, are enough.",
        lines=tuple(line for one in measured for line in _areas(one)),
        drawings=(_area_drawing(measured),),
        differs=_differs(stages, measured),
        runs=tuple(one.run for one in measured),
    )


def paper_run(stages: Stages, place: int) -> Path:
    """The run of a network of the tables; the other one takes no part and is asked after."""
    network, other = stages.networks[place], stages.networks[1 - place]
    return stages.run(
        f"tables-{network.slug}",
        network,
        factor=FACTORS,
        limit=stages.limit,
        verify_on=other.spec,
    )


def _measured(stages: Stages) -> list[Measured]:
    found = []
    for place, network in enumerate(stages.networks):
        folder = paper_run(stages, place)
        found.append(Measured(network, read_undesirable(folder), f"runs/{folder.name}"))
    return found


def _gains(one: Measured) -> Iterator[Line]:
    for factor in one.factors:
        name = f"{one.network.told}, {factor.name}"
        left = f"without {count(factor.left_out, 'image')} that lacked less than 0.001" * bool(
            factor.left_out
        )
        printed = PAPER[one.network.printed][factor.factor][0]
        yield _line(f"{name}: relative improvement φ, % (higher: surer)", printed, factor, "phi", left)
        yield _line(f"{name}: φ, median over all images", None, factor, "phi_median")
        yield _line(f"{name}: share of the images that got worse", None, factor, "got_worse")
        yield _line(
            f"{name}: φ of the same mask values in random places", None, factor, "phi_blob", "control"
        )
        yield _line(f"{name}: φ of the whole image blurred", None, factor, "phi_blur", "control")
        second = f"for {one.found.second}, which took no part"
        yield _line(f"{name}: change of probability", None, factor, "p_gain")
        yield _line(f"{name}: change of probability {second}", None, factor, "p_verify_gain")


def _areas(one: Measured) -> Iterator[Line]:
    for factor in one.factors:
        name = f"{one.network.told}, {factor.name}"
        printed = PAPER[one.network.printed][factor.factor][1]
        empty = f"{count(factor.empty, 'mask')} of {factor.n:,} with no such pixel"
        yield _line(f"{name}: share of the pixels above 0.6", printed, factor, "area", empty)
        yield _line(f"{name}: largest 1 − M′ of a mask", None, factor, "max_magnitude")
        yield _line(
            f"{name}: mean of 1 − M′", None, factor, "taken", "all that is taken away, also below 0.6"
        )


def _line(what: str, printed: str | None, factor: FactorSummary, name: str, note: str = "") -> Line:
    known = factor.figure(name)
    return Line(what, printed, known.as_json() if known is not None else None, note)


def _gain_title(measured: Sequence[Measured]) -> str:
    if any(factor.n < FEWEST for one in measured for factor in one.factors):
        return f"Too few images to conclude anything about φ ({_counts(measured)})"
    told = []
    for one in measured:
        each = [f"{factor.name} {interval(factor.figure('phi'))}" for factor in one.factors]
        told.append(f"φ on {one.network.name} is {listing(each)}")
    return f"{'; '.join(told)}: {_inside(measured)}"


def _inside(measured: Sequence[Measured]) -> str:
    """How many of the printed improvements the intervals hold."""
    pairs = [
        (float(PAPER[one.network.printed][factor.factor][0]), factor.figure("phi"))
        for one in measured
        for factor in one.factors
    ]
    held = sum(
        known is not None
        and known.low is not None
        and known.high is not None
        # Rounded as far as it is printed.
        and round(known.low, 3) <= printed <= round(known.high, 3)
        for printed, known in pairs
    )
    return f"{held} of {len(pairs)} intervals hold what is printed"


def _area_title(measured: Sequence[Measured]) -> str:
    known = [factor.figure("area") for one in measured for factor in one.factors]
    found = [area for area in known if area is not None and area.high is not None]
    if not found or any(factor.n < FEWEST for one in measured for factor in one.factors):
        return f"Too few images to conclude anything about areas ({_counts(measured)})"
    values = sorted(area.value for area in found)
    told = f"{values[0]:.1%} to {values[-1]:.1%} of the pixels are taken away by more than 0.6"
    below = sum(area.below(FEW) for area in found)
    if below == len(found):
        return f"{told}: below 4 per cent, as printed"
    return f"{told}: surely below 4 per cent in {below} of {len(found)} cases"


def _counts(measured: Sequence[Measured]) -> str:
    return listing(dict.fromkeys(count(f.n, "image") for one in measured for f in one.factors))


def _gain_drawing(measured: Sequence[Measured]) -> Drawing:
    rows = list(_rows(measured, "phi", 0)) + [
        IntervalRow(f"random places, {factor.name}", True, known)
        for one in measured
        for factor in one.factors
        if (known := factor.figure("phi_blob")) is not None
    ]
    return _drawing(
        "table-1-phi",
        rows,
        "Relative improvement φ, % (higher: surer)",
        "Mean φ with its 95% interval; hollow: what the paper prints. Grey: the same mask values in random "
        f"places. {_ns(measured)}",
        10.0,
    )


def _area_drawing(measured: Sequence[Measured]) -> Drawing:
    return _drawing(
        "table-2-area",
        list(_rows(measured, "area", 1)),
        "Share of the pixels above 0.6 (lower: fewer)",
        f"Mean share with its 95% interval; hollow: what the paper prints. {_ns(measured)}",
        0.01,
    )


def _rows(measured: Sequence[Measured], figure: str, place: int) -> Iterator[IntervalRow]:
    for one in measured:
        for factor in one.factors:
            known = factor.figure(figure)
            if known is not None:
                printed = float(PAPER[one.network.printed][factor.factor][place])
                yield IntervalRow(f"{one.network.name}, {factor.name}", False, known, (printed,))


def _ns(measured: Sequence[Measured]) -> str:
    each = [f"{one.network.name} {listing(f'{f.n:,} ({f.name})' for f in one.factors)}" for one in measured]
    return f"n: {'; '.join(each)}; {measured[0].network.told}, {measured[1].network.told}."


def _drawing(identity: str, rows: Sequence[IntervalRow], label: str, caption: str, least: float) -> Drawing:
    panels = (IntervalPanel(tuple(rows), axis_of(rows, least), label),)
    alt = "; ".join(f"{row.name}: {interval(row.known)}" for row in rows)
    return Drawing(
        draw(Plate(identity, "", caption, alt, Intervals(panels, "Kang 2019 as printed"))), caption
    )


def axis_of(rows: Sequence[IntervalRow], least: float) -> Axis:
    """Holds every interval, every printed value and zero, and spans at least ``least``."""
    ends = [0.0, least]
    for row in rows:
        known: Known = row.known
        ends += [end for end in (known.value, known.low, known.high, *row.printed) if end is not None]
    low, high = min(ends), max(ends)
    if low < -FAR:
        return Axis(1.3 * low, max(high, 100.0) * 1.05, 100.0, decades=1.5)
    pad = 0.05 * (high - low)
    return Axis(low - pad, high + pad)


def _differs(stages: Stages, measured: Sequence[Measured]) -> tuple[str, ...]:
    second = " and ".join(one.found.second for one in measured)
    return (
        *(line for one in measured for line in one.network.differs),
        *stages.differs,
        *stages.fewer(min(f.n for one in measured for f in one.factors), _counts(measured)),
        "The mean of φ is over the images that lacked at least 0.001 to certainty, since it has no lower "
        "bound where nothing is left to gain; the median is over all.",
        WEIGHTS,
        f"Controls and second networks ({second}) are not in the paper.",
    )
