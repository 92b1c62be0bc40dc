"""Tjoa 2022: its figures and its table, measured here, and what it concludes from them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from heatlift.reproduce.parts import Part, Reproduction
from heatlift.reproduce.request import Progress, Request, command

MAKERS: Mapping[str, tuple[str, str]] = {
    "figure-1": ("toy", "figure_1"),
    "table-1": ("table_1", "table_1"),
    "figure-2": ("audits", "figure_2"),
    "figure-3": ("audits", "figure_3"),
    "claim-gap": ("gaps", "gap"),
    "claim-better-trained": ("gaps", "better_trained"),
    "claim-around-ten": ("gaps", "around_ten"),
    "figure-4": ("curves", "figure_4"),
    "figure-5": ("panels", "figure_5"),
    "claim-extreme-intensities": ("pixels", "extreme_intensities"),
    "claim-negative-values": ("pixels", "negative_values"),
    "figure-6": ("toy", "figure_6"),
    "figure-7": ("audits", "figure_7"),
    "figure-8": ("layers", "figure_8"),
}
"""Where each part is made; what a part needs is imported when it is asked for."""

PARTS: tuple[str, ...] = tuple(MAKERS)
"""Anchors, in the paper's order; what it concludes stands beside the figures that it concludes it from."""

REFERENCE = (
    "Tjoa, Khok, Chouhan and Guan, “Improving Deep Neural Network Classification Confidence using "
    "Heatmap-based eXplainable AI” (arXiv:2201.00009): augmentative explanation (AX), the confidence "
    "optimisation (CO) score, and generative AX (GAX)"
)


def reproduce(request: Request, progress: Progress) -> Reproduction:
    """Measure the figures, the table and the claims that are asked for, each from runs in ``request.out``.

    What was finished before is kept: after a kill the same request goes on.

    Raises:
        HeatliftError: images or networks can't be had, or the folder holds runs with other settings.
    """
    import heatlift
    from heatlift.reproduce.tjoa2022.stages import AUDITED, LAYERED, LIFTED, PAPER, Stages
    from heatlift.run.record import package_versions

    stages = Stages(request, progress)
    parts = tuple(_made(anchor, stages) for anchor in PARTS if anchor in (request.only or PARTS))
    return Reproduction(
        PAPER,
        REFERENCE,
        parts,
        {
            "command": command(PAPER, request),
            "photographs": request.imagenet or "the demo’s",
            "X-rays": request.chest_xray or "none",
            "most photographs of the two audits, of GAX runs, of figure 8": (
                None if request.limit else (*AUDITED, LIFTED, LAYERED)
            ),
            "images of a run, at most": request.limit,
            "seed": request.seed,
            "precision": f"{request.precision} while networks or heatmaps are trained; scores are float32",
            "batch size": request.batch_size,
            "networks": {
                one.printed: f"{one.name} ({one.spec})" for one in stages.__dict__.get("networks", ())
            },
            "versions": {"heatlift": heatlift.__version__, **package_versions()},
        },
    )


def _made(anchor: str, stages: object) -> Part:
    room, name = MAKERS[anchor]
    part = getattr(import_module(f"heatlift.reproduce.tjoa2022.{room}"), name)
    made: Part = part() if room == "toy" else part(stages)
    return made
