"""What networks say of one image: the image as a network is shown it, and the logits that come back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor

from heatlift.classifier import Classifier
from heatlift.errors import HeatliftError, first_line, let_through
from heatlift.images import UnreadableImage, decode
from heatlift.lift import logits_of
from heatlift.portions import Portions

Opinion: TypeAlias = Callable[[Tensor], Tensor]
"""An image (1, 3, h, w) in [0, 1] -> logits (C,)."""


def pixels_of(classifier: Classifier, image: Tensor | str | Path) -> tuple[Tensor, str]:
    """The image as a batch of one on the network's device, and its file's name."""
    if isinstance(image, (str, Path)):
        try:
            decoded = decode(Path(image), classifier.framing)
        except UnreadableImage as error:
            raise HeatliftError(f"{image} is unreadable: {error}") from error
        return classifier.inputs(decoded.unsqueeze(0).float() / 255, "pixel"), Path(image).name
    if not isinstance(image, Tensor):
        raise HeatliftError(f"an image of type {type(image).__name__}: give a torch.Tensor or an image file")
    pixels = image.detach().unsqueeze(0) if image.ndim == 3 else image.detach()
    if pixels.ndim != 4 or len(pixels) != 1 or pixels.shape[1] != 3:
        raise HeatliftError(f"an image of shape {tuple(image.shape)}: expected (3, h, w), one at a time")
    pixels = classifier.inputs(pixels, "pixel")
    lowest, highest = (float(end) for end in pixels.aminmax())
    if not (lowest >= 0 and highest <= 1):
        raise HeatliftError(f"an image from {lowest:g} to {highest:g}: expected pixels in [0, 1]")
    return pixels.float() if pixels.dtype in (torch.float16, torch.bfloat16) else pixels, ""


def opinion_of(classifier: Classifier) -> Opinion:
    """What a network says of an image (1, 3, h, w), in float32 and with its own weights: logits (C,)."""
    network = classifier.in_float32().unfolded()

    def opinion(image: Tensor) -> Tensor:
        try:
            logits = logits_of(network, image.to(network.device), Portions(1))[0].cpu()
        except (RuntimeError, ValueError, AssertionError, IndexError) as error:
            let_through(error)
            height, width = classifier.framing.crop
            raise HeatliftError(
                f"{classifier.name} does not run on an image of {image.shape[2]} x {image.shape[3]}: "
                f"{first_line(error)} (its own are {height} x {width})"
            ) from error
        if not bool(logits.isfinite().all()):
            raise HeatliftError(f"{classifier.name} returned NaN or infinite logits for this image")
        return logits

    return opinion


def second_opinion_of(classifier: Classifier, other: Classifier) -> Opinion:
    """The opinion of the network that takes no part, on images scaled to its own size."""
    if other.num_classes != classifier.num_classes:
        raise HeatliftError(
            f"{other.name} has {other.num_classes} classes, {classifier.name} {classifier.num_classes}: "
            "they must be the same"
        )
    opinion = opinion_of(other)
    return lambda image: opinion(other.resized(image.to(other.device)))
