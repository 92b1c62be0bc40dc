"""``heatlift check``: what a network is, which methods apply to it, and what shows that they do."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Annotated

import typer

from heatlift.cli import options
from heatlift.errors import HeatliftError

if TYPE_CHECKING:
    from torch import Tensor

    from heatlift.applicability import Trial
    from heatlift.classifier import Classifier
    from heatlift.data import Item

GIVEN = 2
"""Images of the user's own that the methods are tried on."""

LOOKED_AT = 32
"""Files among which they are looked for."""


def check(
    spec: Annotated[
        str,
        typer.Argument(
            metavar="SPEC", help="demo, torchvision:NAME, timm:NAME, hf:FOLDER, or package.module:function."
        ),
    ],
    methods: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Methods to try; captum:NAME and functions of your own, too. [all]"),
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="An image or a folder: the first two are tried beside noise."),
    ] = None,
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
    """Load a network and say its input, classes, layers, and which methods apply and why.

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
        precision=precision,
    )
    from heatlift.applicability import noise, tried
    from heatlift.registry import METHODS, expanded

    names = list(METHODS) if methods is None else expanded(classifier, options.words(methods))[0]
    if not names:
        raise HeatliftError(f"no method to try: choose from {', '.join(METHODS)}")
    given = None if images is None else _given(classifier, images)
    on_noise = tried(classifier, names, noise(classifier, 2, seed), seed=seed)
    on_given = [None] * len(names) if given is None else tried(classifier, names, given, seed=seed)
    _print_facts(classifier)
    print()
    width = max(map(len, names)) + 1
    for noisy, real in zip(on_noise, on_given, strict=True):
        why_not = noisy.why_not or (real.why_not if real is not None else None)
        print(
            f"{noisy.name:<{width}} {'refused' if why_not else 'applies':<8} {why_not or _shown(noisy, real)}"
        )
    _print_layers(classifier)


def _given(classifier: Classifier, path: str) -> Tensor:
    """The first images of the user's own, (n, 3, h, w)."""
    from heatlift.data import first_images
    from heatlift.images import batches

    failed: list[tuple[Item, str]] = []
    for batch in batches(first_images(path, LOOKED_AT), classifier.framing, GIVEN):
        failed += batch.failed
        if len(batch):
            for item, reason in failed:
                print(f"passed over: {item.name} is {reason}")
            return batch.images
    if failed:
        item, reason = failed[0]
        raise HeatliftError(f"{item.name} is {reason}")
    raise HeatliftError(f"{path} has no images")


def _shown(noisy: Trial, real: Trial | None) -> str:
    """What shows that a method applies, in words."""
    found, request = noisy.found, noisy.request
    assert found is not None
    assert request is not None
    words = []
    if request.method.approximate:
        words.append("its sum is checked for each image")
    elif found.completeness is not None:
        words.append(f"complete to {float(found.completeness.max()):.1e} on noise")
        if real is not None and real.found is not None and real.found.completeness is not None:
            words.append(f"{float(real.found.completeness.max()):.1e} on the images")
    if found.relu_calls is not None:
        words.append(f"its rule reaches all {found.relu_calls} ReLU calls")
    if found.calls is not None:
        kinds = ", ".join(f"{count} {name}" for name, count in found.calls.items())
        words.append(f"its rule reaches {sum(found.calls.values())} calls: {kinds}")
    if request.layer is not None:
        words.append(f"layer {request.layer}")
    return "; ".join(words) or request.method.needs


def _print_facts(classifier: Classifier) -> None:
    facts = classifier.describe()
    preprocessing, names = facts["preprocessing"], facts["classes"]
    print(f"network        {facts['name']}, {facts['parameters']:,} parameters, on {facts['device']}")
    print(f"input          3 x {preprocessing['crop'][0]} x {preprocessing['crop'][1]} pixels in [0, 1]")
    print(
        f"preprocessing  resize {preprocessing['resize']} ({preprocessing['interpolation']}), centre crop, "
        f"mean {_three(preprocessing['mean'])}, std {_three(preprocessing['std'])}"
    )
    print(f"classes        {facts['num_classes']}{_some(names)}")


def _print_layers(classifier: Classifier) -> None:
    """The names that follow the @ of layer_gradcam, by the size of their maps."""
    by_size: dict[tuple[int, int], list[str]] = {}
    for name, (_, height, width) in classifier.layers.items():
        by_size.setdefault((height, width), []).append(name)
    if not by_size:
        print("\nlayers         none gives a feature map")
        return
    print(
        f"\nlayers         {len(classifier.layers)} for layer_gradcam@LAYER, gradcam@LAYER; by size of map:"
    )
    for (height, width), names in by_size.items():
        line = f"{height} x {width}: {', '.join(names)}"
        print(textwrap.fill(line, 108, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False))


def _three(values: list[float]) -> str:
    return "(" + ", ".join(f"{value:g}" for value in values) + ")"


def _some(names: list[str] | None) -> str:
    if names is None:
        return ", without names (give --classes FILE)"
    return f": {', '.join(name.split(',')[0] for name in names[:3])}{', ...' if len(names) > 3 else ''}"
