"""``heatlift check``: what a network is, and which methods apply to it."""

from __future__ import annotations

from typing import Annotated

import typer

from heatlift.cli import options


def check(
    spec: Annotated[
        str,
        typer.Argument(metavar="SPEC", help="demo, torchvision:NAME, timm:NAME, or package.module:function."),
    ],
    weights: options.Weights = "default",
    num_classes: options.NumClasses = None,
    classes: options.Classes = None,
    mean: options.Mean = None,
    std: options.Std = None,
    size: options.Size = None,
    resize: options.Resize = None,
    seed: options.Seed = 0,
) -> None:
    """Load a network and say its input, classes, preprocessing, and which methods apply.

    Example: heatlift check torchvision:resnet34 --weights random --num-classes 2
    """
    from heatlift.zoo import load, read_classes

    classifier = load(
        spec,
        weights,
        num_classes=num_classes,
        classes=read_classes(classes) if classes else None,
        mean=options.channels("--mean", mean),
        std=options.channels("--std", std),
        size=size,
        resize=resize,
        seed=seed,
    )
    from heatlift.applicability import noise, shown, tried
    from heatlift.registry import METHODS

    facts = classifier.describe()
    preprocessing = facts["preprocessing"]
    names = facts["classes"]
    print(f"network        {facts['name']}, {facts['parameters']:,} parameters, on {facts['device']}")
    print(f"input          3 x {preprocessing['crop'][0]} x {preprocessing['crop'][1]} pixels in [0, 1]")
    print(
        f"preprocessing  resize {preprocessing['resize']} ({preprocessing['interpolation']}), centre crop, "
        f"mean {_three(preprocessing['mean'])}, std {_three(preprocessing['std'])}"
    )
    print(f"classes        {facts['num_classes']}{_some(names)}")
    maps = list(classifier.layers.items())
    print(
        f"feature maps   {len(maps)}, from {_layer(*maps[0])} to {_layer(*maps[-1])}"
        if maps
        else "feature maps   none"
    )
    print()
    for trial in tried(classifier, list(METHODS), noise(classifier, 2, seed)):
        print(f"{trial.name:<17} {'refused' if trial.why_not else 'applies':<8} {shown(trial)}")


def _three(values: list[float]) -> str:
    return "(" + ", ".join(f"{value:g}" for value in values) + ")"


def _some(names: list[str] | None) -> str:
    if names is None:
        return ", without names (give --classes FILE)"
    return f": {', '.join(name.split(',')[0] for name in names[:3])}{', ...' if len(names) > 3 else ''}"


def _layer(name: str, shape: tuple[int, ...]) -> str:
    return f"{name} ({' x '.join(map(str, shape))})"
