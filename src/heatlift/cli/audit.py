"""``heatlift audit``: which heatmaps mean anything on this network and these images?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from heatlift.cli import options

if TYPE_CHECKING:
    from heatlift.run.work import Engine

EXAMPLE = (
    "Example: heatlift audit photos/ --model torchvision:resnet34 --weights net.safetensors "
    "--num-classes 2 --out runs/first --methods saliency,layer_gradcam@all --scales 0.1,0.3,1 --limit 200"
)


def audit(
    data: Annotated[
        str,
        typer.Argument(help="A folder of class folders, a flat folder, or a .csv/.parquet with path,label."),
    ],
    model: options.Model,
    out: options.Out,
    methods: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Methods, such as saliency, layer_gradcam@LAYER, layer_gradcam@all (every stage of the "
            "network), captum:Occlusion, or package.module:function of your own. [the six of Tjoa 2022]",
        ),
    ] = None,
    operations: Annotated[str, typer.Option(metavar="A,B", help="add, multiply.")] = "add,multiply",
    scales: Annotated[
        str,
        typer.Option(
            metavar="A,B",
            help="How far to go from the image (0) to what the operation gives (1), such as 0.1,0.3,1.",
        ),
    ] = "1",
    indicator: Annotated[
        list[str] | None,
        typer.Option(
            metavar="package.module:function",
            help="A score of your own to be judged beside confidence, (classifier, images) -> one number per "
            "image, high where the prediction is probably right; repeatable.",
        ),
    ] = None,
    controls: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Control heatmaps: zero, noise, shuffled, image, or none. [all]"),
    ] = None,
    space: Annotated[str, typer.Option(metavar="model|pixel", help="What a heatmap is added to.")] = "model",
    target: Annotated[
        str,
        typer.Option(metavar="CLASS", help="The class explained: predicted, label, runner-up, or a number."),
    ] = "predicted",
    clip: Annotated[bool, typer.Option("--clip", help="Keep augmented images within [0, 1].")] = False,
    weights: options.Weights = "default",
    num_classes: options.NumClasses = None,
    classes: options.Classes = None,
    mean: options.Mean = None,
    std: options.Std = None,
    size: options.Size = None,
    resize: options.Resize = None,
    limit: Annotated[int | None, typer.Option(metavar="N", help="Audit a random sample of N images.")] = None,
    batch_size: options.BatchSize = "16",
    precision: options.Precision = "fp32",
    seed: options.Seed = 0,
    engine: options.EngineName = "local",
    scheduler: options.Scheduler = None,
    workers: options.Workers = None,
    shard_size: options.ShardSize = 32,
) -> int:
    """Score attribution methods and control heatmaps on a classifier and its images.

    Writes tables, summary.json and report.html to the run's folder. Exit status: 0 done, 1 no image
    could be used or the zero control is not zero, 2 it could not start.
    """
    from heatlift.run.plan import configured

    chosen = {
        name: options.words(text)
        for name, text in (
            ("methods", methods),
            ("controls", controls),
            ("operations", operations),
            ("scales", scales),
        )
        if text is not None
    }
    config = configured(
        data=data,
        model=model,
        weights=weights,
        num_classes=num_classes,
        classes=str(classes) if classes is not None else None,
        mean=options.channels("--mean", mean),
        std=options.channels("--std", std),
        size=size,
        resize=resize,
        indicators=tuple(indicator or ()),
        space=space,
        target=options.number_or(target),
        clip=clip,
        limit=limit,
        batch_size=options.number_or(batch_size),
        precision=precision,
        seed=seed,
        shard_size=shard_size,
        **chosen,
    )
    return run_and_report(config, out, options.engine(engine, scheduler, workers))


audit.__doc__ = f"{audit.__doc__}\n\n    {EXAMPLE}"


def run_and_report(config: Any, out: str | Path, engine: Engine | None = None) -> int:
    """Run an audit, write its report and print what was found; returns the exit status."""
    from heatlift.cli import progress
    from heatlift.report import write_report
    from heatlift.run.audit import prepare, run
    from heatlift.run.columns import pair_name
    from heatlift.run.local import run_shards
    from heatlift.run.place import placed

    audit = prepare(config, command=["heatlift", *sys.argv[1:]])
    print(f"{audit.classifier.name}: {audit.classifier.num_classes} classes, {len(audit.items)} images")
    options.by_order(audit.data.by_order, audit.classifier.classes)
    for reason in audit.refused.values():
        print(f"left out: {reason}")
    with placed(out, engine or run_shards) as place:
        with progress.shown() as shown:
            summary = run(audit, place.folder, shown, place.engine)
        report = place.shown(write_report(place.folder))
    counts, pace = summary["counts"], summary["run"]["images_per_second"]
    print(f"\n{summary['verdict']}\n")
    print(f"images: {counts['ok']} audited, {counts['failed']} failed{options.reasons(counts['failures'])}")
    if counts["labelled"]:
        print(f"predictions: {counts['correct']} correct, {counts['wrong']} wrong")
    for one in (*summary["methods"], *summary["indicators"]):
        if one["n_failed"] > counts["failed"]:
            name = one.get("indicator") or pair_name(one["method"], one["operation"], one["scale"])
            print(f"{name}: {one['n_failed']} images without figures{options.reasons(one['failures'])}")
    for one in summary["indicators"]:
        print(f"{one['indicator']}: {one['verdict']}")
    if pace:
        print(f"pace: {pace:.2f} images per second")
    if engine is not None:
        options.who_did_what(engine)
    print(f"report: {report}")
    if not counts["ok"]:
        print("heatlift: no image could be used: see the reasons above", file=sys.stderr)
    if not summary["sound"]:
        print("heatlift: a zero heatmap changed the scores: do not use these figures", file=sys.stderr)
    return 0 if counts["ok"] and summary["sound"] else 1
