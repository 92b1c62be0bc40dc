"""Figures 2, 3 and 7 of Tjoa 2022: boxplots of CO scores, and what gaps between correct and wrong need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from heatlift.report.distributions import read_distributions
from heatlift.report.figures import draw
from heatlift.report.findings import enough, tally
from heatlift.report.plate import Plate
from heatlift.report.plates import auroc_plate, box_plates
from heatlift.report.summary import Audit, Known, MethodSummary, read_audit
from heatlift.reproduce.parts import Drawing, Figure, Line, Part
from heatlift.reproduce.tjoa2022.stages import NO_XRAYS, Shown, Stages, differing

MOST_FULL = 2
"""Panels of which each heatmap and control has all its numbers; of more, the runs' reports have them."""


@dataclass(frozen=True)
class Panel:
    """One network's audit under one operation.

    Attributes:
        shown: network and images.
        folder: of the audit.
        operation: ``add`` or ``multiply``.
        audit: its figures, of this operation alone.
    """

    shown: Shown
    folder: Path
    operation: str
    audit: Audit

    @property
    def told(self) -> str:
        """Network, images and operation, in a few words."""
        return f"{self.shown.told}, {'x + h' if self.operation == 'add' else 'x * h'}"


def panel(stages: Stages, shown: Shown, operation: str) -> Panel:
    """The audit of a network, which is made where it isn't there yet."""
    folder = stages.audit(shown)
    audit = read_audit(folder)
    own = replace(audit, methods=tuple(m for m in audit.methods if m.operation == operation))
    return Panel(shown, folder, operation, own)


def figure_2(stages: Stages) -> Part:
    """Figure 2: the first network on the X-rays, x + h."""
    claim = (
        "All six methods’ CO scores differ between correctly and wrongly predicted images; correct ones "
        "score higher. The largest gap is Deconvolution’s."
    )
    first = stages.on_xrays(0)
    if first is None:
        return Part("figure-2", "Figure 2", NO_XRAYS, claim)
    panels, largest = [panel(stages, first, "add")], {0: "Deconvolution’s"}
    # "All distributions show gaps", says its caption; those of figures 3 and 7 don't.
    return _part(stages, "figure-2", "Figure 2", claim, panels, largest, printed="above 0")


def figure_3(stages: Stages) -> Part:
    """Figure 3: (A) the network that was stopped early, (B) the one on ImageNet, x + h."""
    claim = (
        "The gaps are there with less fine-tuning (A) and on ImageNet (B) as well, narrower than in figure "
        "2. On ImageNet the largest is Saliency’s, and existing methods mostly don’t raise the score."
    )
    second = stages.on_xrays(1)
    panels = [
        panel(stages, shown, "add") for shown in (second, stages.on_photographs(0)) if shown is not None
    ]
    missing = () if second is not None else (f"(A) {NO_XRAYS[0].lower()}{NO_XRAYS[1:]}.",)
    return _part(stages, "figure-3", "Figure 3", claim, panels, {len(panels) - 1: "Saliency’s"}, missing)


def figure_7(stages: Stages) -> Part:
    """Figure 7: the same networks with x * h, and the others."""
    claim = "More of the same: x * h, AlexNet on the X-rays and on ImageNet. Some scores show distinct gaps."
    first, third = stages.on_xrays(0), stages.on_xrays(2)
    wanted = (
        (first, "multiply"),
        (third, "add"),
        (third, "multiply"),
        (stages.on_photographs(0), "multiply"),
        (stages.on_photographs(1), "add"),
        (stages.on_photographs(1), "multiply"),
    )
    panels = [panel(stages, shown, operation) for shown, operation in wanted if shown is not None]
    missing = () if first is not None else (f"X-rays: {NO_XRAYS[0].lower()}{NO_XRAYS[1:]}.",)
    unmade = "The figure’s other GAX, x ∗ h with h = w ∗ x, is not made."
    return _part(stages, "figure-7", "Figure 7", claim, panels, {}, (*missing, unmade))


def _part(
    stages: Stages,
    anchor: str,
    place: str,
    claim: str,
    panels: Sequence[Panel],
    largest: dict[int, str],
    missing: tuple[str, ...] = (),
    printed: str | None = None,
) -> Part:
    """A figure of boxplots.

    Args:
        stages: of the reproduction.
        anchor: its name.
        place: where it is in the paper.
        claim: what the paper says there.
        panels: what it shows.
        largest: by a panel's place, whose gap the paper says to be the largest.
        missing: what can't be shown, or is not made.
        printed: what the paper says of every heatmap's gap.
    """
    lines = [line for one in panels for line in gap_lines(one, printed, len(panels) > MOST_FULL)]
    lines += [line for number, whose in largest.items() for line in _largest(panels[number], whose)]
    differs = differing((one.shown.told, one.shown.differs) for one in panels)
    controls = "Beside the paper’s six: control heatmaps, the score without the label, and plain confidence."
    return Part(
        anchor,
        place,
        _title(panels),
        claim,
        tuple(lines),
        tuple(
            drawing for number, one in enumerate(panels) for drawing in _drawings(one, f"{anchor}-{number}")
        ),
        (*missing, *differs, controls),
        tuple(dict.fromkeys(stages.relative(one.folder) for one in panels)),
    )


def _title(panels: Sequence[Panel]) -> str:
    """Each panel's finding; of many, all of them counted together."""
    if len(panels) <= MOST_FULL:
        return "; ".join(finding(one) for one in panels)
    usable = [one for one in panels if enough(one.audit)]
    methods, compared = [m for one in usable for m in one.audit.shown], len(usable)
    if not methods:
        return "Too few images to compare correct with wrong"
    with_label, without = (tally(methods, above(methods, label)) for label in (True, False))
    return (
        f"Over {compared} panels, correct predictions score higher for {with_label}; without the "
        f"label for {without}"
    )


def finding(one: Panel) -> str:
    """For how many heatmaps correct images score higher, with the label and without it."""
    audit = one.audit
    if not enough(audit):
        return f"{one.told}: too few images to compare correct with wrong ({counted(audit)})"
    found = [above(audit.shown, with_label) for with_label in (True, False)]
    with_label, without = (tally(audit.shown, hits) for hits in found)
    return f"{one.told}: correct predictions score higher for {with_label}; without the label for {without}"


def counted(audit: Audit) -> str:
    """``40 correct, 6 wrong``."""
    return f"{audit.count('correct'):,} correct, {audit.count('wrong'):,} wrong"


def above(methods: Sequence[MethodSummary], with_label: bool) -> list[bool]:
    """For which of them the whole interval of the AUROC lies above 0.5; one that is unknown does not."""
    aurocs = [m.auroc_label if with_label else m.auroc_label_free for m in methods]
    return [auroc is not None and auroc.above(0.5) for auroc in aurocs]


def gap_lines(one: Panel, printed: str | None = None, brief: bool = False) -> Iterator[Line]:
    """Every heatmap's and control's gap, and how well its scores and confidence rank the images.

    Args:
        one: the audit.
        printed: what the paper says of every heatmap's gap.
        brief: whether controls and AUROCs are left to the drawings.
    """
    few = "" if enough(one.audit) else "fewer than 30 wrong or 30 correct images"
    for method in sorted(one.audit.shown, key=lambda m: m.control):
        if brief and method.control:
            continue
        name = f"{one.told}: {'control ' if method.control else ''}{method.name}"
        said = None if method.control else printed
        yield Line(f"{name}, gap of medians with the label, logits", said, _figure(method.gap), few)
        if brief:
            continue
        yield Line(f"{name}, AUROC with the label", None, _figure(method.auroc_label), few)
        yield Line(f"{name}, AUROC without the label", None, _figure(method.auroc_label_free), few)
    yield Line(f"{one.told}: plain confidence, AUROC", None, _figure(one.audit.confidence), few)
    yield Line(f"{one.told}: accuracy", None, _figure(one.audit.accuracy))


def _largest(one: Panel, whose: str) -> Iterator[Line]:
    known = [m for m in one.audit.shown if not m.control and m.gap is not None]
    if not enough(one.audit):
        yield Line(f"{one.told}: largest gap of the six", whose, None, f"too few: {counted(one.audit)}")
    elif known:
        best = max(known, key=lambda m: m.gap.value if m.gap is not None else 0.0)
        yield Line(f"{one.told}: largest gap of the six", whose, _figure(best.gap), f"{best.name}’s")


def _drawings(one: Panel, identity: str) -> Iterator[Drawing]:
    scores, _ = read_distributions(one.folder)
    plates: list[Plate | None] = [*box_plates(one.audit, scores)]
    if enough(one.audit):
        plates.append(auroc_plate(one.audit))
    return (drawn(plate, identity, f"{one.told}. ") for plate in plates if plate is not None)


def drawn(plate: Plate, identity: str, before: str = "") -> Drawing:
    """A report's figure as a drawing of a part, its title in the caption."""
    own = replace(plate, identity=f"{identity}-{plate.identity}")
    return Drawing(draw(own), f"{before}{plate.title}. {plate.caption}")


def _figure(known: Known | None) -> Figure | None:
    return None if known is None else known.as_json()
