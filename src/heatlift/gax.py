"""Generative augmentative explanation (GAX): heatmaps optimised for the CO score (Tjoa 2022, section 3)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from heatlift.augmentation import OPERATIONS, augment
from heatlift.classifier import Classifier
from heatlift.errors import HeatliftError
from heatlift.evolution import Film
from heatlift.gradients import gradients
from heatlift.lift import Lift, Subjects
from heatlift.optimise import Given, Observer, Optimiser, Parameters, Problem, Progress
from heatlift.portions import Portions
from heatlift.precision import Precision
from heatlift.score import logit_gain
from heatlift.types import OperationName, Target

EPSILON = 1e-4
"""Keeps the similarity loss from dividing by a black pixel's 0 (Tjoa 2022)."""


@dataclass(frozen=True)
class GAX:
    """Optimises h = tanh(w x + b) until x + h, or x h, has a CO score (Tjoa 2022, section 3).

    Minimises ``-CO + similarity / mean((h - x + eps)^2 / (x + eps))`` with Adam for each image, in pixel
    space, w starting at 1. Every default is the paper's; images that are predicted wrongly, which the paper
    leaves out, are raised as well: to the label, where it is given.

    Attributes:
        target_co: the CO score at which an image is done, in units of logits.
        max_steps: updates after which it is done in any case, reached or not.
        lr: Adam's learning rate.
        similarity: weight of the loss that keeps h from resembling the image.
        bias: where b starts; without one there is no b. The paper has 0.01 for its X-rays.
        operation: ``add`` or ``multiply``.
        precision: arithmetic of the network while it is optimised; scores are float32 in any case.
        best: whether an image that does not get there gives its best heatmap instead of its last.
        batch_size: how many images go through the network at a time; halved where memory runs out.

    Example:
        >>> import torch
        >>> from heatlift import Classifier
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 2))
        >>> clf, images = Classifier(net, size=8), torch.rand(3, 3, 8, 8)
        >>> lift = GAX(target_co=0.1)(clf, images, labels=torch.tensor([0, 1, 1]))
        >>> lift.heatmaps.shape, bool((lift.score[lift.reached] >= 0.1).all())
        (torch.Size([3, 3, 8, 8]), True)
    """

    target_co: float = 48.0
    max_steps: int = 500
    lr: float = 0.1
    similarity: float = 100.0
    bias: float | None = None
    operation: OperationName = "add"
    precision: Precision = "auto"
    best: bool = False
    batch_size: int = 16

    def __post_init__(self) -> None:
        if self.max_steps < 0 or self.batch_size < 1 or not self.lr > 0:
            raise HeatliftError(
                f"GAX with max_steps {self.max_steps}, batch_size {self.batch_size}, lr {self.lr}: "
                "at least 0, at least 1, above 0"
            )
        if not all(map(math.isfinite, (self.target_co, self.similarity, self.bias or 0.0))):
            raise HeatliftError(
                f"GAX with target_co {self.target_co}, similarity {self.similarity}, bias {self.bias}: "
                "give finite numbers"
            )
        if self.operation not in OPERATIONS:
            raise HeatliftError(f"unknown operation '{self.operation}': choose from {', '.join(OPERATIONS)}")

    @gradients()
    def __call__(
        self,
        classifier: Classifier,
        images: Tensor,
        labels: Target = None,
        *,
        observe: Observer | None = None,
        progress: Progress | None = None,
        portions: Portions | None = None,
    ) -> Lift:
        """Lift the classifier's confidence in a class of each image.

        Args:
            classifier: the network; it is left as it was.
            images: (n, 3, h, w) in [0, 1].
            labels: the class to raise: one per image, one for all, or by default what is predicted.
            observe: sees the heatmaps of every step, instead of the result's `evolutions`.
            progress: hears of every step.
            portions: how many images go at a time, instead of ``batch_size``.

        Raises:
            HeatliftError: images or labels that do not fit, or too large for the memory.
        """
        portions = portions or Portions(self.batch_size)
        subjects = Subjects.of(classifier, images, labels, portions)
        fast = classifier.in_precision(self.precision)
        optimiser = Optimiser(
            Problem(self._decode, self._show, self._loss),
            [fast],
            self.max_steps,
            self.lr,
            target=self.target_co,
            best=self.best,
            # Also in float32: folding rounds otherwise than the network itself.
            exact=[subjects.network],
            portions=portions,
        )
        x = subjects.images
        start = (
            (torch.ones_like(x),)
            if self.bias is None
            else (torch.ones_like(x), torch.full_like(x, self.bias))
        )
        given = {"x": x, "target": subjects.target, "before": subjects.logits}
        film = Film(subjects.target, x.shape[2:]) if observe is None else None
        found = optimiser(start, given, observe or film, progress)
        heatmaps = self._decode(found.parameters, given)
        return subjects.lifted(
            heatmaps,
            self.operation,
            steps=found.steps,
            history=found.history,
            aim=self.target_co,
            film=film,
        )

    def _decode(self, parameters: Parameters, given: Given) -> Tensor:
        w, *b = parameters
        return torch.tanh(torch.addcmul(b[0], w, given["x"]) if b else w * given["x"])

    def _show(self, heatmaps: Tensor, given: Given, step: int) -> Tensor:
        return augment(given["x"], heatmaps, self.operation)

    def _loss(self, logits: Sequence[Tensor], heatmaps: Tensor, given: Given) -> tuple[Tensor, Tensor]:
        (after,) = logits
        score = logit_gain(given["before"], after, given["target"])
        return -score + self.similarity * similarity(given["x"], heatmaps), score


def similarity(images: Tensor, heatmaps: Tensor) -> Tensor:
    """How much heatmaps resemble their images, (n,): 1 / mean((h - x + eps)^2 / (x + eps)) (Tjoa 2022).

    Args:
        images: x, (n, c, h, w) in [0, 1].
        heatmaps: h, the same shape.
    """
    difference = (heatmaps - images + EPSILON).square() / (images + EPSILON)
    return 1 / difference.mean(dim=(1, 2, 3))
