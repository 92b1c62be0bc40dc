"""Undesirable pixels: what stands in the way of a class, found by masks (Kang 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, get_args

from torch import Tensor

from heatlift.classifier import Classifier
from heatlift.errors import HeatliftError
from heatlift.gradients import gradients
from heatlift.lift import Subjects
from heatlift.mask_trials import mask_trials
from heatlift.masked import Undesirable
from heatlift.optimise import Observer, Progress
from heatlift.perturbation import Reference, ReferenceName
from heatlift.portions import Portions
from heatlift.precision import Precision
from heatlift.regularise import (
    Reduction,
    Variation,
)
from heatlift.types import Target

Factor: TypeAlias = Literal["target", "non_target"]
Game: TypeAlias = Literal["improve", "delete", "preserve"]


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

    Example:
        >>> import torch
        >>> from heatlift import Classifier
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 2))
        >>> clf, images = Classifier(net, size=8), torch.rand(3, 3, 8, 8)
        >>> found = UndesirablePixels(steps=5, resolution=4, kernel=3)(clf, images, target=1)
        >>> found.masks.shape, bool((found.phi <= 100).all())
        (torch.Size([3, 1, 8, 8]), True)
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

        Example:
            >>> preset = UndesirablePixels.stable(restarts=1)
            >>> preset.bounds, preset.restarts
            ('sigmoid', 1)
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

    @gradients()
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
        return mask_trials(
            self,
            Subjects.of(classifier, images, target, portions or Portions(self.batch_size)),
            range(first, first + count),
            networks=[classifier, *others],
            observe=observe,
            progress=progress,
        )


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
