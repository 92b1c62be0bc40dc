"""What Tjoa 2022 says of GAX's heatmaps, measured: extreme intensities; negative values at high scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator
from scipy.stats import spearmanr

from heatlift.report import marks
from heatlift.report.distributions import Axis
from heatlift.report.figures import draw
from heatlift.report.known import known_figure
from heatlift.report.plate import IntervalPanel, IntervalRow, Intervals, Plate
from heatlift.report.scales import tick
from heatlift.report.svg import ALL, CONTROL, INK, MUTED, RULE, SMALL, drawing
from heatlift.report.wording import interval
from heatlift.reproduce import parts
from heatlift.reproduce.enough import too_few
from heatlift.reproduce.parts import Line, Part
from heatlift.reproduce.tjoa2022.kept import Gax, Kept, Values, gax_runs
from heatlift.reproduce.tjoa2022.stages import Stages, differing
from heatlift.statistics import Figure, mean
from heatlift.wording import number

LOWEST = -1 / 160
"""Below which a value counts as negative: steps are kept to the nearest 1/80."""

SCORES = (12.0, 24.0, 48.0)
"""CO scores at which the negative values are counted, on the way to the target."""

BINS = 10
ORDER = ("optimised", "shuffled", "start")
WORDS: Mapping[str, str] = {
    "optimised": "GAX’s heatmap",
    "shuffled": "control, each pixel’s move another’s",
    "start": "control, the heatmap before any step",
}


def extreme_intensities(stages: Stages) -> Part:
    """Whether GAX changes very bright and very dark pixels most, beyond what tanh(w x) does by itself."""
    runs = gax_runs(stages)
    found = [(run, [correlations(one, stages.request.seed) for one in run.kept()]) for run in runs]
    told = [f"{run.shown.told}: {_told(of_run)}" for run, of_run in found if of_run]
    return Part(
        "claim-extreme-intensities",
        "Section 4.3, extreme intensities",
        "; ".join(told) or "No image was lifted",
        "GAX improves confidence by optimising regions of extreme intensity, very bright or very dark.",
        tuple(line for run, of_run in found for line in _correlation_lines(run, of_run)),
        tuple(
            _profile(run, f"claim-extreme-{place}", stages.request.seed)
            for place, (run, of_run) in enumerate(found)
            if of_run
        ),
        (
            *_differs(runs),
            "The paper judges by eye. Extreme is |x − 0.5| here. Since h = tanh(w x), a pixel’s "
            "brightness decides how far its heatmap can move at all: the control gives each pixel the "
            "move of w (on X-rays of w and b) of another pixel of the same image.",
        ),
        tuple(stages.relative(run.folder) for run in runs),
    )


def negative_values(stages: Stages) -> Part:
    """How many of the heatmap's values are negative, at the start and at scores on the way."""
    runs = gax_runs(stages)
    found = [(run, [negatives(one) for one in run.kept()]) for run in runs]
    last = [
        (run, _mean([one[SCORES[-1]] - one[0.0] for one in of_run if SCORES[-1] in one]))
        for run, of_run in found
    ]
    told = [
        f"{run.shown.told}: a share of {number(gain.value)} more of the values is negative at a score of "
        f"{SCORES[-1]:g} than at the start{too_few(gain.n)}"
        for run, gain in last
        if gain.value is not None
    ]
    return Part(
        "claim-negative-values",
        "Figure 5, negative values",
        "; ".join(told) or f"No image reached a CO score of {SCORES[-1]:g}",
        "At higher CO scores, negative values emerge in the heatmaps.",
        tuple(line for run, of_run in found for line in _negative_lines(run, of_run)),
        tuple(
            drawing_
            for place, (run, of_run) in enumerate(found)
            if (drawing_ := _negative_drawing(run, of_run, f"claim-negative-{place}")) is not None
        ),
        (
            *_differs(runs),
            "The paper shows images. Here: the share of values below −1/160, at the first step that has "
            "the score. At the start none is, since tanh(x) of pixels from 0 to 1 is not.",
        ),
        tuple(stages.relative(run.folder) for run in runs),
    )


def heatmaps(one: Kept, seed: int) -> dict[str, Values]:
    """The heatmap and its two controls, by `ORDER`."""
    return {"optimised": one.heatmap, "shuffled": one.shuffled(seed), "start": one.start}


def correlations(one: Kept, seed: int) -> dict[str, float]:
    """Spearman's rank correlation of |h - x| with |x - 0.5| over an image's pixels, for it and its controls.

    ``brightness`` is that of GAX's |h - x| with x itself. NaN where an image has but one value.
    """
    extreme = np.abs(one.pixels - 0.5)
    found = {name: _spearman(np.abs(h - one.pixels), extreme) for name, h in heatmaps(one, seed).items()}
    return found | {"brightness": _spearman(np.abs(one.heatmap - one.pixels), one.pixels)}


def _spearman(first: Values, second: Values) -> float:
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(spearmanr(first.ravel(), second.ravel()).statistic)


def negatives(one: Kept) -> dict[float, float]:
    """The share of negative values at the start (0) and at each of `SCORES` that the image got to."""
    found = {0.0: float((one.first() < LOWEST).mean())}
    for score in SCORES:
        heatmap = one.at(score)
        if heatmap is not None:
            found[score] = float((heatmap < LOWEST).mean())
    return found


def _told(of_run: Sequence[Mapping[str, float]]) -> str:
    own, gained = _mean(_column(of_run, "optimised")), _mean(_gains(of_run))
    if own.value is None or gained.value is None:
        return "too few images"
    less = "more than" if gained.above(0) else "less than" if gained.below(0) else "no more than"
    return (
        f"|h − x| goes with |x − 0.5| at a rank correlation of {_text(own)}, {less} shuffled moves do "
        f"({_text(gained)}){too_few(gained.n)}"
    )


def _correlation_lines(run: Gax, of_run: Sequence[Mapping[str, float]]) -> Iterator[Line]:
    what = f"{run.shown.told}: rank correlation of |h − x| with"
    for name in ORDER:
        printed = "above 0" if name == "optimised" else None
        yield Line(f"{what} |x − 0.5|, {WORDS[name]}", printed, _mean(_column(of_run, name)).as_json())
    gains = _mean(_gains(of_run)).as_json()
    yield Line(f"{what} |x − 0.5|, GAX’s less the shuffled control’s", None, gains, "the same images")
    yield Line(f"{what} brightness x, GAX’s heatmap", None, _mean(_column(of_run, "brightness")).as_json())


def _negative_lines(run: Gax, of_run: Sequence[Mapping[float, float]]) -> Iterator[Line]:
    what = f"{run.shown.told}: share of negative values"
    for score in (0.0, *SCORES):
        where = f"at a CO score of {score:g}" if score else "before any step"
        known = [one[score] for one in of_run if score in one]
        yield Line(f"{what} {where}", None, _mean(known).as_json())
    low, high = SCORES[0], SCORES[-1]
    gains = _mean([one[high] - one[low] for one in of_run if high in one and low in one]).as_json()
    yield Line(f"{what}, at {high:g} less at {low:g}", "above 0", gains, "the same images")


def _column(of_run: Sequence[Mapping[str, float]], name: str) -> list[float]:
    return [one[name] for one in of_run if np.isfinite(one[name])]


def _gains(of_run: Sequence[Mapping[str, float]]) -> list[float]:
    gains = (one["optimised"] - one["shuffled"] for one in of_run)
    return [gain for gain in gains if np.isfinite(gain)]


def _mean(values: Sequence[float]) -> Figure:
    return mean(np.array(values, dtype=np.float64)) if len(values) else Figure.unknown(0)


def _text(figure: Figure) -> str:
    return interval(known_figure(figure.as_json()), 2)


def _differs(runs: Sequence[Gax]) -> tuple[str, ...]:
    return differing((run.shown.told, run.shown.differs) for run in runs)


def _profile(run: Gax, identity: str, seed: int) -> parts.Drawing:
    """Mean |h - x| of pixels of each brightness, averaged over images."""
    edges = np.linspace(0, 1, BINS + 1)
    rows: dict[str, list[Values]] = {name: [] for name in ORDER}
    for one in run.kept():
        bins = np.clip(np.digitize(one.pixels, edges) - 1, 0, BINS - 1).ravel()
        sizes = np.bincount(bins, minlength=BINS).astype(np.float64)
        for name, h in heatmaps(one, seed).items():
            sums = np.bincount(bins, np.abs(h - one.pixels).ravel(), BINS)
            rows[name].append(np.divide(sums, sizes, out=np.full(BINS, np.nan), where=sizes > 0))
    n = len(rows["optimised"])
    colours = {"optimised": INK, "shuffled": CONTROL, "start": ALL}
    width, height, left, top, foot = 460.0, 220.0, 46.0, 74.0, 46.0
    with drawing(width, top + height + foot) as d:
        axes = d.panel(left, top, width - left - 14, height)
        axes.set(xlim=(0, 1), xlabel="brightness of the pixel, x")
        for name in ORDER:
            table = np.stack(rows[name])
            some = np.isfinite(table).any(axis=0)
            means = np.nansum(table[:, some], axis=0) / np.isfinite(table[:, some]).sum(axis=0)
            middles = ((edges[1:] + edges[:-1]) / 2)[some]
            axes.plot(middles, means, color=colours[name], linewidth=1.8, marker="o", markersize=4)
        axes.set_ylim(0, None)
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        for scale in (axes.xaxis, axes.yaxis):
            scale.set_major_formatter(FuncFormatter(tick))
        axes.grid(axis="y", color=RULE, linewidth=0.6, alpha=0.6, zorder=0)
        axes.set_axisbelow(True)
        d.write(0, top - 16, "mean |h − x|", color=MUTED, size=SMALL)
        short = (("optimised", "GAX"), ("shuffled", "moves shuffled"), ("start", "before any step"))
        marks.legend(d, [(words, colours[name], "s") for name, words in short], 0)
        svg = d.svg(identity, f"Mean |h − x| over the brightness of pixels, {run.shown.told}")
    return parts.Drawing(
        svg,
        f"{run.shown.told}. How far heatmaps are from the image at pixels of each brightness: means over "
        f"pixels, then over {n} images.",
    )


def _negative_drawing(
    run: Gax, of_run: Sequence[Mapping[float, float]], identity: str
) -> parts.Drawing | None:
    rows = []
    for score in (0.0, *SCORES):
        known = known_figure(_mean([one[score] for one in of_run if score in one]).as_json())
        if known is not None:
            rows.append(IntervalRow(f"CO {score:g}" if score else "before any step", False, known))
    if not rows:
        return None
    high = max(row.known.high or row.known.value for row in rows)
    content = Intervals(
        (IntervalPanel(tuple(rows), Axis(-0.01, 1.1 * high + 0.02), "share of negative values"),)
    )
    caption = (
        f"{run.shown.told}. Means over images with 95% intervals, at the first step that has the score; n = "
        f"{rows[0].known.n} to {rows[-1].known.n}: images that got there."
    )
    alt = "; ".join(f"{row.name}: {interval(row.known)}" for row in rows)
    return parts.Drawing(draw(Plate(identity, "", caption, alt, content)), caption)
