"""Names shared by every module: what a tensor stands for, and the choices users can make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    # Not at run time: what only reads a run should not wait for torch.
    from torch import Tensor

Space: TypeAlias = Literal["model", "pixel"]
"""Where a heatmap lives: ``model`` is what the network itself sees, ``pixel`` the image in [0, 1]."""

OperationName: TypeAlias = Literal["add", "multiply"]

Operation: TypeAlias = "OperationName | Callable[[Tensor, Tensor], Tensor]"
"""How a heatmap is combined with an image: ``(images, heatmaps) -> images``."""

Target: TypeAlias = "Tensor | int | Literal['predicted', 'runner-up'] | None"
"""The class explained: one per image, one for all, or chosen from the logits; None is ``predicted``."""

OK = "ok"
"""The ``status`` of a row whose figures can be used; any other status says why they can't."""


@dataclass(frozen=True)
class Framing:
    """How a photograph becomes the network's input size, before any normalisation.

    Attributes:
        resize: an int scales the shorter side to it and keeps the ratio; a pair is (height, width).
        crop: (height, width) cut from the centre afterwards; both in pixels.
        interpolation: ``nearest``, ``bilinear``, ``bicubic`` or ``lanczos``, antialiased as Pillow does.

    Example:
        >>> Framing(resize=256, crop=(224, 224))
        Framing(resize=256, crop=(224, 224), interpolation='bilinear')
    """

    resize: int | tuple[int, int]
    crop: tuple[int, int]
    interpolation: str = "bilinear"
