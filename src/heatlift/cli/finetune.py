"""``heatlift finetune``: train a network on class folders, by the recipe of Tjoa 2022."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from heatlift.cli import options
from heatlift.errors import HeatliftError

if TYPE_CHECKING:
    from collections.abc import Mapping

EXAMPLE = (
    "Example: heatlift finetune xrays/train --test xrays/test --model demo --until-val-accuracy 0.8 "
    "--min-iterations 200 --out nets/first"
)

STOPPING = "When it stops"


def finetune(
    data: Annotated[
        str,
        typer.Argument(help="A folder of class folders, or a .csv/.parquet with path,label and --classes."),
    ],
    model: options.Model,
    out: Annotated[
        str,
        typer.Option("--out", "-o", metavar="DIR", help="A folder; started again, the training goes on."),
    ],
    test: Annotated[
        str | None, typer.Option(metavar="DATA", help="Images that take no part, measured at the end.")
    ] = None,
    until_val_accuracy: Annotated[
        float,
        typer.Option(
            metavar="A",
            help="Stop at this validation accuracy; the paper's are 0.99 and 0.8.",
            rich_help_panel=STOPPING,
        ),
    ] = 0.99,
    min_iterations: Annotated[
        int, typer.Option(metavar="N", help="Not before so many.", rich_help_panel=STOPPING)
    ] = 2400,
    max_iterations: Annotated[
        int, typer.Option(metavar="N", help="At so many at the latest.", rich_help_panel=STOPPING)
    ] = 240_000,
    patience: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Also after N looks at the validation images without a better accuracy.",
            rich_help_panel=STOPPING,
        ),
    ] = None,
    validate_every: Annotated[int, typer.Option(metavar="N", help="Iterations between those looks.")] = 100,
    validation: Annotated[
        str,
        typer.Option(
            metavar="SHARE|A,B", help="What is held back for validation: a share, or a number for each class."
        ),
    ] = "0.2",
    positive: Annotated[
        str | None,
        typer.Option(metavar="CLASS", help="What precision and recall are of. [the last of two classes]"),
    ] = None,
    batch_size: Annotated[int, typer.Option(metavar="N", help="Images per iteration.")] = 32,
    lr: Annotated[float, typer.Option(metavar="R", help="Adam's learning rate.")] = 1e-3,
    weights: Annotated[
        str,
        typer.Option(
            metavar="default|random|FILE",
            help="Where it begins: published weights with a new last layer, none, or your own.",
        ),
    ] = "default",
    classes: options.Classes = None,
    mean: options.Mean = None,
    std: options.Std = None,
    size: options.Size = None,
    resize: options.Resize = None,
    precision: options.Precision = "auto",
    seed: options.Seed = 0,
) -> int:
    """Train a network on your classes; its weights say themselves what they belong to.

    Writes weights.safetensors, metrics.json (accuracy, precision, recall with intervals), a model card, and
    the redrawn train and validation images as manifests. Exit status: 0 done, 1 the validation accuracy was
    not reached, 2 it could not start.
    """
    from heatlift.cli import progress
    from heatlift.finetune.recipe import Recipe
    from heatlift.finetune.training import WEIGHTS
    from heatlift.finetune.training import finetune as train
    from heatlift.run.plan import validated
    from heatlift.storage import local_or_url

    recipe = validated(
        Recipe,
        {
            "data": data,
            "model": model,
            "test": test,
            "until_val_accuracy": until_val_accuracy,
            "min_iterations": min_iterations,
            "max_iterations": max_iterations,
            "patience": patience,
            "validate_every": validate_every,
            "validation": validation,
            "positive": positive,
            "batch_size": batch_size,
            "lr": lr,
            "weights": weights,
            "classes": str(classes) if classes is not None else None,
            "mean": options.channels("--mean", mean),
            "std": options.channels("--std", std),
            "size": size,
            "resize": resize,
            "precision": precision,
            "seed": seed,
        },
    )
    folder = local_or_url(out)
    if isinstance(folder, str):
        raise HeatliftError(f"--out {out}: give a folder of this machine")
    with progress.shown("iterations") as shown:
        metrics = train(recipe, folder, shown, ["heatlift", *sys.argv[1:]])
    print(f"{metrics['iterations']} iterations: {metrics['ended']}")
    for name in ("validation", "test"):
        if metrics[name] is not None:
            print(f"{name:<10} {_line(metrics[name])}")
    if metrics["images"]["unreadable"]:
        print(f"{metrics['images']['unreadable']} images to learn from can't be read and were passed over")
    print(f"weights: {folder / WEIGHTS}")
    following = ["heatlift", "audit", test or "IMAGES", "--model", model, "--weights", str(folder / WEIGHTS)]
    print(f"next: {shlex.join([*following, '--out', 'RUN'])}")
    if not metrics["reached"]:
        print(
            f"heatlift: validation accuracy {until_val_accuracy:g} was not reached from iteration "
            f"{min(min_iterations, max_iterations)} on; the weights are those of the best look since",
            file=sys.stderr,
        )
    return 0 if metrics["reached"] else 1


finetune.__doc__ = f"{finetune.__doc__}\n\n    {EXAMPLE}"


def _line(found: Mapping[str, Any]) -> str:
    parts = [f"{key} {_figure(found[key])}" for key in ("accuracy", "precision", "recall") if key in found]
    of = f" of {found['positive']}" if "positive" in found else ""
    failed = f"; {found['failed']} left out" if found["failed"] else ""
    return f"{', '.join(parts)}{of} ({found['n']} images{failed})"


def _figure(figure: Mapping[str, Any]) -> str:
    if figure["value"] is None:
        return "unknown"
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"
