"""``heatlift reproduce``: a paper's figures and tables, measured here and set beside what it prints."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from heatlift.cli import options

EXAMPLE = "Example: heatlift reproduce kang2019 --imagenet photos/ --out reproduced/kang2019 --limit 20"


def reproduce(
    paper: Annotated[
        Literal["tjoa2022", "kang2019"],
        typer.Argument(metavar="tjoa2022|kang2019", help="The paper.", show_default=False),
    ],
    out: Annotated[
        str,
        typer.Option(
            "--out", "-o", metavar="DIR", help="Where runs and the report go; started again, it goes on."
        ),
    ],
    imagenet: Annotated[
        str | None,
        typer.Option(
            metavar="DIR", help="ImageNet photographs in folders named by wnids. [the demo's photographs]"
        ),
    ] = None,
    chest_xray: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Chest X-rays: train and test, each with NORMAL and PNEUMONIA; without them the parts of "
            "tjoa2022 that need them are left out.",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Images per run, for a first look. [each paper's own]"),
    ] = None,
    only: Annotated[
        str, typer.Option(metavar="A,B", help="Some parts only, such as figure-1,table-1. [all]")
    ] = "",
    seed: options.Seed = 0,
    batch_size: options.BatchSize = "auto",
    precision: options.Precision = "auto",
) -> int:
    """Measure a paper's figures and tables, and set them beside what it prints.

    Writes report.html and reproduction.json, and each run that they are drawn from with a report of its
    own. What can't be had here (networks, weights, data) is replaced, and the report says so at the
    place. Exit status: 0 done, 1 nothing could be measured, 2 it could not start.
    """
    from heatlift.cli import progress
    from heatlift.reproduce.asked import paper_module, requested
    from heatlift.reproduce.page import told, write_reproduction

    module = paper_module(paper)
    request = requested(
        paper,
        module.PARTS,
        out=out,
        imagenet=imagenet,
        chest_xray=chest_xray,
        limit=limit,
        only=options.words(only),
        seed=seed,
        batch_size=options.number_or(batch_size),
        precision=precision,
    )
    # Parts count images, iterations and more.
    with progress.shown("") as shown:
        found = module.reproduce(request, shown)
    page = write_reproduction(found, request.out)
    print()
    for line in told(found):
        print(line)
    print(f"\nreport: {page}")
    return 0 if any(part.drawings or any(line.measured for line in part.lines) for part in found.parts) else 1


reproduce.__doc__ = f"{reproduce.__doc__}\n\n    {EXAMPLE}"
