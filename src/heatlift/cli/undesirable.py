"""``heatlift undesirable``: which pixels stand in the way of a class?"""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from heatlift.cli import options

EXAMPLE = (
    "Example: heatlift undesirable photos/ --model demo --preset stable --include wrong --target label "
    "--out runs/undesirable --limit 20"
)


def undesirable(
    data: Annotated[
        str,
        typer.Argument(help="A folder of class folders, a flat folder, or a .csv/.parquet with path,label."),
    ],
    model: options.Model,
    out: options.Out,
    factor: Annotated[
        str,
        typer.Option(
            metavar="target|non-target|none",
            help="F-TC, F-NTC, neither, or several with commas. [target; of stable: none]",
        ),
    ] = "",
    target: Annotated[
        str,
        typer.Option(metavar="CLASS", help="The class in question: predicted, label, a name or a number."),
    ] = "predicted",
    include: Annotated[
        Literal["correct", "wrong", "all"],
        typer.Option(metavar="correct|wrong|all", help="Which images, by what is predicted of them."),
    ] = "all",
    preset: Annotated[
        Literal["paper", "stable"],
        typer.Option(
            metavar="paper|stable",
            help="The paper's settings, or those whose masks agree from trial to trial.",
        ),
    ] = "paper",
    trials: Annotated[
        int,
        typer.Option(metavar="N", help="Masks of each image, all that is random drawn anew."),
    ] = 1,
    game: Annotated[
        Literal["improve", "delete", "preserve"],
        typer.Option(
            metavar="improve|delete|preserve",
            help="Raise the class by blurring little, lower it so, or keep it by keeping little.",
        ),
    ] = "improve",
    also: options.Also = None,
    also_weights: options.AlsoWeights = None,
    verify_on: options.VerifyOn = None,
    verify_weights: options.VerifyWeights = "default",
    keep_steps: Annotated[
        str,
        typer.Option(metavar="N|all|none", help="Keep the masks and some steps of N images, for the report."),
    ] = "24",
    steps: Annotated[int | None, typer.Option(metavar="N", help="Steps of every mask. [preset]")] = None,
    gamma: Annotated[float | None, typer.Option(metavar="W", help="Weight of the factor. [preset]")] = None,
    tv_weight: Annotated[
        float | None, typer.Option(metavar="W", help="Weight of the total variation. [preset]")
    ] = None,
    l1_weight: Annotated[
        float | None, typer.Option(metavar="W", help="Weight of what is blurred. [preset]")
    ] = None,
    tv: Annotated[
        Literal["isotropic", "power"] | None,
        typer.Option(metavar="isotropic|power", help="Form of the total variation. [preset]"),
    ] = None,
    beta: Annotated[float | None, typer.Option(metavar="B", help="Exponent of power. [preset]")] = None,
    reduction: Annotated[
        Literal["mean", "sum"] | None,
        typer.Option(metavar="mean|sum", help="Over the cells of the mask. [preset]"),
    ] = None,
    centred: Annotated[
        bool | None,
        typer.Option("--centred/--raw", help="Whether factors see logits less their mean. [preset]"),
    ] = None,
    loss: Annotated[
        Literal["probability", "log_probability"] | None,
        typer.Option(metavar="probability|log_probability", help="What is raised. [preset]"),
    ] = None,
    bounds: Annotated[
        Literal["clamp", "sigmoid"] | None,
        typer.Option(metavar="clamp|sigmoid", help="What keeps a mask in [0, 1]. [preset]"),
    ] = None,
    resolution: Annotated[
        int | None, typer.Option(metavar="N", help="Side of the coarse mask. [preset]")
    ] = None,
    init: Annotated[
        Literal["random", "ones"] | None,
        typer.Option(metavar="random|ones", help="Where masks start. [preset]"),
    ] = None,
    reference: Annotated[
        Literal["blur", "mean", "local_mean"] | None,
        typer.Option(metavar="blur|mean|local_mean", help="What takes a pixel's place. [preset]"),
    ] = None,
    kernel: Annotated[
        int | None, typer.Option(metavar="N", help="The blur's window in pixels, odd. [preset]")
    ] = None,
    sigma: Annotated[
        float | None, typer.Option(metavar="S", help="The blur's standard deviation in pixels. [preset]")
    ] = None,
    views: Annotated[
        int | None, typer.Option(metavar="N", help="Shifted and mirrored views per step. [preset]")
    ] = None,
    shift: Annotated[
        int | None, typer.Option(metavar="N", help="A view's largest shift, in pixels. [preset]")
    ] = None,
    averaged: Annotated[
        float | None, typer.Option(metavar="P", help="Last part of the steps that is averaged. [preset]")
    ] = None,
    restarts: Annotated[
        int | None, typer.Option(metavar="N", help="Masks that are averaged into one. [preset]")
    ] = None,
    shared: Annotated[
        bool | None,
        typer.Option("--shared/--apart", help="Whether Adam scales all cells of a mask alike. [preset]"),
    ] = None,
    lr: Annotated[float | None, typer.Option(metavar="R", help="Adam's learning rate. [preset]")] = None,
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
    """Find the pixels that stand in the way of a class: blurred, they make its probability rise.

    Writes tables, summary.json and report.html to the run's folder. Exit status: 0 done, 1 no image
    has a result, 2 it could not start.
    """
    from heatlift.cli.optimising import run_and_report
    from heatlift.run.undesirable import prepare_undesirable, run_undesirable, undesirable_configured

    names = (options.words(factor) or ("none",)) if factor else ()
    config = undesirable_configured(
        data=data,
        model=model,
        factor=tuple(name.replace("-", "_") for name in names),
        target=options.number_or(target),
        include=include,
        preset=preset,
        trials=trials,
        game=game,
        also=tuple(also or ()),
        also_weights=tuple(also_weights or ()),
        verify_on=verify_on,
        verify_weights=verify_weights,
        keep_steps=options.number_or(keep_steps),
        steps=steps,
        gamma=gamma,
        tv_weight=tv_weight,
        l1_weight=l1_weight,
        tv=tv,
        beta=beta,
        reduction=reduction,
        centred=centred,
        loss=loss,
        bounds=bounds,
        resolution=resolution,
        init=init,
        reference=reference,
        kernel=kernel,
        sigma=sigma,
        views=views,
        shift=shift,
        averaged=averaged,
        restarts=restarts,
        shared=shared,
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
        config,
        prepare_undesirable,
        run_undesirable,
        out,
        "masked",
        options.engine(engine, scheduler, workers),
    )


undesirable.__doc__ = f"{undesirable.__doc__}\n\n    {EXAMPLE}"
