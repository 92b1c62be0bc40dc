"""Undesirable pixels: what stands in the way of a class, found by masks (Kang 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from heatlift.classifier import Classifier
from heatlift.errors import HeatliftError
from heatlift.evolution import Film
from heatlift.lift import Subjects, logits_of
from heatlift.masked import Undesirable, measured
from heatlift.optimise import Given, Observer, Optimiser, Parameters, Problem, Progress
from heatlift.perturbation import Reference, ReferenceName, perturbed, reference_images
from heatlift.portions import Portions
from heatlift.precision import Precision
from heatlift.regularise import (
    Reduction,
    Variation,
    centred,
    non_target_factor,
    sparsity,
    target_factor,
    total_variation,
)
from heatlift.score import class_probability, log_remainder
from heatlift.streams import digest, image_seed
from heatlift.types import Target
from heatlift.views import drawn_views, viewed

Factor: TypeAlias = Literal["target", "non_target"]
Game: TypeAlias = Literal["improve", "delete", "preserve"]

OPEN = 2.0
"""What a sigmoid mask starts from: 0.88 of the image."""


@dataclass(frozen=True)
class UndesirablePixels:
    """Optimises a mask M such that blurring where it is low raises (or lowers) a class (Kang 2019).

    ``Q = x M' + g(x) (1 - M')`` with M' the mask at the image's size and g a blur. Minimises
    ``-f_k(Q) + tv_weight TV(M) + l1_weight mean|1 - M| + gamma |factor|``, f the softmax probability, by Adam
    for each image. Every default is the paper's, with means over the cells for its sums: with sums, a mask
    of the areas that it reports could not pay for itself. `stable` is a preset whose masks agree from trial
    to trial.

    Attributes:
        factor: ``target`` (F-TC) keeps the other classes' mean logit, ``non_target`` (F-NTC) the target's;
            None for neither (eq. 3).
        steps: updates of every image.
        seed: of starts and views; each image's and trial's are its own.
        game: ``improve`` raises the class by taking little away, ``delete`` lowers it by taking little
            away (Fong and Vedaldi 2017), ``preserve`` keeps it by keeping little.
        loss: ``probability``, or ``log_probability``, which has a slope also where the class is far off.
        gamma: weight of the factor.
        tv_weight: weight of the total variation, the paper's lambda 1.
        l1_weight: weight of what is taken away (of what is kept where that is to be little), its lambda 2.
        tv: ``isotropic`` as printed, or ``power``: ``|dx|^beta + |dy|^beta``.
        beta: of ``power``, at least 1.
        reduction: ``mean`` over the cells (of ``sigmoid`` masks: over the pixels), or the printed ``sum``.
        centred: whether the factors see logits less their mean, so that a constant added to all of them
            changes nothing. The two factors are then one, F-TC being F-NTC / (C - 1).
        bounds: ``clamp`` brings M back to [0, 1] after each update, M' is bilinear; ``sigmoid`` has
            M' = sigmoid(up(w) + 2), up bicubic.
        resolution: side of the coarse mask.
        init: ``random`` or ``ones`` (for ``sigmoid``: w = 0).
        reference: what takes a pixel's place: ``blur``, ``mean`` colour, ``local_mean``, or a function.
        kernel: side of the blur's window in pixels, odd.
        sigma: the blur's standard deviation in pixels.
        views: how many shifted and mirrored views of Q each step sees, each of which costs a pass; 0 for Q
            as it is. A factor compares them with x as it is.
        shift: how far a view is shifted at most, in pixels.
        mirror: whether every other view is mirrored.
        averaged: the mask is the mean over this last part of the steps, 0 to 1; 0 for the last step's.
        restarts: as many masks, all that is random drawn anew, are averaged, which costs as many passes.
        shared: whether one second moment of Adam's scales all cells of a mask, so that those which hardly
            matter hardly move.
        lr: Adam's learning rate.
        precision: arithmetic of the network while the mask is optimised; results are float32 in any case.
        batch_size: how many images go through the network at a time; halved where memory runs out.
    """

    factor: Factor | None = "target"
    steps: int = 200
    seed: int = 0
    game: Game = "improve"
    loss: Literal["probability", "log_probability"] = "probability"
    gamma: float = 0.3
    tv_weight: float = 1.7
    l1_weight: float = 3.0
    tv: Variation = "isotropic"
    beta: float = 2.0
    reduction: Reduction = "mean"
    centred: bool = False
    bounds: Literal["clamp", "sigmoid"] = "clamp"
    resolution: int = 28
    init: Literal["random", "ones"] = "random"
    reference: Reference = "blur"
    kernel: int = 11
    sigma: float = 5.0
    views: int = 0
    shift: int = 8
    mirror: bool = True
    averaged: float = 0.0
    restarts: int = 1
    shared: bool = False
    lr: float = 0.1
    precision: Precision = "auto"
    batch_size: int = 16

    def __post_init__(self) -> None:
        def one_of(name: str, words: Sequence[Any]) -> None:
            if getattr(self, name) not in words:
                known = ", ".join("None" if word is None else word for word in words)
                raise HeatliftError(f"{name} '{getattr(self, name)}': choose from {known}")

        one_of("factor", (*get_args(Factor), None))
        one_of("game", get_args(Game))
        one_of("loss", ("probability", "log_probability"))
        one_of("tv", get_args(Variation))
        one_of("reduction", get_args(Reduction))
        one_of("bounds", ("clamp", "sigmoid"))
        one_of("init", ("random", "ones"))
        if not callable(self.reference):
            one_of("reference", get_args(ReferenceName))
        least = {
            "steps": 0, "batch_size": 1, "resolution": 1, "views": 0, "shift": 0, "restarts": 1, "kernel": 1,
            "gamma": 0, "tv_weight": 0, "l1_weight": 0, "beta": 1, "averaged": 0,
        }  # fmt: skip
        for name, lowest in least.items():
            whole = name not in ("gamma", "tv_weight", "l1_weight", "beta", "averaged")
            if whole and not isinstance(getattr(self, name), int):
                raise HeatliftError(f"{name} {getattr(self, name)!r}: give a whole number")
            if not lowest <= getattr(self, name) < float("inf"):
                raise HeatliftError(f"{name} {getattr(self, name)}: give a number from {lowest}")
        if not 0 < self.lr < float("inf") or not 0 < self.sigma < float("inf"):
            raise HeatliftError(f"lr {self.lr}, sigma {self.sigma}: give numbers above 0")
        if self.kernel % 2 == 0:
            raise HeatliftError(f"kernel {self.kernel}: give an odd number")
        if self.averaged > 1:
            raise HeatliftError(f"averaged {self.averaged}: give a part of the steps, at most 1")

    @property
    def random(self) -> bool:
        """Whether anything depends on the trial."""
        return self.init == "random" or self.views > 0

    @classmethod
    def stable(cls, factor: Factor | None = None, **settings: Any) -> UndesirablePixels:
        """The preset whose masks agree from trial to trial, and which a second network shares.

        Args:
            factor: as a regulariser on top of it.
            settings: any other settings, instead of the preset's.
        """
        return replace(cls(factor=factor, **STABLE), **settings)

    def __call__(
        self,
        classifier: Classifier,
        images: Tensor,
        target: Target = None,
        *,
        trial: int = 0,
        others: Sequence[Classifier] = (),
        observe: Observer | None = None,
        progress: Progress | None = None,
        portions: Portions | None = None,
    ) -> Undesirable:
        """Find what stands in the way of a class of each image.

        Args:
            classifier: the network; it is left as it was.
            images: (n, 3, h, w) in [0, 1].
            target: the class: one per image, one for all, or by default what is predicted.
            trial: in another one all that is random is drawn anew: starts and views.
            others: further networks with the same classes that the mask is to work for as well.
            observe: sees every step's masks, those of the first restart: (m, 1, resolution, resolution), or
                at the image's size where they are sigmoid. Instead of the result's `evolutions`.
            progress: hears of every step.
            portions: how many images go at a time, instead of ``batch_size``.

        Raises:
            HeatliftError: images, classes or networks that do not fit, or too large for the memory.
        """
        (found,) = self.trials(
            classifier,
            images,
            target,
            count=1,
            first=trial,
            others=others,
            observe=observe,
            progress=progress,
            portions=portions,
        )
        return found

    def trials(
        self,
        classifier: Classifier,
        images: Tensor,
        target: Target = None,
        *,
        count: int,
        first: int = 0,
        others: Sequence[Classifier] = (),
        observe: Observer | None = None,
        progress: Progress | None = None,
        portions: Portions | None = None,
    ) -> list[Undesirable]:
        """The same several times, all that is random drawn anew: does the answer depend on chance?

        Args:
            classifier, images, target, others, progress, portions: as when called.
            count: how many trials.
            first: the first one's number.
            observe: sees the first trial's masks.

        Returns:
            One result per trial.

        Raises:
            HeatliftError: as when called.
        """
        for other in others:
            if other.num_classes != classifier.num_classes:
                raise HeatliftError(
                    f"{other.name} has {other.num_classes} classes, {classifier.name} "
                    f"{classifier.num_classes}: they must be the same"
                )
        if count < 1 or first < 0:
            raise HeatliftError(f"{count} trials from number {first}: give at least 1, from 0")
        portions = portions or Portions(self.batch_size)
        subjects = Subjects.of(classifier, images, target, portions)
        reference = reference_images(subjects.images, self.reference, self.kernel, self.sigma)
        # As many at a time as fill the network's passes: more would only take memory.
        together = max(1, portions.size // (len(subjects.images) * self.restarts))
        groups = [range(k, min(k + together, first + count)) for k in range(first, first + count, together)]
        size = subjects.images.shape[2:]
        film = Film(subjects.target, size, view=self.views > 0) if observe is None else None
        watcher = observe if film is None else _taken(film)
        found: list[Undesirable] = []
        for place, group in enumerate(groups):

            def heard(step: int, left: int, place: int = place) -> None:
                if progress is not None:
                    progress((place * self.steps + step) // len(groups), left)

            watching, filmed = (watcher, film) if not place else (None, None)
            found += self._together(
                subjects, reference, group, [classifier, *others], watching, filmed, heard
            )
        return found

    def _together(
        self,
        subjects: Subjects,
        reference: Tensor,
        trials: range,
        networks: Sequence[Classifier],
        observe: Observer | None,
        film: Film | None,
        progress: Progress,
    ) -> list[Undesirable]:
        """Some trials as one batch of problems; the film is of the first of them."""
        x, n, portions = subjects.images, len(subjects.images), subjects.portions
        runs, decode = len(trials) * self.restarts, partial(self._decode, x.shape[2:])
        purposes = [str(trials[0] * self.restarts + run) for run in range(runs)]
        optimiser = Optimiser(
            Problem(decode, partial(self._show, x, reference), self._loss, self._project),
            [one.in_precision(self.precision) for one in networks],
            self.steps,
            self.lr,
            shared=self.shared,
            portions=portions,
        )
        given = {
            "image": torch.arange(n, device=x.device).repeat(runs),
            "target": subjects.target.repeat(runs),
        }
        if self.factor is not None:
            # Of the networks as the optimiser has them, whose rounding is its own.
            for i, network in enumerate(optimiser.classifiers):
                inputs = network.resized(x.to(network.device)) if i else x
                given[_before(i)] = logits_of(network, inputs, portions).to(x.device).repeat(runs, 1)
        if self.views:
            size = (self.steps + 1, self.views)
            given["views"] = torch.cat(
                [
                    drawn_views(x, size, self.shift, self.mirror, self.seed, f"views/{p}", alternating=True)
                    for p in purposes
                ]
            )
        start = torch.cat([self._start(x, purpose) for purpose in purposes])
        mean = _Mean(self.steps - round(self.steps * self.averaged) + 1) if self.averaged else None

        def seen(step: int, rows: Tensor, decoded: Tensor, logits: Tensor) -> None:
            if mean is not None:
                mean.add(step, rows, decoded, len(start))
            if observe is not None and bool((rows < n).any()):
                observe(step, rows[rows < n], decoded[rows < n], logits[rows < n])

        found = optimiser((start,), given, seen, progress)
        coarse = decode(found.parameters, given)
        shape = (len(trials), self.restarts, n)
        if mean is not None:
            coarse = mean.over(coarse)
        masks = self._at_size_of(x, coarse.unflatten(0, shape).mean(dim=1).flatten(0, 1)).split(n)
        history = found.history.unflatten(0, shape).mean(dim=1)
        return [
            measured(subjects, reference, masks[t], history[t], film if not t else None)
            for t in range(len(trials))
        ]

    def _start(self, images: Tensor, purpose: str) -> Tensor:
        """Parameters, (n, 1, resolution, resolution)."""
        shape = (len(images), 1, self.resolution, self.resolution)
        if self.init == "ones":
            return images.new_zeros(shape) if self.bounds == "sigmoid" else images.new_ones(shape)
        drawn = []
        for image in images:
            stream = torch.Generator().manual_seed(image_seed(self.seed, digest(image), f"mask/{purpose}"))
            drawn.append(torch.rand(shape[1:], generator=stream))
        start = torch.stack(drawn).to(images)
        return 2 * start - 1 if self.bounds == "sigmoid" else start

    def _decode(self, size: Sequence[int], parameters: Parameters, given: Given) -> Tensor:
        (w,) = parameters
        if self.bounds == "clamp":
            return w
        fine = F.interpolate(w, size=tuple(size), mode="bicubic", align_corners=False)
        return torch.sigmoid(fine + OPEN)

    @staticmethod
    def _at_size_of(images: Tensor, masks: Tensor) -> Tensor:
        """M', (n, 1, h, w)."""
        if masks.shape[2:] == images.shape[2:]:
            return masks
        return F.interpolate(masks, size=images.shape[2:], mode="bilinear", align_corners=False)

    def _show(self, x: Tensor, reference: Tensor, masks: Tensor, given: Given, step: int) -> Tensor:
        x, reference = x[given["image"]], reference[given["image"]]
        shown = perturbed(x, self._at_size_of(x, masks), reference)
        if not self.views:
            return shown
        return torch.cat([viewed(shown, view, self.shift) for view in given["views"][:, step].unbind(1)])

    def _loss(self, logits: Sequence[Tensor], masks: Tensor, given: Given) -> tuple[Tensor, Tensor]:
        target = given["target"]
        losses = []
        for i, each in enumerate(logits):
            before = given[_before(i)].to(each) if self.factor is not None else each
            losses += [self._of_view(before, after, target) for after in each.split(len(target))]
        kept_little = self.game == "preserve"
        little = sparsity(1 - masks if kept_little else masks, self.reduction)
        smooth = total_variation(masks, self.tv, self.beta, self.reduction)
        loss = torch.stack(losses).mean(dim=0) + self.tv_weight * smooth + self.l1_weight * little
        return loss, class_probability(logits[0][: len(target)], target)

    def _of_view(self, before: Tensor, after: Tensor, target: Tensor) -> Tensor:
        """The loss without the mask's own part, (n,)."""
        if self.loss == "probability":
            probability = class_probability(after, target)
            loss = probability if self.game == "delete" else -probability
        elif self.game == "delete":
            loss = -log_remainder(after, target)
        else:
            loss = F.cross_entropy(after, target, reduction="none")
        if self.factor is None:
            return loss
        factor = target_factor if self.factor == "target" else non_target_factor
        if self.centred:
            before, after = centred(before), centred(after)
        return loss + self.gamma * factor(before, after, target)

    def _project(self, parameters: Parameters) -> None:
        if self.bounds == "clamp":
            parameters[0].clamp_(0, 1)


STABLE: dict[str, Any] = {
    "steps": 40,
    "loss": "log_probability",
    "tv_weight": 0.0,
    "l1_weight": 0.5,
    "bounds": "sigmoid",
    "resolution": 14,
    "init": "ones",
    "kernel": 31,
    "sigma": 10.0,
    "views": 1,
    "averaged": 0.5,
    "restarts": 10,
    "shared": True,
    "lr": 0.15,
}
"""The settings of `UndesirablePixels.stable`; what else was tried is in the documentation."""


def _taken(film: Film) -> Observer:
    """A film of what masks take away."""

    def observe(step: int, rows: Tensor, decoded: Tensor, logits: Tensor) -> None:
        film(step, rows, 1 - decoded, logits)

    return observe


def _before(network: int) -> str:
    """Under which name a network's logits of the images are given."""
    return f"before {network}"


@dataclass
class _Mean:
    """The mean of masks over the steps from some step on."""

    first: int
    total: Tensor | None = None
    count: Tensor | None = None

    def add(self, step: int, rows: Tensor, decoded: Tensor, n: int) -> None:
        if step < self.first:
            return
        if self.total is None or self.count is None:
            self.total = decoded.new_zeros((n, *decoded.shape[1:]))
            self.count = decoded.new_zeros((n, 1, 1, 1))
        # An image may have ended before the others.
        self.total[rows] += decoded
        self.count[rows] += 1

    def over(self, last: Tensor) -> Tensor:
        """The means; the last masks where there are none."""
        if self.total is None or self.count is None:
            return last
        return torch.where(self.count > 0, self.total / self.count.clamp(min=1), last)
