"""What Tjoa 2022 concludes from its boxplots, measured: the gap, better training, scores of around ten."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from heatlift.report.distributions import Axis
from heatlift.report.figures import draw
from heatlift.report.findings import enough, tally
from heatlift.report.known import known_figure
from heatlift.report.plate import IntervalPanel, IntervalRow, Intervals, Plate
from heatlift.report.summary import Audit, MethodSummary, read_audit
from heatlift.report.wording import interval
from heatlift.reproduce.enough import too_few
from heatlift.reproduce.parts import Drawing, Line, Part
from heatlift.reproduce.tjoa2022.audits import above, counted
from heatlift.reproduce.tjoa2022.paired import RESAMPLES, Values, differences, scored
from heatlift.reproduce.tjoa2022.stages import NO_LABELS, NO_XRAYS, Shown, Stages, differing
from heatlift.reproduce.tjoa2022.training import NETWORKS
from heatlift.run.columns import PairScores
from heatlift.run.evidence import ENOUGH, FEWEST
from heatlift.statistics import Figure, mean, percentiles

TEN, HIGH, AIM = 10.0, 80.0, 48.0
"""What existing methods mostly stay below on ImageNet; what Deconvolution exceeds on X-rays; GAX's target."""


def gap(stages: Stages) -> Part:
    """The gap with the label and without it, beside what confidence and the controls can do."""
    found = [
        one for one in (stages.on_xrays(0), stages.on_xrays(1), stages.on_photographs(0)) if one is not None
    ]
    audits = [(shown, read_audit(stages.audit(shown))) for shown in found]
    lines = [line for shown, audit in audits for line in _gap_lines(shown, audit)]
    if found[0].xrays:
        lines.insert(0, _printed_line(*audits[0]))
    told = "; ".join(_gap_told(shown, audit) for shown, audit in audits)
    return Part(
        "claim-gap",
        "Section 4.1, the gap",
        f"Heatmaps and operations for which correct predictions score higher: {told}"
        if any(enough(audit) for _, audit in audits)
        else f"Too few images to compare correct with wrong: {told}",
        "The gap between the CO scores of correct and wrong predictions is an indicator of correctness. (The "
        "score takes the label, which an indicator can’t have.)",
        tuple(lines),
        differs=differing((shown.told, shown.differs) for shown in found),
        runs=tuple(stages.relative(stages.audit(shown)) for shown in found),
    )


def _gap_told(shown: Shown, audit: Audit) -> str:
    """For how many heatmaps and operations, or that there are too few images to say."""
    if not enough(audit):
        return f"{shown.told} too few to say ({counted(audit)})"
    own = _ranked(audit, control=False)
    with_label, without = (sum(above(own, each)) for each in (True, False))
    return f"{shown.told} {with_label} of {len(own)} with the label, {without} without it"


def _ranked(audit: Audit, control: bool) -> list[MethodSummary]:
    """Those that have an AUROC: without one a heatmap speaks neither for a gap nor against it."""
    return [m for m in audit.shown if m.control is control and m.auroc_label is not None]


def _printed_line(shown: Shown, audit: Audit) -> Line:
    """What figure 2's caption says of all its distributions."""
    six = [m for m in _ranked(audit, control=False) if m.operation == "add"]
    return _share(f"{shown.told}, x + h: share of heatmaps that score", audit, six, True, "all", "figure 2")


def _gap_lines(shown: Shown, audit: Audit) -> Iterator[Line]:
    own, controls = (_ranked(audit, control) for control in (False, True))
    for with_label in (True, False):
        note = "n: heatmaps and operations"
        yield _share(f"{shown.told}: share of heatmaps that score", audit, own, with_label, None, note)
    note = tally(controls, above(controls, True)) if controls else ""
    yield _share(f"{shown.told}: share of controls that score", audit, controls, True, None, note)
    best = max(own, key=lambda m: m.auroc_label_free.value if m.auroc_label_free else 0.0, default=None)
    what = f"{shown.told}: best AUROC without the label less that of plain confidence"
    if best is not None and best.auroc_difference is not None and enough(audit):
        yield Line(what, None, best.auroc_difference.as_json(), f"{best.label}. {audit.verdict}")
    else:
        yield Line(what, None, None, audit.verdict)


def _share(
    what: str,
    audit: Audit,
    methods: Sequence[MethodSummary],
    with_label: bool,
    printed: str | None,
    note: str,
) -> Line:
    """For how many of them correct images score higher, where there are images enough to say."""
    words = f"{what} correct above wrong, {'with' if with_label else 'without'} the label"
    if not enough(audit):
        return Line(words, printed, None, f"too few: {counted(audit)}")
    hits = above(methods, with_label)
    return Line(words, printed, _single(float(np.mean(hits)), len(hits)) if hits else None, note)


def better_trained(stages: Stages) -> Part:
    """The gap of the first network less that of the second, of the same architecture, image by image."""
    claim = "The gaps appear to be wider when the network is better trained."
    first, second = stages.on_xrays(0), stages.on_xrays(1)
    anchor, place = "claim-better-trained", "Section 4.1, better training"
    if first is None or second is None:
        return Part(anchor, place, NO_XRAYS, claim)
    runs = [stages.audit(shown) for shown in (first, second)]
    lines, rows = [], []
    wider = known = 0
    for name, (gaps, aurocs) in differences(runs[0], runs[1], stages.request.seed).items():
        lines.append(
            Line(
                f"{name}: gap of {NETWORKS[0].printed} less {NETWORKS[1].printed}, logits",
                # The paper compares figure 2 with figure 3 (A), which are of x + h.
                "above 0" if name.endswith("/add") else None,
                gaps.as_json(),
                "" if gaps.value is not None else f"fewer than {ENOUGH} correct or wrong images of a network",
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
        else f"Too few images to compare the two networks’ gaps: fewer than {ENOUGH} correct or wrong ones",
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
    claim = (
        "On ImageNet existing methods’ CO scores are typically at most 10; on X-rays Deconvolution’s "
        "exceed 80."
    )
    anchor, place = "claim-around-ten", "Section 4.2, scores of around ten"
    shown, xrays = stages.on_photographs(0), stages.on_xrays(0)
    # Before the audit, which takes long.
    if not stages.labelled(shown):
        return Part(anchor, place, NO_LABELS, claim, differs=shown.differs)
    run = stages.audit(shown)
    pairs = [pair for pair in scored(run).values() if not pair.control]
    known = np.concatenate([_known(pair) for pair in pairs])
    if not len(known):
        return Part(anchor, place, f"{shown.told}: no image with a label has a score", claim)
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
        anchor,
        place,
        f"{shown.told}: {np.mean(known <= TEN):.0%} of existing methods’ CO scores are at most {TEN:g}; "
        f"the highest is {known.max():.3g}{too_few(max(len(_known(pair)) for pair in pairs))}",
        claim,
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
