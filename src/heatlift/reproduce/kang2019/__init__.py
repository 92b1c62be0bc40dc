"""Kang 2019: its figures in form and its tables, measured here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import heatlift
from heatlift.reproduce.kang2019.examples import figure_1, figure_5
from heatlift.reproduce.kang2019.similar import figure_4
from heatlift.reproduce.kang2019.stages import PAPER, Stages
from heatlift.reproduce.kang2019.tables import table_1, table_2
from heatlift.reproduce.kang2019.trials import figure_2, figure_3
from heatlift.reproduce.parts import Part, Reproduction
from heatlift.reproduce.request import Progress, Request, command
from heatlift.run.record import package_versions

MAKERS: Mapping[str, Callable[[Stages], Part]] = {
    "figure-1": figure_1,
    "figure-2": figure_2,
    "figure-3": figure_3,
    "figure-4": figure_4,
    "figure-5": figure_5,
    "table-1": table_1,
    "table-2": table_2,
}

PARTS: tuple[str, ...] = tuple(MAKERS)
"""Anchors, in the paper's order."""

REFERENCE = (
    "Kang, Jung and Lee, “Interpreting Undesirable Pixels for Image Classification on Black-Box Models” "
    "(2019): regions that stand in the way of a class, by factors for it (F-TC) and for the others (F-NTC)"
)


def reproduce(request: Request, progress: Progress) -> Reproduction:
    """Measure the figures and tables that are asked for, each from runs in ``request.out``.

    What was finished before is kept: after a kill the same request goes on.

    Raises:
        HeatliftError: images or networks can't be had, or the folder holds runs with other settings.
    """
    stages = Stages(request, progress)
    parts = tuple(MAKERS[anchor](stages) for anchor in PARTS if anchor in (request.only or PARTS))
    return Reproduction(
        PAPER,
        REFERENCE,
        parts,
        {
            "command": command(PAPER, request),
            "images": stages.data,
            "images of the tables, at most": stages.limit,
            "seed": request.seed,
            "precision": f"{request.precision} while masks are found; every figure is measured in float32",
            "batch size": request.batch_size,
            "networks": {one.printed: f"{one.name} ({one.spec})" for one in stages.networks},
            "versions": {"heatlift": heatlift.__version__, **package_versions()},
        },
    )
