"""The runs that Tjoa 2022's parts are drawn from, each an ordinary one, made when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from heatlift.data import find_images
from heatlift.demo import PHOTOGRAPHS
from heatlift.report import write_report
from heatlift.reproduce.networks import Pair, Used, all_used
from heatlift.reproduce.request import Progress, Request, command, photographs
from heatlift.reproduce.tjoa2022.training import NETWORKS, Taught, trained
from heatlift.run.audit import prepare, run
from heatlift.run.lift import lift_configured, prepare_lift, run_lift
from heatlift.run.plan import configured
from heatlift.zoo import load

PAPER = "tjoa2022"

PAIRS = (
    Pair("ResNet-34", "torchvision:resnet34", "demo"),
    Pair("AlexNet", "torchvision:alexnet", "demo-lite2"),
)
"""On ImageNet."""

AUDITED = (600, 200)
"""Photographs of an audit of either network on ImageNet; the paper says no number. Of X-rays it takes all
test images."""

LIFTED = 64
"""Images of a GAX run, of which those that are predicted wrongly are left out; the paper has 10,000
photographs. ``--limit`` replaces this number and the others."""

LAYERED = 100
"""Photographs of figure 8."""

STEPS = 500
"""After which GAX gives up on an image; the paper says "a few hundreds" for some."""

KEPT = 24
"""Images of a GAX run whose heatmaps are kept step by step."""

SHARD = 16
"""Images that are written at a time: what is lost at most when a run is killed."""

XRAY_BIAS = 0.01
"""Where GAX's bias starts on X-rays (Tjoa 2022, section 3)."""


@dataclass(frozen=True)
class Shown:
    """A network with the images that it is run on.

    Attributes:
        name: of its runs' folders.
        network: what it is called.
        told: the same, and on what.
        spec, weights: how it is loaded.
        data: the images.
        most: how many of them an audit takes; None for all.
        differs: what of it is not as in the paper.
        folder: the network's own, where it was made here.
    """

    name: str
    network: str
    told: str
    spec: str
    weights: str
    data: str
    most: int | None
    differs: tuple[str, ...]
    folder: str = ""

    @property
    def xrays(self) -> bool:
        """Whether its network was made here, on X-rays."""
        return bool(self.folder)


@dataclass
class Stages:
    """What the parts of one reproduction share.

    Attributes:
        request: what was asked for.
        progress: hears how far it is.
        finished: folders of the runs that were made, by name.
        taught: the networks that were fine-tuned, by their places in table 1.
    """

    request: Request
    progress: Progress
    finished: dict[str, Path] = field(default_factory=dict)
    taught: dict[int, Taught] = field(default_factory=dict)

    @cached_property
    def networks(self) -> tuple[Used, ...]:
        """The two on ImageNet."""
        return all_used(PAIRS, self.progress)

    @cached_property
    def photographs(self) -> str:
        """A folder of ImageNet's, or of the demonstration's, which are written once."""
        return photographs(self.request)

    def on_photographs(self, place: int) -> Shown:
        """One of the two networks on ImageNet's photographs, or on those in their place."""
        network = self.networks[place]
        given = self.request.imagenet is not None
        images = "ImageNet" if given else "the demo’s photographs"
        return Shown(
            ("imagenet-first", "imagenet-second")[place],
            network.name,
            f"{network.name} on {images}",
            network.spec,
            "default",
            self.photographs,
            AUDITED[place],
            (*network.differs, *(() if given else (INSTEAD,))),
        )

    def on_xrays(self, place: int) -> Shown | None:
        """One of table 1's networks on the test images, trained where it isn't yet; None without X-rays."""
        if self.request.chest_xray is None:
            return None
        if place not in self.taught:
            self.taught[place] = trained(self.request, place, self._hearing(NETWORKS[place].name))
        one, network = self.taught[place], NETWORKS[place]
        return Shown(
            network.name,
            one.told,
            f"{one.told} on X-rays",
            one.spec,
            str(one.weights),
            str(Path(self.request.chest_xray) / "test"),
            None,
            one.differs,
            f"networks/{network.name}",
        )

    def labelled(self, shown: Shown) -> bool:
        """Whether anybody knows what is right of these images."""
        network = load(shown.spec, shown.weights)
        return find_images(shown.data, network.num_classes, network.classes).labelled

    def audit(self, shown: Shown, kind: str = "audit", most: int | None = None, **settings: Any) -> Path:
        """The folder of a finished audit with its report; ``settings`` as of an audit's configuration.

        Raises:
            HeatliftError: it can't be done, or the folder holds a run with other settings.
        """

        def make(folder: Path, told: Progress, common: dict[str, Any]) -> None:
            # Nothing certifies an audit's scores afterwards, as a lift's are: they are made in float32.
            config = configured(**common | {"precision": "fp32", **settings})
            run(prepare(config, command(PAPER, self.request)), folder, told)

        return self._made(f"{shown.name}-{kind}", shown, most or shown.most, make)

    def lift(self, shown: Shown, **settings: Any) -> Path:
        """The folder of a finished GAX run with its report; ``settings`` as of a lift's configuration.

        Raises:
            HeatliftError: as for `audit`.
        """

        def make(folder: Path, told: Progress, common: dict[str, Any]) -> None:
            own: dict[str, Any] = {"max_steps": STEPS, "keep_steps": KEPT, "shard_size": SHARD}
            own["precision"] = self.request.precision
            config = lift_configured(**common | own | settings)
            run_lift(prepare_lift(config, command(PAPER, self.request)), folder, told)

        return self._made(f"{shown.name}-gax", shown, LIFTED, make)

    def _made(
        self,
        name: str,
        shown: Shown,
        most: int | None,
        make: Callable[[Path, Progress, dict[str, Any]], None],
    ) -> Path:
        folder = self.request.out / "runs" / name
        if name not in self.finished:
            common = {
                "data": shown.data,
                "model": shown.spec,
                "weights": shown.weights,
                "limit": self.request.limit or most,
                "seed": self.request.seed,
                "batch_size": self.request.batch_size,
            }
            make(folder, self._hearing(name), common)
            write_report(folder)
            self.finished[name] = folder
        return folder

    def relative(self, folder: Path) -> str:
        """A run's path from the reproduction's folder."""
        return folder.relative_to(self.request.out).as_posix()

    def _hearing(self, name: str) -> Progress:
        def told(done: int, total: int, step: str) -> None:
            self.progress(done, total, f"{name}, {step}")

        return told


def differing(found: Iterable[tuple[str, Sequence[str]]]) -> tuple[str, ...]:
    """What differs of several things, each sentence once, with the names of those it holds for unless of all.

    >>> differing([("A", ("smaller", "older")), ("B", ("smaller",))])
    ('smaller', 'A: older')
    """
    of: dict[str, list[str]] = {}
    names = set()
    for name, sentences in found:
        names.add(name)
        for sentence in sentences:
            if name not in of.setdefault(sentence, []):
                of[sentence].append(name)
    return tuple(
        sentence if len(whose) == len(names) else f"{' and '.join(whose)}: {sentence}"
        for sentence, whose in of.items()
    )


NO_XRAYS = (
    "Not run: it needs the chest X-rays. Give --chest-xray DIR, a folder with train/ and test/, each of "
    "NORMAL and PNEUMONIA"
)
"""Where a part can't be had."""

NO_LABELS = "Not run: it needs labels. Give --imagenet DIR, photographs in folders named by ImageNet’s wnids"
"""Where nobody knows what is right."""

INSTEAD = (
    f"Images: {len(PHOTOGRAPHS)} photographs in everyday degradations, in place of ImageNet’s: they are not "
    "independent, and the intervals are too narrow. With --imagenet DIR they are ImageNet’s."
)
