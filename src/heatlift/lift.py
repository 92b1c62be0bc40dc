"""What a lift found: heatmaps that were optimised to raise a class, with scores that belong to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from heatlift.augmentation import augment
from heatlift.classifier import Classifier
from heatlift.errors import HeatliftError
from heatlift.evolution import Evolution, Film
from heatlift.portions import Portions
from heatlift.score import class_probability, logit_gain
from heatlift.subject import chosen_class
from heatlift.types import OperationName, Target


@dataclass(frozen=True)
class Lift:
    """Heatmaps of n images and what they do, all measured in float32 on the network itself.

    Attributes:
        heatmaps: h, (n, 3, h, w).
        augmented: x' = x + h or x * h, (n, 3, h, w) in pixel space; may leave [0, 1].
        target: the class that was raised, (n,).
        score: CO score of x' for it, (n,), in units of logits.
        score_clipped: the same of x' brought back to [0, 1], (n,).
        steps: updates that the heatmap had, (n,).
        reached: whether what was aimed at was reached, (n,).
        history: score after 0, 1, 2... updates, (n, T), as the optimiser saw it; NaN after an image stopped.
        p_before: softmax probability of the target, (n,).
        p_after: the same for x', (n,).
        predicted_before: (n,).
        predicted_after: (n,).
        images: x, (n, 3, h, w) in [0, 1].
        operation: how the heatmaps are applied.
        classes: the network's class names, where it has any.
        evolutions: steps of the first images, kept to be shown; none where an observer watched instead.
    """

    heatmaps: Tensor = field(repr=False)
    augmented: Tensor = field(repr=False)
    target: Tensor
    score: Tensor
    score_clipped: Tensor
    steps: Tensor
    reached: Tensor
    history: Tensor = field(repr=False)
    p_before: Tensor
    p_after: Tensor
    predicted_before: Tensor
    predicted_after: Tensor
    images: Tensor = field(repr=False)
    operation: OperationName
    classes: Sequence[str] | None = field(repr=False)
    evolutions: Sequence[Evolution] = field(repr=False)

    def _repr_html_(self) -> str:
        """What a notebook shows: the first images with a slider over their steps."""
        from heatlift.notebook import lift_html

        return lift_html(self)


@dataclass(frozen=True)
class Subjects:
    """Images that are to be lifted, and what the network itself says of them.

    Attributes:
        network: the classifier in float32 or better, unfolded.
        images: (n, 3, h, w) in [0, 1], on its device.
        target: the class to be raised, (n,).
        logits: (n, C).
        portions: how many images go at a time.
    """

    network: Classifier
    images: Tensor
    target: Tensor
    logits: Tensor
    portions: Portions

    @classmethod
    def of(cls, classifier: Classifier, images: Tensor, labels: Target, portions: Portions) -> Subjects:
        """Check the images and run the network on them.

        Raises:
            HeatliftError: no batch of images in [0, 1], or a class that the network has no output for.
        """
        network = classifier.in_float32().unfolded()
        images = network.inputs(images.detach(), "pixel")
        # The optimiser's steps are too small for half precision; the classifier casts what it is shown.
        images = images.float() if images.dtype in (torch.float16, torch.bfloat16) else images
        if not len(images):
            raise HeatliftError("no images: give a batch of at least one")
        lowest, highest = float(images.min()), float(images.max())
        if not (lowest >= 0 and highest <= 1):
            raise HeatliftError(f"images from {lowest:g} to {highest:g}: expected pixels in [0, 1]")
        logits = logits_of(network, images, portions)
        return cls(network, images, chosen_class(labels, logits), logits, portions)

    def lifted(
        self,
        heatmaps: Tensor,
        operation: OperationName,
        *,
        clip: bool = False,
        steps: Tensor,
        history: Tensor,
        aim: float | None,
        film: Film | None,
    ) -> Lift:
        """Measure heatmaps.

        Args:
            heatmaps: (n, 3, h, w).
            operation: how they are applied.
            clip: whether x' is brought back to [0, 1] as a part of the method.
            steps: updates that they had, (n,).
            history: the optimiser's scores, (n, T).
            aim: the CO score that was aimed at; without one it was that the target is predicted.
            film: what watched the optimiser.
        """
        augmented = augment(self.images, heatmaps, operation)
        clipped = augmented.clamp(0, 1)
        augmented = clipped if clip else augmented
        after = logits_of(self.network, augmented, self.portions)
        after_clipped = after if clip else logits_of(self.network, clipped, self.portions)
        score = logit_gain(self.logits, after, self.target)
        predicted_after = after.argmax(dim=1)
        return Lift(
            heatmaps=heatmaps,
            augmented=augmented,
            target=self.target,
            score=score,
            score_clipped=logit_gain(self.logits, after_clipped, self.target),
            steps=steps,
            reached=score >= aim if aim is not None else predicted_after == self.target,
            history=history,
            p_before=class_probability(self.logits, self.target),
            p_after=class_probability(after, self.target),
            predicted_before=self.logits.argmax(dim=1),
            predicted_after=predicted_after,
            images=self.images,
            operation=operation,
            classes=self.network.classes,
            evolutions=() if film is None else film.evolutions(heatmaps, steps.tolist()),
        )


def logits_of(network: Classifier, images: Tensor, portions: Portions) -> Tensor:
    """The logits (n, C) of images (n, 3, h, w) in pixel space, without gradients.

    Raises:
        HeatliftError: a single image does not fit into memory.
    """
    with torch.no_grad():
        return torch.cat(portions.all(images, network))
