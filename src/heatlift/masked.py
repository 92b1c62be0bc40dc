"""What masks found: pixels that stand in the way of a class, with numbers that belong to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from heatlift.evolution import Evolution, Film
from heatlift.lift import Subjects, logits_of
from heatlift.perturbation import perturbed
from heatlift.score import class_probability, relative_improvement

UNDESIRABLE = 0.6
"""A pixel counts as undesirable where 1 - M' exceeds this (Kang 2019, section 4.4)."""


@dataclass(frozen=True)
class Undesirable:
    """Masks of n images and what they do, all measured in float32 on the network itself.

    Attributes:
        masks: M', (n, 1, h, w) in [0, 1]; 1 keeps a pixel, 0 takes it away.
        perturbed: Q = x M' + g(x) (1 - M'), (n, 3, h, w) in [0, 1].
        target: the class, (n,).
        p_before: softmax probability of the target, (n,).
        p_after: the same for Q, (n,).
        phi: relative improvement, (n,), in per cent up to 100; no lower bound (Kang 2019, eq. 8).
        area: share of the pixels with 1 - M' above 0.6, (n,).
        max_magnitude: largest 1 - M', (n,).
        predicted_before: (n,).
        predicted_after: (n,).
        history: the target's probability after 0, 1, 2... updates, (n, T), as the optimiser saw it.
        logits_before: (n, C).
        logits_after: (n, C).
        images: x, (n, 3, h, w) in [0, 1].
        reference: g(x), (n, 3, h, w).
        classes: the network's class names, where it has any.
        evolutions: steps of the first images' 1 - M', kept to be shown; none where an observer watched
            instead, and in further trials.
    """

    masks: Tensor = field(repr=False)
    perturbed: Tensor = field(repr=False)
    target: Tensor
    p_before: Tensor
    p_after: Tensor
    phi: Tensor
    area: Tensor
    max_magnitude: Tensor
    predicted_before: Tensor
    predicted_after: Tensor
    history: Tensor = field(repr=False)
    logits_before: Tensor = field(repr=False)
    logits_after: Tensor = field(repr=False)
    images: Tensor = field(repr=False)
    reference: Tensor = field(repr=False)
    classes: Sequence[str] | None = field(repr=False)
    evolutions: Sequence[Evolution] = field(repr=False)

    def _repr_html_(self) -> str:
        """What a notebook shows: the first images with a slider over their steps."""
        from heatlift.notebook import masks_html

        return masks_html(self)


def measured(
    subjects: Subjects, reference: Tensor, masks: Tensor, history: Tensor, film: Film | None = None
) -> Undesirable:
    """Measure masks.

    Args:
        subjects: the images.
        reference: g(x), (n, 3, h, w).
        masks: M', (n, 1, h, w).
        history: the optimiser's probabilities, (n, T).
        film: what watched what the masks take away.
    """
    shown = perturbed(subjects.images, masks, reference)
    before, after = subjects.logits, logits_of(subjects.network, shown, subjects.portions)
    taken = 1 - masks
    return Undesirable(
        masks=masks,
        perturbed=shown,
        target=subjects.target,
        p_before=class_probability(before, subjects.target),
        p_after=class_probability(after, subjects.target),
        phi=relative_improvement(before, after, subjects.target),
        area=(taken > UNDESIRABLE).to(masks).mean(dim=(1, 2, 3)),
        max_magnitude=taken.amax(dim=(1, 2, 3)),
        predicted_before=before.argmax(dim=1),
        predicted_after=after.argmax(dim=1),
        history=history,
        logits_before=before,
        logits_after=after,
        images=subjects.images,
        reference=reference,
        classes=subjects.network.classes,
        evolutions=() if film is None else film.evolutions(taken, [history.shape[1] - 1] * len(taken)),
    )
