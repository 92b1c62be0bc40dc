"""Spotlights: smooth multiplicative lifts, sparing enough that other networks share them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from heatlift.classifier import Classifier
from heatlift.errors import HeatliftError
from heatlift.evolution import Film
from heatlift.gradients import gradients
from heatlift.lift import Lift, Subjects
from heatlift.optimise import Given, Observer, Optimiser, Parameters, Problem, Progress
from heatlift.portions import Portions
from heatlift.precision import Precision
from heatlift.score import logit_gain
from heatlift.types import Target
from heatlift.views import drawn_views, viewed


@dataclass(frozen=True)
class Spotlight:
    """Optimises h = 1 + strength tanh(up(w)), w coarse, such that the network sees more of a class in x h.

    Minimises ``-log softmax_k(f(view(x'))) + penalty mean|x' - x|`` with x' = x h brought back to [0, 1],
    by Adam for each image, w starting at 0; ``up`` is bicubic. Each step sees another view: shifted by some
    pixels and mirrored or not. Smooth, sparing, and the same under views: what is found that way tends to
    carry over to networks that took no part.

    Attributes:
        steps: updates of every image.
        seed: of the views; each image's are its own.
        strength: the most that a pixel is darkened or brightened, as a share.
        resolution: side of the coarse map w.
        colour: whether each channel has a map of its own.
        penalty: weight of the mean change of a pixel.
        views: how many of an image each step sees; it costs as many passes.
        shift: how far a view is shifted at most, in pixels.
        mirror: whether views may be mirrored.
        lr: Adam's learning rate.
        precision: arithmetic of the network while it is optimised; scores are float32 in any case.
        batch_size: how many images go through the network at a time; halved where memory runs out.

    Example:
        >>> import torch
        >>> from heatlift import Classifier
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 2))
        >>> clf, images = Classifier(net, size=8), torch.rand(3, 3, 8, 8)
        >>> lift = Spotlight(steps=5, resolution=4, shift=1)(clf, images)  # of the class predicted
        >>> bool(((lift.augmented >= 0) & (lift.augmented <= 1)).all())
        True
    """

    steps: int = 80
    seed: int = 0
    strength: float = 0.15
    resolution: int = 28
    colour: bool = True
    penalty: float = 5.0
    views: int = 1
    shift: int = 8
    mirror: bool = True
    lr: float = 0.1
    precision: Precision = "auto"
    batch_size: int = 16

    def __post_init__(self) -> None:
        if self.steps < 0 or self.batch_size < 1 or self.resolution < 1 or self.shift < 0 or self.views < 1:
            raise HeatliftError(
                f"Spotlight with steps {self.steps}, batch_size {self.batch_size}, resolution "
                f"{self.resolution}, shift {self.shift}, views {self.views}: at least 0, 1, 1, 0, 1"
            )
        if not self.lr > 0 or not 0 < self.strength <= 1:
            raise HeatliftError(
                f"Spotlight with lr {self.lr}, strength {self.strength}: above 0, and above 0 up to 1"
            )

    @gradients()
    def __call__(
        self,
        classifier: Classifier,
        images: Tensor,
        labels: Target = None,
        *,
        others: Sequence[Classifier] = (),
        observe: Observer | None = None,
        progress: Progress | None = None,
        portions: Portions | None = None,
    ) -> Lift:
        """Lift the classifier's confidence in a class of each image.

        Args:
            classifier: the network; it is left as it was.
            images: (n, 3, h, w) in [0, 1].
            labels: the class to raise: one per image, one for all, or by default what is predicted.
            others: further networks with the same classes, convinced along with the first.
            observe: sees the heatmaps of every step, instead of the result's `evolutions`.
            progress: hears of every step.
            portions: how many images go at a time, instead of ``batch_size``.

        Returns:
            The lift; ``reached`` says whether the class is the predicted one afterwards.

        Raises:
            HeatliftError: images, labels or networks that do not fit, or too large for the memory.
        """
        for other in others:
            if other.num_classes != classifier.num_classes:
                raise HeatliftError(
                    f"{other.name} has {other.num_classes} classes, {classifier.name} "
                    f"{classifier.num_classes}: they must be the same"
                )
        portions = portions or Portions(self.batch_size)
        subjects = Subjects.of(classifier, images, labels, portions)
        networks = [one.in_precision(self.precision) for one in (classifier, *others)]
        optimiser = Optimiser(
            Problem(self._decode, self._show, self._loss),
            networks,
            self.steps,
            self.lr,
            portions=portions,
        )
        x = subjects.images
        views = drawn_views(x, (self.steps + 1, self.views), self.shift, self.mirror, self.seed)
        given = {"x": x, "target": subjects.target, "before": subjects.logits, "views": views}
        start = x.new_zeros(len(x), 3 if self.colour else 1, self.resolution, self.resolution)
        film = Film(subjects.target, x.shape[2:], view=True) if observe is None else None
        found = optimiser((start,), given, observe or film, progress)
        heatmaps = self._decode(found.parameters, given)
        return subjects.lifted(
            heatmaps, "multiply", clip=True, steps=found.steps, history=found.history, aim=None, film=film
        )

    def _decode(self, parameters: Parameters, given: Given) -> Tensor:
        (w,) = parameters
        fine = F.interpolate(w, size=given["x"].shape[2:], mode="bicubic", align_corners=False)
        return (1 + self.strength * torch.tanh(fine)).expand_as(given["x"])

    def _show(self, heatmaps: Tensor, given: Given, step: int) -> Tensor:
        augmented = (given["x"] * heatmaps).clamp(0, 1)
        views = given["views"][:, step].unbind(1)
        return torch.cat([viewed(augmented, view, self.shift) for view in views])

    def _loss(self, logits: Sequence[Tensor], heatmaps: Tensor, given: Given) -> tuple[Tensor, Tensor]:
        target = given["target"]
        change = ((given["x"] * heatmaps).clamp(0, 1) - given["x"]).abs().mean(dim=(1, 2, 3))
        seen = [view for each in logits for view in each.split(len(target))]
        losses = torch.stack([F.cross_entropy(view, target, reduction="none") for view in seen])
        score = logit_gain(given["before"], seen[0], target)
        return losses.mean(dim=0) + self.penalty * change, score
