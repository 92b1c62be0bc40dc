"""The networks of table 1 of Tjoa 2022, fine-tuned on chest X-rays, two of them less than they could be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heatlift.errors import HeatliftError
from heatlift.reproduce.networks import Pair, used
from heatlift.reproduce.request import Progress, Request

SIZE = 128
"""Pixels of a side, on processors; the paper has 256."""


@dataclass(frozen=True)
class Budget:
    """How long a network is trained on processors; the paper has at least 2,400 iterations, at most 240,000.

    Attributes:
        least, most: iterations.
        look: those between two looks at the validation images.
    """

    least: int
    most: int
    look: int


WELL = Budget(300, 900, 50)
"""For a network that is to be as right as it can."""

BRIEFLY = Budget(1, 400, 5)
"""For one that is stopped early: pretrained networks pass an accuracy of 0.8 within a dozen iterations."""

SIDE = 256
"""Pixels of an X-ray's sides, as printed."""

VALIDATION = (266, 790)
"""Images held back for validation, NORMAL and PNEUMONIA, as printed."""


LAYERS = (
    "The paper puts a new last layer after “the first 8 modules” of ResNet-34 and “the first 6” of AlexNet. "
    "By its published code these are all but the last layer (of AlexNet’s classifier the first 6), as here; "
    "its new layer has no bias, the one here has."
)
"""Read by the word they would be less: of AlexNet two convolutions. The code: gax/legacy/v1/src/pneu/model.py
in github.com/ericotjo001/explainable_ai."""


@dataclass(frozen=True)
class Trained:
    """A column of table 1.

    Attributes:
        name: of its folder.
        printed: as the paper calls it.
        architecture: with published weights, or what takes its place.
        until: the validation accuracy at which training stops.
        budget: of its training.
        figures: accuracy, precision and recall on the test images, as printed.
    """

    name: str
    printed: str
    architecture: Pair
    until: float
    budget: Budget
    figures: Mapping[str, str]


_RESNET = Pair("ResNet-34", "torchvision:resnet34", "demo")
_ALEXNET = Pair("AlexNet", "torchvision:alexnet", "demo-lite2")

NETWORKS = (
    Trained(
        "xray-first",
        "Resnet34_1",
        _RESNET,
        0.99,
        WELL,
        {"accuracy": "0.800", "precision": "0.757", "recall": "1.000"},
    ),
    Trained(
        "xray-second",
        "Resnet34_sub",
        _RESNET,
        0.8,
        BRIEFLY,
        {"accuracy": "0.636", "precision": "0.632", "recall": "1.000"},
    ),
    Trained(
        "xray-third",
        "Alexnet_sub",
        _ALEXNET,
        0.8,
        BRIEFLY,
        {"accuracy": "0.745", "precision": "0.726", "recall": "0.951"},
    ),
)


@dataclass(frozen=True)
class Taught:
    """A network that was fine-tuned here.

    Attributes:
        spec, weights: how it is loaded.
        told: what it is called, and whose place it has.
        metrics: as ``heatlift finetune`` writes them.
        differs: what is not as in the paper.
    """

    spec: str
    weights: Path
    told: str
    metrics: Mapping[str, Any]
    differs: tuple[str, ...]


def trained(request: Request, place: int, progress: Progress) -> Taught:
    """Fine-tune one of table 1's networks, or go on with it.

    Raises:
        HeatliftError: the X-rays or the network can't be had, or the folder holds another training.
    """
    from heatlift.finetune.recipe import Recipe
    from heatlift.finetune.training import finetune

    network = NETWORKS[place]
    assert request.chest_xray is not None
    data, folder = Path(request.chest_xray), request.out / "networks" / network.name
    for part in ("train", "test"):
        if not (data / part).is_dir():
            raise HeatliftError(
                f"--chest-xray {data}: it has no {part}/, give a folder with train/ and test/"
            )
    found = used(network.architecture)
    validation, held = _held_back(data / "train")
    cut_down, cut = _cut(request, network.budget, found.spec)
    recipe = Recipe(
        data=str(data / "train"),
        test=str(data / "test"),
        model=found.spec,
        validation=validation,
        until_val_accuracy=network.until,
        seed=request.seed,
        **cut_down | {"precision": request.precision},
    )
    metrics = finetune(recipe, folder, progress)
    return Taught(
        found.spec,
        folder / "weights.safetensors",
        f"{found.name} for {network.printed}" if found.why else network.printed,
        metrics,
        (*found.differs, LAYERS, _framed(recipe.size), *held, *cut, _ended(metrics)),
    )


def _held_back(train: Path) -> tuple[str, tuple[str, ...]]:
    """How many images are held back: as printed, where there are enough for that."""
    from heatlift.data import class_folders, find_images

    classes = class_folders(str(train))
    labels = [item.label for item in find_images(train, len(classes), classes).items]
    counts = [labels.count(index) for index in range(len(classes))]
    if len(counts) == 2 and all(2 * held < count for held, count in zip(VALIDATION, counts, strict=True)):
        left = "/".join(str(count - held) for count, held in zip(counts, VALIDATION, strict=True))
        return ",".join(map(str, VALIDATION)), (f"Trained on {left} images (the paper: 1083/3093).",)
    return "0.2", (
        f"A fifth of {sum(counts):,} images is held back for validation (the paper: 266/790 images).",
    )


def _cut(request: Request, budget: Budget, spec: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What a machine can do: the paper's iterations on a GPU, few on processors, of smaller images."""
    import torch

    # For a first look; a larger number asks for more images, not for less training.
    brief = request.limit is not None and request.limit < budget.most
    if torch.cuda.is_available() and not brief:
        # The paper's own architectures take any size; those in their place are best at their own.
        return ({"size": SIDE} if spec.startswith("torchvision:") else {}), ()
    most = max(2, request.limit or 0) if brief else budget.most
    least, look = min(budget.least, most), min(budget.look, most)
    settings = {"min_iterations": least, "max_iterations": most, "validate_every": look, "size": SIZE}
    return settings, (
        f"At most {most:,} iterations and at least {least:,} (the paper: 240,000 and 2,400), a look at the "
        f"validation images every {look}.",
    )


def _framed(size: int | None) -> str:
    to = "the network’s own input" if size is None else f"{size} × {size} pixels"
    return f"X-rays are scaled by their shorter side and cut to {to}; the paper resizes them to 256 × 256."


def _ended(metrics: Mapping[str, Any]) -> str:
    return f"{metrics['iterations']:,} iterations; {metrics['ended']}."
