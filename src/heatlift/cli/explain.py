"""``heatlift explain``: one image, and one picture that answers what is seen and what is in the way."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from heatlift.cli import options
from heatlift.errors import HeatliftError


def explain(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="An image file.")],
    model: options.Model,
    label: Annotated[
        str | None,
        typer.Option(
            metavar="CLASS",
            help="The true class: a name, its first words if they are unambiguous, or a number.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="A .png, .svg or .pdf picture, or an .html page. [IMAGE-explained.png, here]",
        ),
    ] = None,
    fast: Annotated[bool, typer.Option("--fast", help="A quick look: fewer and larger steps.")] = False,
    verify_on: options.VerifyOn = None,
    verify_weights: options.VerifyWeights = "default",
    weights: options.Weights = "default",
    num_classes: options.NumClasses = None,
    classes: options.Classes = None,
    mean: options.Mean = None,
    std: options.Std = None,
    size: options.Size = None,
    resize: options.Resize = None,
    precision: options.Precision = "fp32",
    seed: options.Seed = 0,
) -> None:
    """Show what a network sees in an image, what is in the way, and what would make it (more) right.

    Exit status: 0 done, 2 it could not start.

    Example: heatlift explain photo.jpg --model demo --label tabby --out photo.html
    """
    from heatlift.cli import progress
    from heatlift.explaining import explain as explained
    from heatlift.explanation import savable
    from heatlift.zoo import load, read_classes

    target = savable(Path(f"{image.stem}-explained.png") if out is None else out)
    if not image.is_file():
        raise HeatliftError(f"{image} is no image file: give one, such as photo.jpg")
    if target.exists() and target.samefile(image):
        raise HeatliftError(f"--out {target} is the image itself: give another file")
    classifier = load(
        model,
        weights,
        num_classes=num_classes,
        classes=read_classes(classes) if classes else None,
        mean=options.channels("--mean", mean),
        std=options.channels("--std", std),
        size=size,
        resize=resize,
        seed=seed,
        precision=precision,
    )
    second = None
    if verify_on is not None:
        # Weights of one's own do not say how many classes they are for.
        count = classifier.num_classes if verify_weights != "default" else None
        second = load(verify_on, verify_weights, num_classes=count, seed=seed)
    with progress.shown("steps") as shown:
        found = explained(classifier, image, label, verify_on=second, fast=fast, seed=seed, progress=shown)
    print(f"{found.summary()}\n\npicture: {found.save(target)}")
