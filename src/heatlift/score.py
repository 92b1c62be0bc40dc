"""Scores of one image before and after an augmentation: pure functions, one number per image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from heatlift.errors import HeatliftError


def looks_like_probabilities(outputs: Tensor) -> bool:
    """Whether every row of ``outputs`` (n, C) lies in [0, 1] and sums to 1, as after a softmax."""
    in_range = bool(((outputs >= 0) & (outputs <= 1)).all())
    return in_range and bool(((outputs.sum(dim=1) - 1).abs() < 1e-4).all())


def co_score(before: Tensor, after: Tensor, labels: Tensor) -> Tensor:
    """Confidence optimisation (CO) score: how much the class gains on the mean of all others.

    ``s = delta_c - sum_{i != c} delta_i / (C - 1)`` with ``delta = after - before``
    (Tjoa 2022, eq. 5). Adding a constant to all logits of an image changes nothing.

    Args:
        before: raw logits of the images, (n, C).
        after: raw logits of the augmented images, (n, C).
        labels: the class scored, (n,) integers in [0, C): the truth, or the predicted class.

    Returns:
        (n,) in units of logits; positive where the class gained.

    Raises:
        HeatliftError: shapes do not fit, a label has no output, or probabilities were given.

    Example:
        >>> import torch
        >>> co_score(torch.tensor([[0.0, 1.0]]), torch.tensor([[2.0, 1.5]]), torch.tensor([0]))
        tensor([1.5000])
    """
    labels = torch.as_tensor(labels, device=before.device)
    if before.shape != after.shape or before.ndim != 2:
        raise HeatliftError(
            f"logits before {tuple(before.shape)} and after {tuple(after.shape)} must have one shape (n, C)"
        )
    classes = before.shape[1]
    if classes < 2:
        raise HeatliftError("one output per image: give it as the two logits (0, z)")
    if labels.shape != before.shape[:1]:
        raise HeatliftError(
            f"{len(before)} images but labels of shape {tuple(labels.shape)}: give one per image"
        )
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise HeatliftError(
            f"labels {int(labels.min())} to {int(labels.max())}: the logits have classes 0 to {classes - 1}"
        )
    # Both, so that one image's logits that happen to sum to 1 are not taken for a softmax.
    if len(before) and looks_like_probabilities(before) and looks_like_probabilities(after):
        raise HeatliftError(
            "these look like probabilities (all in [0, 1], every row sums to 1): "
            "the CO score is defined on raw logits, before any softmax"
        )
    return logit_gain(before, after, labels)


def logit_gain(before: Tensor, after: Tensor, labels: Tensor) -> Tensor:
    """`co_score` without its checks, for logits that are known to be some: (n, C), (n, C), (n,) -> (n,)."""
    delta = after - before
    column = labels.long().unsqueeze(1)
    # The others are summed without the label, not by subtraction: so two classes mirror each other exactly.
    others = delta.scatter(1, column, 0).sum(dim=1) / (delta.shape[1] - 1)
    return delta.gather(1, column).squeeze(1) - others


def class_probability(logits: Tensor, classes: Tensor) -> Tensor:
    """Softmax probability of one class per image: logits (n, C), classes (n,) -> (n,) in [0, 1]."""
    return logits.softmax(dim=1).gather(1, classes.long().unsqueeze(1)).squeeze(1)


def log_remainder(logits: Tensor, classes: Tensor) -> Tensor:
    """Logarithm of the softmax probability of all classes but one: logits (n, C), classes (n,) -> (n,).

    Not by way of 1 - p, which is 0 in float32 where the network is sure.
    """
    others = logits.scatter(1, classes.long().unsqueeze(1), -torch.inf)
    return others.logsumexp(dim=1) - logits.logsumexp(dim=1)


def relative_improvement(before: Tensor, after: Tensor, classes: Tensor) -> Tensor:
    """Relative improvement phi: the part of what was missing to certainty that was gained, in per cent.

    ``100 (f(Q) - f(x)) / (1 - f(x))``, f the class's softmax probability (Kang 2019, eq. 8), computed as
    ``100 (1 - r(Q) / r(x))``, r the probability of the other classes. 0 where nothing changed, 100 at
    certainty; it has no lower bound where f(x) is near 1.

    Args:
        before: raw logits of the images x, (n, C).
        after: raw logits of the perturbed images Q, (n, C).
        classes: (n,) integers in [0, C).

    Returns:
        (n,) up to 100, float64.

    Example:
        >>> import torch
        >>> even, sure = torch.zeros(1, 2), torch.tensor([[0.0, 40.0]])
        >>> relative_improvement(even, sure, torch.tensor([1]))
        tensor([100.], dtype=torch.float64)
    """
    # Where the class was certain and is lost, float32 overflows.
    gained = log_remainder(after.double(), classes) - log_remainder(before.double(), classes)
    return 100 * (1 - gained.exp())


def log_confidence_at(logits: Tensor, temperatures: Sequence[float]) -> Tensor:
    """Logarithm of the largest softmax probability of logits (n, C) divided by each temperature: (n, k)."""
    logits = logits.double()
    largest, at = logits.max(dim=1, keepdim=True)
    others = (logits - largest).scatter(1, at, -torch.inf)
    # By what is missing to 1, which the difference of two logarithms would round away.
    rest = [(others / temperature).logsumexp(dim=1) for temperature in temperatures]
    return -F.softplus(torch.stack(rest, dim=1))


def confidence_measures(logits: Tensor) -> dict[str, Tensor]:
    """The measures of confidence that need nothing but the logits (n, C), each (n,).

    ``confidence`` is the largest softmax probability, ``max_logit`` the largest logit, ``margin``
    the largest minus the second largest probability, ``entropy`` that of the softmax in nats
    and ``energy`` ``-logsumexp(logits)``. The first three grow with confidence, the last two fall.
    """
    log_p = logits.log_softmax(dim=1)
    leading = log_p.exp().topk(2, dim=1).values
    return {
        "confidence": leading[:, 0],
        "max_logit": logits.max(dim=1).values,
        "margin": leading[:, 0] - leading[:, 1],
        "entropy": -torch.special.xlogy(log_p.exp(), log_p.exp()).sum(dim=1),
        "energy": -logits.logsumexp(dim=1),
    }
