"""What Tjoa 2022 concludes from its boxplots, measured: the gap, better training, scores of around ten."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from heatlift.errors import HeatliftError
from heatlift.report.distributions import Axis
from heatlift.report.figures import draw
from heatlift.report.findings import tally
from heatlift.report.known import known_figure
from heatlift.report.plate import IntervalPanel, IntervalRow, Intervals, Plate
from heatlift.report.summary import read_audit
from heatlift.report.wording import interval
from heatlift.reproduce.parts import Drawing, Line, Part
from heatlift.reproduce.tjoa2022.audits import above
from heatlift.reproduce.tjoa2022.paired import FEWEST, RESAMPLES, Values, differences, scored
from heatlift.reproduce.tjoa2022.stages import Stages, differing
from heatlift.reproduce.tjoa2022.training import NETWORKS, NOT_RUN
from heatlift.run.columns import PairScores
from heatlift.statistics import Figure, mean, percentiles

TEN, HIGH, AIM = 10.0, 80.0, 48.0
"""What existing methods mostly stay below on ImageNet; what Deconvolution exceeds on X-rays; GAX's target."""


def gap(stages: Stages) -> Part:
    """The gap with the label and without it, beside what confidence and the controls can do."""
    found = [
        one for one in (stages.on_xrays(0), stages.on_xrays(1), stages.on_photographs(0)) if one is not None
    ]
    lines, told = [], []
    for shown in found:
        audit = read_audit(stages.audit(shown))
        own = [m for m in audit.shown if not m.control]
        counts = [sum(above(own, with_label)) for with_label in (True, False)]
        told.append(f"{shown.told} {counts[0]} of {len(own)} with the label, {counts[1]} without it")
        for with_label in (True, False):
            words = "with the label" if with_label else "without the label"
            hits = above(own, with_label)
            what = f"{shown.told}: share of heatmaps that score correct above wrong, {words}"
            printed = "all" if with_label else None
            lines.append(
                Line(what, printed, _single(sum(hits) / len(hits), len(hits)), "n: heatmaps and operations")
            )
        controls = [m for m in audit.shown if m.control]
        lines.append(
            Line(
                f"{shown.told}: share of controls that do, with the label",
                None,
                _single(sum(above(controls, True)) / len(controls), len(controls)),
                tally(controls, above(controls, True)),
            )
        )
        best = max(own, key=lambda m: m.auroc_label_free.value if m.auroc_label_free else 0.0)
        figure = None if best.auroc_difference is None else best.auroc_difference.as_json()
        what = f"{shown.told}: best AUROC without the label less that of plain confidence"
        lines.append(Line(what, None, figure, f"{best.label}. {audit.verdict}"))
    differs = differing((shown.told, shown.differs) for shown in found)
    return Part(
        "claim-gap",
        "Section 4.1, the gap",
        f"Heatmaps and operations for which correct predictions score higher: {'; '.join(told)}",
        "The gap between the CO scores of correct and wrong predictions is an indicator of correctness. (The "
        "score takes the label, which an indicator can’t have.)",
        tuple(lines),
        differs=differs,
        runs=tuple(stages.relative(stages.audit(shown)) for shown in found),
    )


def better_trained(stages: Stages) -> Part:
    """The gap of the first network less that of the second, of the same architecture, image by image."""
    claim = "The gaps appear to be wider when the network is better trained."
    first, second = stages.on_xrays(0), stages.on_xrays(1)
    anchor, place = "claim-better-trained", "Section 4.1, better training"
    if first is None or second is None:
        return Part(anchor, place, NOT_RUN, claim)
    runs = [stages.audit(shown) for shown in (first, second)]
    lines, rows = [], []
    wider = known = 0
    for name, (gaps, aurocs) in differences(runs[0], runs[1], stages.request.seed).items():
        lines.append(
            Line(
                f"{name}: gap of {NETWORKS[0].printed} less {NETWORKS[1].printed}, logits",
                "above 0",
                gaps.as_json(),
            )
        )
        lines.append(Line(f"{name}: AUROC with the label, the same difference", None, aurocs.as_json()))
        estimate = known_figure(gaps.as_json())
        if estimate is not None:
            known, wider = known + 1, wider + gaps.above(0)
            rows.append(IntervalRow(name, False, estimate))
    return Part(
        anchor,
        place,
        f"The better trained network’s gap is wider, with its whole interval, for {wider} of {known} "
        "heatmaps and operations"
        if known
        else "Too few wrong predictions to compare the two networks’ gaps",
        claim,
        tuple(lines),
        tuple(
            _drawn(
                rows,
                "claim-better-trained-gaps",
                "difference of gaps, logits (right: wider if better trained)",
            )
        ),
        (
            *differing((shown.told, shown.differs) for shown in (first, second)),
            "Logits of two networks need not have one scale: the AUROC’s difference has none. Intervals "
            "resample the images that both networks saw, within those that each got right or wrong.",
        ),
        tuple(stages.relative(run) for run in runs),
    )


def around_ten(stages: Stages) -> Part:
    """How high existing methods' CO scores get."""
    shown, xrays = stages.on_photographs(0), stages.on_xrays(0)
    run = stages.audit(shown)
    pairs = [pair for pair in scored(run).values() if not pair.control]
    known = np.concatenate([_known(pair) for pair in pairs])
    if not len(known):
        raise HeatliftError(f"{shown.data}: no image has a label and a score, which Tjoa 2022's claims need")
    rows = [(pair.name, upper(pair, stages.request.seed)) for pair in pairs]
    lines = [
        *_heights(shown.told, pairs, known),
        *(
            Line(f"{shown.told}: 95th percentile, {name}, logits", "up to 10", figure.as_json())
            for name, figure in rows
        ),
    ]
    runs = [run]
    if xrays is not None:
        runs.append(stages.audit(xrays))
        values = [_known(pair) for name, pair in scored(runs[1]).items() if name == "deconvolution/add"]
        figure = _single(values[0].max(), len(values[0])) if values and len(values[0]) else None
        what = f"{xrays.told}: highest score of deconvolution, x + h, logits"
        lines.append(Line(what, f"over {HIGH:g}", figure))
    estimates = [(name, known_figure(figure.as_json())) for name, figure in rows]
    drawn_rows = [IntervalRow(name, False, one) for name, one in estimates if one is not None]
    return Part(
        "claim-around-ten",
        "Section 4.2, scores of around ten",
        f"{shown.told}: {np.mean(known <= TEN):.0%} of existing methods’ CO scores are at most {TEN:g}; "
        f"the highest is {known.max():.3g}",
        "On ImageNet existing methods’ CO scores are typically at most 10; on X-rays Deconvolution’s "
        "exceed 80.",
        tuple(lines),
        tuple(_drawn(drawn_rows, "claim-around-ten-upper", "95th percentile of the CO score, logits")),
        shown.differs,
        tuple(stages.relative(each) for each in runs),
    )


def _heights(told: str, pairs: Sequence[PairScores], known: Values) -> Iterator[Line]:
    usable = np.logical_and.reduce([pair.ok & np.isfinite(pair.co_label) for pair in pairs])
    scores = np.stack([pair.co_label[usable] for pair in pairs])
    below, beyond = (part.mean(axis=0) for part in (scores <= TEN, scores > AIM))
    yield Line(f"{told}: share of scores up to {TEN:g}, mean over images", "most", mean(below).as_json())
    highest = _single(known.max(), len(known))
    yield Line(f"{told}: highest of all scores, logits", "around 10", highest, "n: scores")
    above_aim = mean(beyond).as_json()
    yield Line(f"{told}: share of scores above GAX’s target of {AIM:g}, mean over images", "few", above_aim)


def _known(pair: PairScores) -> Values:
    """The label's CO scores of usable images."""
    found: Values = pair.co_label[pair.ok & np.isfinite(pair.co_label)]
    return found


def upper(pair: PairScores, seed: int) -> Figure:
    """The 95th percentile of the label's CO scores."""
    values = _known(pair)
    if len(values) < FEWEST:
        return Figure.unknown(len(values))
    rng = np.random.default_rng(seed)
    draws = np.array([np.quantile(rng.choice(values, len(values)), 0.95) for _ in range(RESAMPLES)])
    return percentiles(float(np.quantile(values, 0.95)), draws, len(values))


def _single(value: float, n: int) -> dict[str, float | int | None]:
    """A largest value, or a share of heatmaps of the same images, which resampling says nothing of."""
    return {"value": float(value), "low": None, "high": None, "n": n}


def _drawn(rows: list[IntervalRow], identity: str, label: str) -> Iterator[Drawing]:
    if rows:
        ends = [
            end for row in rows for end in (row.known.value, row.known.low, row.known.high) if end is not None
        ]
        low, high = min(*ends, 0.0), max(*ends, 0.0)
        pad = 0.05 * (high - low) or 1.0
        panel = IntervalPanel(tuple(rows), Axis(low - pad, high + pad), label)
        caption = f"95% bootstrap intervals over images; n = {rows[0].known.n}."
        alt = "; ".join(f"{row.name}: {interval(row.known)}" for row in rows)
        yield Drawing(draw(Plate(identity, "", caption, alt, Intervals((panel,)))), caption)
