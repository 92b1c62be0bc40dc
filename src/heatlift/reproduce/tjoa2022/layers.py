"""Figure 8 of Tjoa 2022: Layer GradCAM's CO scores at the stages of the network on ImageNet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

from heatlift.report.distributions import read_distributions
from heatlift.report.findings import enough
from heatlift.report.known import known_figure
from heatlift.report.layer_plates import layer_plates, read_stages
from heatlift.report.plates import box_plates
from heatlift.report.summary import Audit, read_audit
from heatlift.report.wording import interval
from heatlift.reproduce.enough import too_few
from heatlift.reproduce.parts import Drawing, Line, Part
from heatlift.reproduce.tjoa2022.audits import drawn
from heatlift.reproduce.tjoa2022.stages import LAYERED, Stages
from heatlift.run.columns import PairScores, read_predictions, read_scores
from heatlift.statistics import Figure, mean, median

OPERATIONS = {"add": "x + h", "multiply": "x * h"}


def figure_8(stages: Stages) -> Part:
    """Figure 8, with how the score goes with depth, image by image."""
    shown = stages.on_photographs(0)
    methods = ("layer_gradcam@all",)
    run = stages.audit(shown, "layers", LAYERED, methods=methods, controls=("zero", "noise"))
    audit = read_audit(run)
    scores = {(p.method, p.operation): p for p in read_scores(run, read_predictions(run))}
    layers = [stage.method for stage in read_stages(audit)]
    depth = {o: deeper([scores[name, o] for name in layers if (name, o) in scores]) for o in OPERATIONS}
    lines = [
        Line(
            f"{words}: rank correlation of a stage’s place with its CO score, mean over images",
            "above 0" if operation == "multiply" else "no difference",
            depth[operation].as_json(),
            "above 0: deeper stages score higher",
        )
        for operation, words in OPERATIONS.items()
    ]
    return Part(
        "figure-8",
        "Figure 8",
        "; ".join(f"{words}: {_said(depth[operation])}" for operation, words in OPERATIONS.items())
        + too_few(min(one.n for one in depth.values())),
        "Heatmaps from deeper layers, which detect more features, should raise the CO score more: a "
        "difference is seen with x * h, not with x + h.",
        (*lines, *_medians(scores, layers)),
        tuple(_drawings(run, audit)),
        (
            *shown.differs,
            f"Stages of {shown.told} from its first convolution to its last maps, in place of ResNet-34’s.",
        ),
        (stages.relative(run),),
    )


def deeper(pairs: list[PairScores]) -> Figure:
    """The mean over images of the rank correlation between the place of a layer and its CO score.

    Of the label where it is known for all, else of the prediction. Unknown for fewer than three layers.

    Args:
        pairs: the scores at each layer, from the first to the last, over the same images.
    """
    if len(pairs) < 3:
        return Figure.unknown(0)
    ok = np.logical_and.reduce([pair.ok for pair in pairs])
    found = np.stack([pair.co_label[ok] for pair in pairs])
    if not np.isfinite(found).all():
        found = np.stack([pair.co_predicted[ok] for pair in pairs])
    varied = found.max(axis=0) > found.min(axis=0)
    ranks = rankdata(found[:, varied], axis=0)
    place = np.arange(len(pairs)) - (len(pairs) - 1) / 2
    ranks = ranks - ranks.mean(axis=0)
    correlation = place @ ranks / np.sqrt((place**2).sum() * (ranks**2).sum(axis=0))
    return mean(correlation)


def _said(depth: Figure) -> str:
    if depth.value is None:
        return "too few stages or images to compare"
    told = f"correlation {interval(known_figure(depth.as_json()), 2)}"
    if depth.above(0):
        return f"deeper stages score higher ({told})"
    return f"deeper stages score lower ({told})" if depth.below(0) else f"no trend over the stages ({told})"


def _medians(scores: dict[tuple[str, str], PairScores], layers: list[str]) -> Iterator[Line]:
    for operation, words in OPERATIONS.items():
        for name in (*layers, "noise"):
            pair = scores.get((name, operation))
            if pair is not None:
                values = pair.co_label[pair.ok & np.isfinite(pair.co_label)]
                who = "control noise" if pair.control else name.partition("@")[2]
                yield Line(
                    f"{words}, {who}: median CO score of the label, logits", None, median(values).as_json()
                )


def _drawings(run: Path, audit: Audit) -> Iterator[Drawing]:
    scores, _ = read_distributions(run)
    for operation in OPERATIONS:
        own = replace(audit, methods=tuple(m for m in audit.methods if m.operation == operation))
        for plate in box_plates(own, scores):
            if plate.identity.endswith("label"):
                yield drawn(plate, f"figure-8-{operation}")
    for plate in layer_plates(audit):
        if plate.identity.endswith("tells") and enough(audit):
            yield drawn(plate, "figure-8")
