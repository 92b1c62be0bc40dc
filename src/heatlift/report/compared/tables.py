"""The tables of several audits: the runs, their heatmaps, their orders, and the images they dispute."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from heatlift.report.compared.runs import Beside, Heatmap, Side
from heatlift.report.known import Known, known_figure
from heatlift.report.tables import Cell, Column, Row, Table
from heatlift.report.wording import bounds_text, count, value_text
from heatlift.run.compared import Accuracies, Ranks, most_disputed
from heatlift.statistics import Figure
from heatlift.wording import NOTHING, class_name, clean, number, shorten

MOST_DISPUTED = 12
"""Images that are named."""


def runs_table(beside: Beside) -> Table:
    """Each run on all of its own images, and its own verdict."""
    titles = (
        "Run",
        "Classifier",
        "Images",
        "Accuracy",
        "AUROC of confidence",
        "AURC of confidence",
        "Verdict",
    )
    words = {"Run", "Classifier", "Verdict"}
    return Table(
        "Each run on all of its own images, with 95% intervals. AURC: lower is better.",
        tuple(Column(title, title not in words) for title in titles),
        tuple(Row(False, tuple(_run(side))) for side in beside.sides),
    )


def _run(side: Side) -> Iterator[Cell]:
    audit, model = side.audit, side.audit.section("model")
    confidence = audit.baselines.get("confidence", {})
    name, spec = clean(model.get("name") or ""), clean(model.get("spec") or "")
    yield Cell(side.name)
    yield Cell(shorten(spec or name or "unknown", 60), shorten(name, 40) if name not in spec else "")
    yield Cell(f"{audit.count('images'):,}", f"{audit.count('failed'):,} failed", audit.count("images"))
    yield figure_cell(audit.accuracy, 3)
    yield figure_cell(confidence.get("auroc"), 3)
    yield figure_cell(confidence.get("aurc"), 4)
    yield Cell(clean(audit.verdict))


def pairs_table(beside: Beside) -> Table | None:
    """Each further run against the first on the same images; None where no image has a label in every run."""
    first, *others = beside.sides
    if not beside.accuracies:
        return None
    return Table(
        f"Each further run beside {first.name} on the same "
        f"{count(beside.accuracies[0].first.n, 'image')}, with 95% intervals.",
        (
            Column("Run", numeric=False),
            Column("Accuracy on these"),
            Column(f"Minus that of {first.short}"),
            Column("Only this one right"),
            Column(f"Only {first.short} right"),
            Column("McNemar’s p"),
            Column("Same prediction"),
        ),
        tuple(
            Row(False, (Cell(other.name), *_pair(found, same)))
            for other, found, same in zip(others, beside.accuracies, beside.same, strict=True)
        ),
    )


def _pair(found: Accuracies, same: Figure) -> Iterator[Cell]:
    turned = found.turned
    yield figure_cell(_known(found.other), 3)
    yield figure_cell(_known(found.difference), 3)
    yield Cell(f"{turned.turned_right:,}", "", turned.turned_right)
    yield Cell(f"{turned.turned_wrong:,}", "", turned.turned_wrong)
    yield Cell(number(turned.p), "", turned.p)
    yield figure_cell(_known(same), 3)


def changes_table(beside: Beside) -> Table | None:
    """What every heatmap does to the label's probability in each run; None where they share none."""
    first, *others = beside.sides
    return _heatmaps_table(
        beside,
        "What each heatmap does to the label’s probability: in each run on all of its images, and in pairs "
        "on the images that both could use, with 95% intervals.",
        [
            *(Column(f"Change, {side.short}") for side in beside.sides),
            *(Column(f"{other.short} minus {first.short}, in pairs") for other in others),
            *(Column(f"Share raised, {side.short}") for side in beside.sides),
        ],
        lambda row: [
            *(figure_cell(known, 3) for known in row.figures("delta_p_label")),
            *(figure_cell(known, 3, counted=True) for known in row.differences),
            *(figure_cell(known, 2) for known in row.figures("raised_share")),
        ],
    )


def aurocs_table(beside: Beside) -> Table | None:
    """How well every heatmap's score tells correct from wrong in each run; None where nothing is known."""
    if not any(any(row.figures("auroc_label_free")) for row in beside.heatmaps):
        return None
    added = any(any(row.added) for row in beside.heatmaps)
    return _heatmaps_table(
        beside,
        "How well each heatmap’s score without the label tells correct from wrong in each run, on all of its "
        "images" + (", and what it adds to confidence" if added else "") + ", with 95% intervals.",
        [
            *(Column(f"AUROC without label, {side.short}") for side in beside.sides),
            *(Column(f"Added to confidence, {side.short}") for side in beside.sides if added),
        ],
        lambda row: [
            *(figure_cell(known, 2) for known in row.figures("auroc_label_free")),
            *(figure_cell(known, 3) for known in row.added if added),
        ],
    )


def _heatmaps_table(
    beside: Beside, caption: str, columns: Sequence[Column], cells: Callable[[Heatmap], Sequence[Cell]]
) -> Table | None:
    if not beside.heatmaps:
        return None
    return Table(
        caption,
        (Column("Heatmap", numeric=False), *columns),
        tuple(
            Row(row.control, (Cell(row.name, "control" if row.control else ""), *cells(row)))
            for row in beside.heatmaps
        ),
    )


def ranks_table(beside: Beside) -> Table | None:
    """How alike each further run orders the heatmaps; None where nothing can be said."""
    measures = {
        "Change of the label’s probability": beside.ranks,
        "Gap": beside.by_gap,
        "AUROC without the label": beside.by_auroc,
    }
    rows = [
        Row(False, (Cell(measure), Cell(other.name), *_ranks(ranks)))
        for measure, found in measures.items()
        for other, ranks in zip(beside.sides[1:], found, strict=False)
        if ranks.spearman.value is not None
    ]
    if not rows:
        return None
    return Table(
        f"How alike each run and {beside.sides[0].name} order the heatmaps, controls left out. 1: the same "
        "order; 0: unrelated; −1: reversed.",
        (
            Column("Ordered by", numeric=False),
            Column("Run", numeric=False),
            Column("Spearman"),
            Column("Kendall"),
            Column("Heatmaps"),
        ),
        tuple(rows),
    )


def _ranks(ranks: Ranks) -> Iterator[Cell]:
    yield figure_cell(_known(ranks.spearman), 2)
    yield figure_cell(_known(ranks.kendall), 2)
    yield Cell(f"{ranks.heatmaps}", "", ranks.heatmaps)


def disputed_table(beside: Beside) -> Table | None:
    """The images on which the networks contradict each other most; None where they never do."""
    runs = beside.paired.runs
    places = most_disputed(
        np.stack([run.predicted for run in runs]),
        np.stack([run.confidence for run in runs]),
        np.stack([run.usable for run in runs]),
        MOST_DISPUTED,
    )
    if not len(places):
        return None
    labelled = beside.paired.labelled
    columns = [Column("Image", numeric=False)]
    columns += [Column("Label", numeric=False)] if labelled[places].any() else []
    columns += [Column(side.short, numeric=False) for side in beside.sides]
    rows = []
    for place in map(int, places):
        cells = [Cell(clean(beside.paired.names[place]))]
        if len(columns) > len(runs) + 1:
            label = int(runs[0].label[place])
            cells.append(
                Cell(class_name(label, beside.sides[0].audit.classes) if labelled[place] else NOTHING)
            )
        cells += [_prediction(side, place, bool(labelled[place])) for side in beside.sides]
        rows.append(Row(False, tuple(cells)))
    return Table(
        "What each run predicts, and how confident it is. First: the images where the less confident of two "
        "networks that contradict each other is surest.",
        tuple(columns),
        tuple(rows),
    )


def _prediction(side: Side, place: int, labelled: bool) -> Cell:
    run = side.shared
    if not run.usable[place]:
        return Cell(NOTHING, "failed")
    name = class_name(int(run.predicted[place]), side.audit.classes)
    confidence = value_text(Known(float(run.confidence[place]), None, None, 1), 2)
    if not labelled:
        return Cell(name, confidence)
    mark = "correct" if run.correct[place] else "wrong"
    return Cell(name, f"{mark}, {confidence}", mark=mark)


def figure_cell(known: Known | None, decimals: int, counted: bool = False) -> Cell:
    """The value above its interval, and if asked above its number of images."""
    if known is None:
        return Cell(NOTHING)
    detail = "; ".join(filter(None, (bounds_text(known, decimals), f"n = {known.n:,}" if counted else "")))
    return Cell(value_text(known, decimals), detail, known.value)


def _known(figure: Figure) -> Known | None:
    return known_figure(figure.as_json())
