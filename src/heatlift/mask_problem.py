"""The problem of finding masks, as the optimiser asks: where they start, what they show, their loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from heatlift.optimise import Given, Parameters, Problem
from heatlift.perturbation import perturbed
from heatlift.regularise import centred, non_target_factor, sparsity, target_factor, total_variation
from heatlift.score import class_probability, log_remainder
from heatlift.streams import digest, image_seed
from heatlift.views import viewed

if TYPE_CHECKING:
    from heatlift.undesirable import UndesirablePixels

OPEN = 2.0
"""What a sigmoid mask starts from: 0.88 of the image."""


@dataclass(frozen=True)
class MaskProblem:
    """What is minimised for some images.

    Attributes:
        how: the settings.
        images: x, (n, 3, h, w) in [0, 1].
        reference: g(x), what takes a pixel's place, of the same shape.
    """

    how: UndesirablePixels
    images: Tensor
    reference: Tensor

    def of_optimiser(self) -> Problem:
        """For the optimiser; each of its rows is a mask of the image that ``given["image"]`` says."""
        return Problem(self.decode, self.show, self.value, self.project)

    def start(self, purpose: str) -> Tensor:
        """Parameters, (n, 1, resolution, resolution)."""
        shape = (len(self.images), 1, self.how.resolution, self.how.resolution)
        if self.how.init == "ones":
            return (
                self.images.new_zeros(shape) if self.how.bounds == "sigmoid" else self.images.new_ones(shape)
            )
        drawn = []
        for image in self.images:
            stream = torch.Generator().manual_seed(
                image_seed(self.how.seed, digest(image), f"mask/{purpose}")
            )
            drawn.append(torch.rand(shape[1:], generator=stream))
        start = torch.stack(drawn).to(self.images)
        return 2 * start - 1 if self.how.bounds == "sigmoid" else start

    def decode(self, parameters: Parameters, given: Given) -> Tensor:
        """Masks as the loss sees them: coarse, or at the images' size where they are sigmoid."""
        (w,) = parameters
        if self.how.bounds == "clamp":
            return w
        fine = F.interpolate(w, size=tuple(self.images.shape[2:]), mode="bicubic", align_corners=False)
        return torch.sigmoid(fine + OPEN)

    def show(self, masks: Tensor, given: Given, step: int) -> Tensor:
        """Q, (m, 3, h, w); or its views of this step, one after the other."""
        x, reference = self.images[given["image"]], self.reference[given["image"]]
        shown = perturbed(x, at_size_of(x, masks), reference)
        if not self.how.views:
            return shown
        return torch.cat([viewed(shown, view, self.how.shift) for view in given["views"][:, step].unbind(1)])

    def value(self, logits: Sequence[Tensor], masks: Tensor, given: Given) -> tuple[Tensor, Tensor]:
        """Each mask's loss and its class's probability, (m,), of the logits of every network."""
        target = given["target"]
        losses = []
        for i, each in enumerate(logits):
            unchanged = given[key_before(i)].to(each) if self.how.factor is not None else each
            losses += [self._of_view(unchanged, after, target) for after in each.split(len(target))]
        kept_little = self.how.game == "preserve"
        little = sparsity(1 - masks if kept_little else masks, self.how.reduction)
        smooth = total_variation(masks, self.how.tv, self.how.beta, self.how.reduction)
        loss = torch.stack(losses).mean(dim=0) + self.how.tv_weight * smooth + self.how.l1_weight * little
        return loss, class_probability(logits[0][: len(target)], target)

    def _of_view(self, before: Tensor, after: Tensor, target: Tensor) -> Tensor:
        """The loss without the mask's own part, (n,)."""
        if self.how.loss == "probability":
            probability = class_probability(after, target)
            loss = probability if self.how.game == "delete" else -probability
        elif self.how.game == "delete":
            loss = -log_remainder(after, target)
        else:
            loss = F.cross_entropy(after, target, reduction="none")
        if self.how.factor is None:
            return loss
        factor = target_factor if self.how.factor == "target" else non_target_factor
        if self.how.centred:
            before, after = centred(before), centred(after)
        return loss + self.how.gamma * factor(before, after, target)

    def project(self, parameters: Parameters) -> None:
        """Bring parameters back to where they may be."""
        if self.how.bounds == "clamp":
            parameters[0].clamp_(0, 1)


def at_size_of(images: Tensor, masks: Tensor) -> Tensor:
    """M', (n, 1, h, w)."""
    if masks.shape[2:] == images.shape[2:]:
        return masks
    return F.interpolate(masks, size=images.shape[2:], mode="bilinear", align_corners=False)


def key_before(network: int) -> str:
    """Under which name a network's logits of the images are given."""
    return f"before {network}"


@dataclass
class Mean:
    """The mean of masks over the steps from some step on."""

    first: int
    total: Tensor | None = None
    count: Tensor | None = None

    def add(self, step: int, rows: Tensor, decoded: Tensor, n: int) -> None:
        """Take in a step's masks, those of some rows of n."""
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
