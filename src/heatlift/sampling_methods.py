"""The methods that take the plain gradient at many inputs."""

from __future__ import annotations

import torch
from torch import Tensor

from heatlift.errors import HeatliftError
from heatlift.method import Method
from heatlift.streams import digest, image_seed
from heatlift.subject import COMPLETENESS_TOLERANCE, Subject

CROWDING = 3
"""How closely the points of integrated gradients lie next to the baseline: 1 would space them evenly."""

FEWEST_STEPS = 8
"""Integrated gradients does not stop before, however complete a coarser sum may look by chance."""


def integrated_gradients(subject: Subject, layer: str | None, steps: int) -> Tensor:
    """Integrated gradients along the straight line from the baseline (Sundararajan et al. 2017, eq. 1).

    The integral over ``alpha`` in [0, 1] is taken as one over ``u`` with ``alpha = u ** 3``, since networks
    change most next to the baseline. It is a trapezoid sum whose number of steps doubles, for each image
    on its own, until the heatmap is complete within the tolerance, or ``steps`` are reached. No gradient
    is computed twice.
    """
    if steps < FEWEST_STEPS:
        raise HeatliftError(f"{steps} steps for integrated_gradients: give at least {FEWEST_STEPS}")
    difference = subject.inputs - subject.start
    # At u = 0 the substitution's weight is 0, at u = 1 it is 3, and half of that counts.
    mean = subject.gradient(subject.inputs) * CROWDING / 2
    # What the sum makes of a constant gradient, 1 but for the sum's own error.
    one = torch.full((len(mean), 1, 1, 1), CROWDING / 2, dtype=mean.dtype, device=mean.device)
    left = torch.arange(len(mean), device=mean.device)
    intervals = 1
    while len(left) and 2 * intervals <= steps:
        middle, weights = torch.zeros_like(mean[left]), 0.0
        for k in range(intervals):
            u = (k + 0.5) / intervals
            weight = CROWDING * u ** (CROWDING - 1) / intervals
            inputs = subject.inputs[left] - (1 - u**CROWDING) * difference[left]
            middle += weight * subject.gradient(inputs, left)
            weights += weight
        mean[left] = (mean[left] + middle) / 2
        one[left] = (one[left] + weights) / 2
        intervals *= 2
        if intervals >= FEWEST_STEPS:
            missed = subject.completeness(difference * mean / one)[left]
            left = left[~(missed <= COMPLETENESS_TOLERANCE)]
    return difference * mean / one


def smoothgrad(subject: Subject, layer: str | None, samples: int, noise: float, seed: int) -> Tensor:
    """The mean gradient under Gaussian noise (Smilkov et al. 2017), signed.

    The noise's standard deviation is ``noise`` times the image's range, largest less smallest value. Each
    image has noise of its own, set by the seed and its pixels: the same in whatever batch it comes.
    """
    if samples < 1 or noise < 0:
        raise HeatliftError(f"smoothgrad with {samples} samples and noise {noise}: at least 1 and 0")
    inputs = subject.inputs
    generators = [
        torch.Generator().manual_seed(image_seed(seed, digest(image), "smoothgrad"))
        for image in subject.images
    ]
    spread = noise * (inputs.amax(dim=(1, 2, 3)) - inputs.amin(dim=(1, 2, 3))).view(-1, 1, 1, 1)
    total = torch.zeros_like(inputs)
    for _ in range(samples):
        drawn = torch.stack([torch.randn(inputs.shape[1:], generator=g) for g in generators])
        total += subject.gradient(inputs + spread * drawn.to(inputs))
    return total / samples


SAMPLING_METHODS = (
    Method(
        "integrated_gradients",
        "Integrated gradients",
        "Sundararajan et al. 2017",
        "any network",
        runs=integrated_gradients,
        options={"steps": 256},
        trial={"steps": FEWEST_STEPS},
        complete=True,
        approximate=True,
    ),
    Method(
        "smoothgrad",
        "SmoothGrad",
        "Smilkov et al. 2017",
        "any network",
        runs=smoothgrad,
        options={"samples": 25, "noise": 0.15, "seed": 0},
        trial={"samples": 1},
    ),
)
