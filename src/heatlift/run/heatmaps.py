"""The heatmaps of a batch as an audit uses them: rescaled, and each with what speaks against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from heatlift.attributor import Attribution
from heatlift.augmentation import augment, rescale
from heatlift.data import Item
from heatlift.errors import Refused
from heatlift.subject import COMPLETENESS_TOLERANCE
from heatlift.types import OK, OperationName

Lent = tuple[str, Tensor, str]
"""An image's name, its raw heatmap (3, h, w) by the first method, and that map's status."""

ALONE = "no other readable image in this shard"


@dataclass(frozen=True)
class Maps:
    """One method's or control's heatmaps of a batch.

    Attributes:
        method: its name.
        control: whether it is a control's.
        heatmaps: (n, 3, h, w), rescaled to a largest absolute value of 1.
        scale: (n,), the largest absolute value before.
        status: per image, `OK` or what speaks against the map.
        completeness: (n,), DeepLift's relative difference.
    """

    method: str
    control: bool
    heatmaps: Tensor
    scale: Tensor
    status: Sequence[str]
    completeness: Tensor | None = None

    @classmethod
    def of(
        cls,
        method: str,
        control: bool,
        raw: Tensor,
        status: Sequence[str],
        completeness: Tensor | None = None,
    ) -> Maps:
        """Rescale raw heatmaps."""
        return cls(method, control, rescale(raw), raw.abs().amax(dim=(1, 2, 3)), status, completeness)

    @classmethod
    def explained(cls, name: str, found: Attribution | Refused, inputs: Tensor) -> Maps:
        """A method's heatmaps with what speaks against each."""
        if isinstance(found, Refused):
            return cls.of(name, False, torch.zeros_like(inputs), [str(found)] * len(inputs))
        status = [OK if ok else "the heatmap is not finite" for ok in finite(found.heatmaps)]
        if found.completeness is not None:
            status = [_complete(s, c) for s, c in zip(status, found.completeness.tolist(), strict=True)]
        return cls.of(name, False, found.heatmaps, status, found.completeness)


@dataclass(frozen=True)
class Applied:
    """Heatmaps of a batch as they are combined with its images."""

    maps: Maps
    operation: OperationName
    scale: float

    def to(self, inputs: Tensor) -> Tensor:
        """The augmented images, (n, 3, h, w)."""
        return augment(inputs, self.maps.heatmaps, self.operation, self.scale)

    @property
    def alone(self) -> bool:
        """Whether they must be judged in a batch of the images' own size.

        There the logits of images that a zero heatmap leaves as they are must be the images' to the last
        bit, while in another batch the order of additions may differ.
        """
        return self.maps.control and self.maps.method == "zero"


def lending(item: Item, first: Maps) -> Lent:
    """What a batch's last image lends to the one that follows."""
    return item.name, first.heatmaps[-1], first.status[-1]


def borrowed(names: Sequence[str], first: Maps, previous: Lent | None) -> tuple[Tensor, list[str]]:
    """Each image's heatmap from the image before it, and a status where that one has none to lend."""
    if previous is None or previous[0] == names[0]:
        return torch.zeros_like(first.heatmaps), [ALONE] * len(names)
    heatmaps = torch.cat([previous[1].unsqueeze(0), first.heatmaps[:-1]])
    lenders = [previous[2], *first.status[:-1]]
    return heatmaps, [OK if status == OK else f"the lender's map: {status}" for status in lenders]


def finite(values: Tensor) -> list[bool]:
    """For each of n, whether all its values are finite."""
    return [bool(v) for v in values.isfinite().flatten(1).all(dim=1)]


def _complete(status: str, difference: float) -> str:
    if status != OK or difference <= COMPLETENESS_TOLERANCE:
        return status
    return f"incomplete: the heatmap's sum misses the logit's rise by more than {COMPLETENESS_TOLERANCE:.0%}"
