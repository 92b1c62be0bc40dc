"""Control heatmaps: what a score says of a map that explains nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from heatlift.streams import image_seed


@dataclass(frozen=True)
class Control:
    """A heatmap that knows nothing of the network's reasons.

    Attributes:
        name: what it is called by.
        title: what it is called in a figure.
        shows: what a reader learns from its score.
        compute: ``(inputs, others, names, seed) -> heatmaps``: the images (n, 3, h, w) in the space of
            the heatmaps, another image's heatmap for each, the images' names, and the run's seed.
    """

    name: str
    title: str
    shows: str
    compute: Callable[[Tensor, Tensor, Sequence[str], int], Tensor]


def _zero(inputs: Tensor, others: Tensor, names: Sequence[str], seed: int) -> Tensor:
    return torch.zeros_like(inputs)


def _noise(inputs: Tensor, others: Tensor, names: Sequence[str], seed: int) -> Tensor:
    # Drawn on the processor, whose streams are the same on every machine.
    maps = [
        torch.randn(
            inputs.shape[1:], generator=torch.Generator().manual_seed(image_seed(seed, name, "noise"))
        )
        for name in names
    ]
    return torch.stack(maps).to(inputs)


def _shuffled(inputs: Tensor, others: Tensor, names: Sequence[str], seed: int) -> Tensor:
    return others


def _image(inputs: Tensor, others: Tensor, names: Sequence[str], seed: int) -> Tensor:
    return inputs.clone()


CONTROLS: Mapping[str, Control] = {
    control.name: control
    for control in (
        Control("zero", "Zero", "added, nothing: every score must be 0; multiplied, a blank picture", _zero),
        Control(
            "noise", "Noise", "Gaussian noise, its own for each image: what any disturbance does", _noise
        ),
        Control(
            "shuffled",
            "Another image's heatmap",
            "the first method's heatmap of an unrelated image: what a heatmap's look alone does",
            _shuffled,
        ),
        Control("image", "The image itself", "h = x, which tells nothing that the image does not", _image),
    )
}
"""The controls by name."""
