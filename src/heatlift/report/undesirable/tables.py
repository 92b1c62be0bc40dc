"""Undesirable pixels in numbers: the paper's tables beside the run's, every figure, and wrong predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from heatlift.report.tables import Cell, Column, Row, Table, counted_cell
from heatlift.report.undesirable.outcomes import Outcome
from heatlift.report.undesirable.paper import PAPER, PAPER_PHI
from heatlift.report.undesirable.summary import FactorSummary, Undesirable, factor_name
from heatlift.report.wording import bounds_text, count, value_text
from heatlift.wording import FACTORS, NOTHING, class_name, clean, number, shorten

MOST_WRONG = 30
"""Wrong predictions in the page; the run's table has all."""

FIGURES: Mapping[str, tuple[str, str, int | None]] = {
    "p_before": ("Probability before", "mean, of the target class", 3),
    "p_after": ("Probability after", "mean", 3),
    "p_gain": ("Gain", "mean, after minus before", 3),
    "predicted_after": ("Predicted as target", "share, afterwards", 2),
    "turned_right": ("Turned right", "share of the wrong predictions", 2),
    "turned_right_blob": ("Turned right, random places", "control", 2),
    "turned_right_blur": ("Turned right, all blurred", "control", 2),
    "phi": ("Relative improvement φ, %", "mean", None),
    "phi_median": ("φ, %, median", "of all images", None),
    "got_worse": ("Got worse", "share of the images", 2),
    "taken": ("Taken away", "mean over all pixels", 4),
    "area": ("Area", "mean share of the pixels above 0.6", 4),
    "max_magnitude": ("Largest value", "mean, of what a mask takes away", 2),
    "phi_blob": ("φ of random places, %", "control: the mask’s own values elsewhere", None),
    "phi_blur": ("φ of the whole image blurred, %", "control", None),
    "p_verify_before": ("Second network before", "mean probability of the target class", 3),
    "p_verify_after": ("Second network after", "mean", 3),
    "p_verify_gain": ("Second network’s gain", "mean", 3),
    "verify_better": ("Second network gains", "share of the images", 2),
}
"""Each figure: its name, what it is, and its decimals, where a share or probability has fixed ones."""

AGREEMENT: Mapping[str, tuple[str, str, int | None]] = {
    "iou": ("IoU above 0.6", "shared part of the pixels above it", 2),
    "iou_top": ("IoU of the top 4%", "shared part of the largest values", 2),
    "correlation": ("Correlation", "Pearson’s", 2),
    "spearman": ("Rank correlation", "Spearman’s", 2),
    "ssim": ("SSIM", "structural similarity", 2),
}

BESIDE = ("phi", "area", "max_magnitude")
"""Figures that belong beside agreement: masks that do nothing agree, too."""

CONTROLS = ("phi_blob", "phi_blur")


def paper_table(run: Undesirable) -> Table | None:
    """Tables 1 and 2 in one, with the run in the first row; None where the paper has nothing like it."""
    if not run.as_printed or not any(factor.factor in PAPER_PHI for factor in run.factors):
        return None
    known = {factor.factor: factor for factor in run.factors if factor.factor in PAPER_PHI}
    both = tuple(factor for factor in FACTORS if factor in known)
    model = run.section("model")
    name = shorten(model.get("name") or model.get("spec") or "this network", 40)
    here = [
        _measured(known[factor], figure, decimals)
        for figure, decimals in (("phi", 1), ("area", 4))
        for factor in both
    ]
    rows = [Row(False, (Cell(name, "this run"), *here))]
    for network, printed in PAPER.items():
        cells = [printed[factor][place] for place in (0, 1) for factor in both]
        rows.append(
            Row(True, (Cell(network, "as printed"), *(Cell(text, value=float(text)) for text in cells)))
        )
    left_out = max(factor.left_out for factor in known.values())
    less = f" without the {count(left_out, 'image')} of which less than 0.001 was missing and" * bool(
        left_out
    )
    asked = "" if run.target == "predicted" else " Its targets are the predicted classes, this run’s are not."
    config = run.section("config")
    if config.get("include", "all") != "all":
        asked += (
            f" This run has images that are {'right' if config['include'] == 'correct' else 'wrong'} only."
        )
    return Table(
        f"Relative improvement φ in per cent, here{less} with 95% intervals; and the share of the pixels "
        f"whose mask takes more than 0.6 away. The paper has 1,000 photographs of ImageNet.{asked}",
        (
            Column("Network", numeric=False),
            *(Column(f"{factor_name(f)}: φ, %") for f in both),
            *(Column(f"{factor_name(f)}: area") for f in both),
        ),
        tuple(rows),
    )


def figures_table(run: Undesirable) -> Table | None:
    """Every figure with its interval and n, by factor; None where there is none."""
    rows = _rows(FIGURES, run.factors)
    if not rows:
        return None
    rows += _counts("Left out of φ", "images, less than 0.001 was missing", run, "left_out")
    rows += _counts("Empty masks", "no pixel above 0.6", run, "empty")
    return Table(
        "Measured in float32 on the finished masks, with 95% intervals and the number of images.",
        _by_factor(run.factors),
        tuple(rows),
    )


def agreement_table(run: Undesirable) -> Table | None:
    """How alike the masks of one image are from trial to trial; None with a single trial."""
    factors = [factor for factor in run.factors if factor.pairs]
    rows = [
        Row(False, (Cell(title, about), *(counted_cell(f.agreement.get(name), places) for f in factors)))
        for name, (title, about, places) in AGREEMENT.items()
        if any(factor.agreement.get(name) for factor in factors)
    ]
    if not rows:
        return None
    empty = tuple(Cell(f"{f.both_empty:,}", f"of {f.pairs:,}", f.both_empty) for f in factors)
    if any(factor.both_empty for factor in factors):
        rows.append(Row(False, (Cell("Both masks empty", "pairs, counted and not scored"), *empty)))
    rows += _rows({name: FIGURES[name] for name in BESIDE}, factors)
    return Table(
        "Means over pairs of trials. Masks that take next to nothing away look alike: what they do is below.",
        _by_factor(factors),
        tuple(rows),
    )


def wrong_table(
    outcomes: Sequence[Outcome], places: Mapping[str, str], classes: Sequence[str] | None
) -> Table | None:
    """Wrong predictions and what the masks for their label make of them, those that turned right first.

    Args:
        outcomes: of all images, whose targets are their labels.
        places: where in the page images are shown, by name.
        classes: the classes' names.
    """
    by_image: dict[str, dict[str, Outcome]] = {}
    for outcome in outcomes:
        if outcome.kind == "wrong" and outcome.target == outcome.label:
            by_image.setdefault(outcome.image, {})[outcome.factor] = outcome
    if not by_image:
        return None
    factors = [f for f in FACTORS if any(f in found for found in by_image.values())]

    def order(found: Mapping[str, Outcome]) -> tuple[int, float]:
        return -sum(bool(o.turned) for o in found.values()), -max(o.gain for o in found.values())

    chosen = sorted(by_image.values(), key=order)
    right = sum(any(o.turned for o in found.values()) for found in chosen)
    cut = f" The first {MOST_WRONG}; RUN/undesirable has all." if len(chosen) > MOST_WRONG else ""
    by = " with one factor or another" if len(factors) > 1 else ""
    return Table(
        f"{right:,} of {count(len(chosen), 'wrong prediction')} turned right{by}.{cut}",
        (
            Column("Image", numeric=False),
            Column("Label, the target", numeric=False),
            Column("Predicted before", numeric=False),
            Column("Probability before"),
            *(
                column
                for factor in factors
                for column in (
                    Column(f"{factor_name(factor)}: predicted after", numeric=False),
                    Column(f"{factor_name(factor)}: probability"),
                )
            ),
        ),
        tuple(_wrong(found, factors, places, classes) for found in chosen[:MOST_WRONG]),
    )


def _wrong(
    found: Mapping[str, Outcome],
    factors: Sequence[str],
    places: Mapping[str, str],
    classes: Sequence[str] | None,
) -> Row:
    first = next(iter(found.values()))
    cells = [
        Cell(clean(first.image), link=places.get(first.image, "")),
        Cell(class_name(first.label, classes)),
        Cell(class_name(first.predicted_before, classes)),
        Cell(number(first.p_before), value=first.p_before),
    ]
    for factor in factors:
        outcome = found.get(factor)
        if outcome is None:
            cells += [Cell(NOTHING), Cell(NOTHING)]
            continue
        turned, after = bool(outcome.turned), outcome.predicted_after
        cells += [
            Cell(class_name(after, classes), "turned right" * turned, mark="correct" * turned),
            Cell(number(outcome.p_after), value=outcome.p_after),
        ]
    return Row(False, tuple(cells))


def _by_factor(factors: Sequence[FactorSummary]) -> tuple[Column, ...]:
    return (Column("Figure", numeric=False), *(Column(factor.name) for factor in factors))


def _rows(figures: Mapping[str, tuple[str, str, int | None]], factors: Sequence[FactorSummary]) -> list[Row]:
    return [
        Row(
            name in CONTROLS,
            (Cell(title, about), *(counted_cell(factor.figure(name), decimals) for factor in factors)),
        )
        for name, (title, about, decimals) in figures.items()
        if any(factor.figure(name) for factor in factors)
    ]


def _counts(title: str, about: str, run: Undesirable, name: str) -> list[Row]:
    counts = [int(getattr(factor, name)) for factor in run.factors]
    if not any(counts):
        return []
    cells = (Cell(f"{n:,}", f"of {f.n:,}", n) for f, n in zip(run.factors, counts, strict=True))
    return [Row(False, (Cell(title, about), *cells))]


def _measured(factor: FactorSummary, figure: str, decimals: int) -> Cell:
    known = factor.figure(figure)
    if known is None:
        return Cell(NOTHING)
    return Cell(value_text(known, decimals), bounds_text(known, decimals), known.value)
