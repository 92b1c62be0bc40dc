"""The runs that Kang 2019's parts are drawn from, each an ordinary one, made when it is first asked for."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from heatlift.classifier import Classifier
from heatlift.data import Item, find_images
from heatlift.demo import PHOTOGRAPHS
from heatlift.errors import HeatliftError
from heatlift.report import write_report
from heatlift.reproduce.networks import Pair, Used, all_used
from heatlift.reproduce.request import Progress, Request, command, photographs
from heatlift.run.undesirable import prepare_undesirable, run_undesirable, undesirable_configured
from heatlift.run.whole import whole
from heatlift.storage import StoredFile
from heatlift.zoo import load

PAPER = "kang2019"

PAIRS = (Pair("VGG-19", "torchvision:vgg19", "demo"), Pair("ResNet-18", "torchvision:resnet18", "demo-lite2"))
"""In the order of the paper's tables; its figures 4 and 5 are of the first."""

LIMIT, PRINTED = 200, 1000
"""Images of the tables, and of the paper's."""

STEPS = 200
"""Of every mask, as in the paper."""

SHARD = 16
"""Images that are written at a time: what is lost at most when a run is killed."""


@dataclass
class Stages:
    """What the parts of one reproduction share.

    Attributes:
        request: what was asked for.
        progress: hears how far it is.
        finished: folders of the runs that were made, by name.
    """

    request: Request
    progress: Progress
    finished: dict[str, Path] = field(default_factory=dict)

    @cached_property
    def networks(self) -> tuple[Used, ...]:
        """The two of the tables."""
        return all_used(PAIRS, self.progress)

    @cached_property
    def data(self) -> str:
        """Where the images are: those given, or the demonstration's, which are written once."""
        return photographs(self.request)

    @property
    def limit(self) -> int:
        """Images of the tables."""
        return self.request.limit or LIMIT

    def few(self, most: int) -> int:
        """Images of a figure: so many, or what was asked for where that is less."""
        return min(self.limit, most)

    def run(self, name: str, network: Used, **settings: Any) -> Path:
        """The folder of a run that is finished then, with its report.

        Args:
            name: of its folder.
            network: that it is about.
            settings: of `undesirable_configured`; by default of the images that all parts share.

        Raises:
            HeatliftError: it can't be done, or the folder holds a run with other settings.
        """
        folder = self.request.out / "runs" / name
        if name not in self.finished:
            config = undesirable_configured(
                **{
                    "data": self.data,
                    "model": network.spec,
                    "seed": self.request.seed,
                    "batch_size": self.request.batch_size,
                    "precision": self.request.precision,
                    "shard_size": SHARD,
                    "steps": STEPS,
                    **settings,
                }
            )

            def told(done: int, total: int, step: str) -> None:
                self.progress(done, total, f"{name}, {step}")

            run_undesirable(prepare_undesirable(config, command(PAPER, self.request)), folder, told)
            write_report(folder)
            self.finished[name] = folder
        return folder

    def sample(self, classifier: Classifier) -> tuple[Item, ...]:
        """The images of the tables, in the order in which runs take them."""
        found = find_images(self.data, classifier.num_classes, classifier.classes)
        return found.shuffled(self.request.seed)[: self.limit]

    def item(self, network: Used, image: str) -> Item:
        """An image by its name in a run.

        Raises:
            HeatliftError: there is none of that name any more.
        """
        classifier = load(network.spec)
        for item in find_images(self.data, classifier.num_classes, classifier.classes).items:
            if item.name == image:
                return item
        raise HeatliftError(f"{self.data} no longer has {image}: use another --out")

    def chosen(self, name: str, items: Sequence[Item], labels: Sequence[int | None]) -> str:
        """A manifest of copies of some images, each with a label, which may be any class in question.

        Raises:
            HeatliftError: an image can't be read any more.
            OSError: a copy can't be written.
        """
        folder = self.request.out / "data" / name
        rows = []
        for place, (item, label) in enumerate(zip(items, labels, strict=True), 1):
            stem, suffix = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(item.name).stem)[:60], Path(item.name).suffix
            file = f"{place:02d}-{stem}{suffix}"
            with whole(folder / file, "wb") as copy:
                copy.write(_content(item))
            rows.append((file, label))
        with whole(folder / "manifest.csv") as manifest:
            table = csv.writer(manifest, lineterminator="\n")
            table.writerow(("path", "label"))
            table.writerows((file, "" if label is None else label) for file, label in rows)
        return str(folder / "manifest.csv")

    def fewer(self, n: int, told: str) -> tuple[str, ...]:
        """What there is to say of a table of ``n`` images, ``told`` in words, where they are too few."""
        if n >= PRINTED:
            return ()
        if self.limit >= PRINTED:
            return (f"Number of images: {told}, all that could be used, in place of {PRINTED:,}.",)
        return (
            f"Number of images: {told} drawn at random, in place of {PRINTED:,}, to spare time; --limit "
            f"{PRINTED} is the paper’s number.",
        )

    @property
    def differs(self) -> tuple[str, ...]:
        """What of the images is not as in the paper."""
        if self.request.imagenet is not None:
            return ()
        return (
            f"Images: {len(PHOTOGRAPHS)} photographs in everyday degradations, in place of ImageNet’s: "
            "they are not independent, and the intervals are too narrow. With --imagenet DIR they are "
            "ImageNet’s.",
        )


WEIGHTS = (
    "Total variation and L1 are means over the mask’s cells: with the printed sums and the printed weights "
    "of 1.7 and 3.0 no mask could pay for itself."
)
"""What every part differs in."""


def _content(item: Item) -> bytes:
    try:
        return item.path.read() if isinstance(item.path, StoredFile) else item.path.read_bytes()
    except OSError as error:
        raise HeatliftError(f"{item.name} can't be read: {error.strerror or error}") from error
