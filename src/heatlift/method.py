"""What an attribution method is: an entry of the registry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

from heatlift.backward import Rule
from heatlift.passes import Passes


@dataclass(frozen=True)
class Method:
    """An attribution method: what it is, what it needs, and how its heatmaps come about.

    It either reads what it needs from the passes that the methods share, or runs the network itself.

    Attributes:
        name: what it is called by.
        title: what it is called in a figure.
        source: the publication it is taken from.
        needs: what a network must have for it, in words.
        reads: ``(passes, layer) -> heatmaps``, from the shared passes.
        runs: ``(subject, layer, **options) -> heatmaps``, from passes of its own.
        rule: the backward rule whose gradient a reading method is made of.
        layer: which layer's feature map it takes by default; None for a method that takes none.
        options: settings of a method that runs, with their defaults; None: it checks them itself.
        trial: settings of a shorter run that shows no more than that it works.
        complete: whether its heatmaps must add up to the logit's rise from the baseline.
        approximate: whether it comes near that sum by sampling, so that a miss is an image's own affair
            and says nothing of the network.
        code: a digest of the user's own code; None for methods that come with heatlift.
    """

    name: str
    title: str
    source: str
    needs: str
    reads: Callable[[Passes, str | None], Tensor] | None = None
    runs: Callable[..., Tensor] | None = None
    rule: Rule = "plain"
    layer: Literal["first", "last"] | None = None
    options: Mapping[str, Any] | None = field(default_factory=dict)
    trial: Mapping[str, Any] = field(default_factory=dict)
    complete: bool = False
    approximate: bool = False
    code: str | None = None


@dataclass(frozen=True)
class Request:
    """A method name as users write it, understood: ``layer_gradcam@features.3`` names a layer as well."""

    name: str
    method: Method
    layer: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
