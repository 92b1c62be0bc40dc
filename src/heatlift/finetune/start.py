"""What a training begins with: the network, with a last layer for its classes, and the images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from heatlift.classifier import Classifier
from heatlift.data import Dataset, Item, class_folders, find_images
from heatlift.errors import HeatliftError
from heatlift.finetune.recipe import Recipe
from heatlift.finetune.redraw import redrawn
from heatlift.storage import local_or_url
from heatlift.zoo import load, read_classes


@dataclass(frozen=True)
class Start:
    """A training that can begin.

    Attributes:
        recipe: its settings.
        classifier: the network, with as many outputs as there are classes, before any step.
        classes: their names.
        positive: the class that precision and recall are of; None where there are more than two.
        data: all images to learn from; ``train`` and ``held`` are drawn from them.
        train, held: images to learn from, and those held back for validation.
        test: images that take no part; None without any.
        new: names of the weights that the published network has not, where it begins with one.
    """

    recipe: Recipe
    classifier: Classifier
    classes: Sequence[str]
    positive: int | None
    data: Dataset
    train: Sequence[Item]
    held: Sequence[Item]
    test: Dataset | None
    new: Sequence[str]

    @property
    def named(self) -> bool:
        """Whether the network has a published architecture, rather than being what a function gives."""
        return self.recipe.model.partition(":")[0] in _NAMED


def prepare(recipe: Recipe) -> Start:
    """Find the images, draw train and validation, and load the network.

    Raises:
        HeatliftError: whatever stands in the way of the training, in one line.
    """
    for option, place in (("", recipe.data), ("--test ", recipe.test)):
        if place is not None and not isinstance(local_or_url(place), Path):
            raise HeatliftError(
                f"{option}{place}: training reads its images many times over; copy them to a folder"
            )
    if recipe.max_iterations < recipe.min_iterations:
        raise HeatliftError(
            f"--max-iterations {recipe.max_iterations} is below --min-iterations {recipe.min_iterations}"
        )
    classes = read_classes(Path(recipe.classes)) if recipe.classes else class_folders(recipe.data)
    if len(classes) < 2:
        raise HeatliftError(f"{recipe.data} has one class ({classes[0]}): training takes at least two")
    positive = _positive(recipe.positive, classes)
    data = find_images(recipe.data, len(classes), classes)
    train, held = redrawn(data, recipe.validation, len(classes), recipe.seed)
    test = find_images(recipe.test, len(classes), classes) if recipe.test else None
    if test is not None and not test.labelled:
        raise HeatliftError(f"--test {recipe.test} has no labels: give class folders or a manifest")
    if test is not None:
        _taking_no_part(test, data, classes)
    classifier, new = _network(recipe, classes)
    return Start(recipe, classifier, classes, positive, data, train, held, test, new)


def _taking_no_part(test: Dataset, data: Dataset, classes: Sequence[str]) -> None:
    """Refuse test images that are learnt from, and classes that only the order of their names would match."""
    if test.by_order and list(test.by_order) != list(classes):
        raise HeatliftError(
            f"--test {test.root} has the class folders {', '.join(test.by_order[:6])}, and the classes are "
            f"{', '.join(classes[:6])}: name them alike"
        )
    learnt = {os.path.realpath(str(item.path)) for item in data.items}
    shared = sum(os.path.realpath(str(item.path)) in learnt for item in test.items)
    if shared:
        raise HeatliftError(
            f"--test {test.root}: {shared} of its {len(test.items)} images are in {data.root}, too: give "
            "images that take no part"
        )


def _positive(wanted: str | None, classes: Sequence[str]) -> int | None:
    if wanted is None:
        return 1 if len(classes) == 2 else None
    if wanted not in classes:
        raise HeatliftError(f"--positive '{wanted}': choose from {', '.join(classes[:20])}")
    return list(classes).index(wanted)


def _network(recipe: Recipe, classes: Sequence[str]) -> tuple[Classifier, list[str]]:
    """The network with an output for each class, and which of its weights are new.

    Where published weights are for other classes, those that fit are taken over: all but the last layer's.
    """

    def made(weights: str, number: int | None = None, names: Sequence[str] | None = None) -> Classifier:
        own = (recipe.mean, recipe.std, recipe.size, recipe.resize)
        return load(recipe.model, weights, number, names, *own, seed=recipe.seed)

    if recipe.weights != "default":
        return made(recipe.weights, len(classes), classes), []
    published = made("default")
    if recipe.model.partition(":")[0] not in _NAMED:
        if published.num_classes != len(classes):
            raise HeatliftError(
                f"{recipe.model} has {published.num_classes} outputs, and there are {len(classes)} classes: "
                "let the function give the network a last layer for them"
            )
        published.classes = tuple(classes)
        return published, []
    classifier = made("random", len(classes), classes)
    own, theirs = classifier.network.state_dict(), published.network.state_dict()
    fitting = {k: v for k, v in theirs.items() if k in own and own[k].shape == v.shape}
    new = [name for name in own if name not in fitting]
    if len(new) > 2:
        raise HeatliftError(
            f"the published weights of {recipe.model} leave {len(new)} entries open, such as {new[0]}: "
            "give --weights FILE or random"
        )
    with torch.no_grad():
        for name, tensor in fitting.items():
            own[name].copy_(tensor)
    return classifier, new


_NAMED = ("demo", "demo-lite1", "demo-lite2", "torchvision", "timm", "hf")
"""Kinds of SPEC that make a network with as many outputs as are asked for."""
