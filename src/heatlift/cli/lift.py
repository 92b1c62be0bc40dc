"""``heatlift lift``: what change of the pixels would make the classifier (more) right?"""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from heatlift.cli import options

EXAMPLE = "Example: heatlift lift photos/ --model demo --verify-on demo-lite2 --out runs/lift --limit 20"


def lift(
    data: Annotated[
        str,
        typer.Argument(help="A folder of class folders, a flat folder, or a .csv/.parquet with path,label."),
    ],
    model: options.Model,
    out: options.Out,
    method: Annotated[
        Literal["gax", "spotlight"],
        typer.Option(
            metavar="gax|spotlight",
            help="gax: a heatmap added until the CO score is reached; spotlight: smooth, sparing, shared.",
        ),
    ] = "gax",
    include: Annotated[
        Literal["correct", "wrong", "all"],
        typer.Option(metavar="correct|wrong|all", help="Which images, by what is predicted of them."),
    ] = "correct",
    target: Annotated[
        str,
        typer.Option(metavar="CLASS", help="The class that is raised: label, predicted, a name or a number."),
    ] = "label",
    also: options.Also = None,
    also_weights: options.AlsoWeights = None,
    verify_on: options.VerifyOn = None,
    verify_weights: options.VerifyWeights = "default",
    keep_steps: Annotated[
        str,
        typer.Option(
            metavar="N|all|none", help="Keep every step's heatmap of N images, for the report's slider."
        ),
    ] = "4",
    target_co: Annotated[float, typer.Option(metavar="S", help="gax: the CO score to be reached.")] = 48.0,
    max_steps: Annotated[int, typer.Option(metavar="N", help="gax: steps after which it gives up.")] = 500,
    similarity: Annotated[
        float, typer.Option(metavar="W", help="gax: weight that keeps the heatmap from resembling the image.")
    ] = 100.0,
    bias: Annotated[
        float | None,
        typer.Option(metavar="B", help="gax: also optimise a bias, from here; the paper has 0.01. [off]"),
    ] = None,
    operation: Annotated[
        Literal["add", "multiply"], typer.Option(metavar="add|multiply", help="gax: how h is applied.")
    ] = "add",
    best: Annotated[
        bool, typer.Option("--best", help="gax: where it isn't reached, give the best heatmap, not the last.")
    ] = False,
    steps: Annotated[int, typer.Option(metavar="N", help="spotlight: steps of every image.")] = 80,
    strength: Annotated[
        float, typer.Option(metavar="A", help="spotlight: most that a pixel changes, as a share.")
    ] = 0.15,
    resolution: Annotated[int, typer.Option(metavar="N", help="spotlight: side of the coarse map.")] = 28,
    colour: Annotated[
        bool, typer.Option("--colour/--grey", help="spotlight: a map for each channel, or one for all.")
    ] = True,
    penalty: Annotated[float, typer.Option(metavar="W", help="spotlight: weight of the mean change.")] = 5.0,
    views: Annotated[int, typer.Option(metavar="N", help="spotlight: views of an image per step.")] = 1,
    shift: Annotated[
        int, typer.Option(metavar="N", help="spotlight: a view's largest shift, in pixels.")
    ] = 8,
    lr: Annotated[float, typer.Option(metavar="R", help="Adam's learning rate.")] = 0.1,
    weights: options.Weights = "default",
    num_classes: options.NumClasses = None,
    classes: options.Classes = None,
    mean: options.Mean = None,
    std: options.Std = None,
    size: options.Size = None,
    resize: options.Resize = None,
    limit: Annotated[int | None, typer.Option(metavar="N", help="A random sample of N images.")] = None,
    batch_size: options.BatchSize = "16",
    precision: options.Precision = "fp32",
    seed: options.Seed = 0,
    engine: options.EngineName = "local",
    scheduler: options.Scheduler = None,
    workers: options.Workers = None,
    shard_size: options.ShardSize = 32,
) -> int:
    """Optimise heatmaps that make a classifier (more) right, and say whether another network agrees.

    Writes tables, summary.json and report.html to the run's folder. Exit status: 0 done, 1 no image
    could be tried, 2 it could not start.
    """
    from heatlift.cli.optimising import run_and_report
    from heatlift.run.lift import lift_configured, prepare_lift, run_lift

    config = lift_configured(
        data=data,
        model=model,
        method=method,
        include=include,
        target=options.number_or(target),
        also=tuple(also or ()),
        also_weights=tuple(also_weights or ()),
        verify_on=verify_on,
        verify_weights=verify_weights,
        keep_steps=options.number_or(keep_steps),
        target_co=target_co,
        max_steps=max_steps,
        similarity=similarity,
        bias=bias,
        operation=operation,
        best=best,
        steps=steps,
        strength=strength,
        resolution=resolution,
        colour=colour,
        penalty=penalty,
        views=views,
        shift=shift,
        lr=lr,
        weights=weights,
        num_classes=num_classes,
        classes=str(classes) if classes is not None else None,
        mean=options.channels("--mean", mean),
        std=options.channels("--std", std),
        size=size,
        resize=resize,
        limit=limit,
        batch_size=options.number_or(batch_size),
        precision=precision,
        seed=seed,
        shard_size=shard_size,
    )
    return run_and_report(
        config, prepare_lift, run_lift, out, "tried", options.engine(engine, scheduler, workers)
    )


lift.__doc__ = f"{lift.__doc__}\n\n    {EXAMPLE}"
