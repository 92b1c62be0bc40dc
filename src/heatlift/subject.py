"""What a method explains: images, a class of each and a baseline; and what any method may ask of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from heatlift.classifier import Classifier
from heatlift.errors import HeatliftError
from heatlift.types import Space, Target

COMPLETENESS_TOLERANCE = 0.01
"""Relative difference above which a map that promises to be complete is not counted as one."""


@dataclass(frozen=True)
class Subject:
    """A batch of images as an attribution method sees it.

    Attributes:
        classifier: the network.
        images: (n, 3, h, w) in [0, 1].
        inputs: the same in the space of the heatmaps.
        target: the class explained, (n,).
        logits: the network's, (n, C).
        space: the space of ``inputs``, ``start`` and the heatmaps.
        start: the baseline, (n, 3, h, w) or (1, 3, h, w) for all.
        start_logits: the network's of the baseline, (n, C) or (1, C), where they are known already.
    """

    classifier: Classifier
    images: Tensor
    inputs: Tensor
    target: Tensor
    logits: Tensor
    space: Space
    start: Tensor
    start_logits: Tensor | None = None

    @cached_property
    def _before(self) -> Tensor:
        """The logits of the baseline, (n, C) or (1, C)."""
        if self.start_logits is not None:
            return self.start_logits
        with torch.no_grad():
            return self.classifier(self.start, self.space)

    def gradient(self, inputs: Tensor, of: Tensor | None = None) -> Tensor:
        """The plain gradient (m, 3, h, w) of the explained logit at other inputs of these images.

        Args:
            inputs: (m, 3, h, w).
            of: which image each is one of, (m,); by default one for each.
        """
        inputs = inputs.detach().clone().requires_grad_()
        target = self.target if of is None else self.target[of]
        explained = self.classifier.explained(self.classifier(inputs, self.space), target)
        (gradient,) = torch.autograd.grad(explained.sum(), inputs, materialize_grads=True)
        return gradient

    def completeness(self, heatmaps: Tensor) -> Tensor:
        """Relative difference (n,) between a heatmap's sum and the logit's rise from the baseline."""
        after = self.classifier.explained(self.logits, self.target)
        before = self.classifier.explained(self._before.expand_as(self.logits), self.target)
        rise = after - before
        # Where image and baseline happen to have nearly the same logit, relative to the logits themselves.
        scale = torch.maximum(rise.abs(), 0.01 * (after.abs() + before.abs()))
        return (heatmaps.sum(dim=(1, 2, 3)) - rise).abs() / scale.clamp(min=torch.finfo(scale.dtype).tiny)


def chosen_class(target: Target, logits: Tensor) -> Tensor:
    """The class explained, (n,): None or ``predicted``, ``runner-up``, one class for all, or one per image.

    Raises:
        HeatliftError: a class the network has no output for, or not one per image.
    """
    n, classes = logits.shape
    if target is None or isinstance(target, str):
        if target not in (None, "predicted", "runner-up"):
            raise HeatliftError(f"unknown target '{target}': choose predicted, runner-up, or a class number")
        return logits.topk(2, dim=1).indices[:, 1] if target == "runner-up" else logits.argmax(dim=1)
    chosen = torch.as_tensor(target, device=logits.device)
    if chosen.is_floating_point() or chosen.dtype == torch.bool:
        raise HeatliftError(f"target of type {chosen.dtype}: classes are integers")
    chosen = chosen.long()
    chosen = chosen.expand(n) if chosen.ndim == 0 else chosen
    if chosen.shape != (n,):
        raise HeatliftError(
            f"targets of shape {tuple(chosen.shape)} for {n} images: give one class per image"
        )
    if n and not 0 <= int(chosen.min()) <= int(chosen.max()) < classes:
        raise HeatliftError(f"target {chosen.tolist()}: the network has classes 0 to {classes - 1}")
    return chosen
