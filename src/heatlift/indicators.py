"""Indicators of the user's own: one number per image that shall tell right predictions from wrong ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from heatlift.classifier import Classifier
from heatlift.errors import HeatliftError, RunEnds, let_through
from heatlift.gradients import gradients
from heatlift.imports import callable_of, digest, imported, raised
from heatlift.portions import Portions
from heatlift.types import OK
from heatlift.untouched import hooks_restored, untouched

FORM = "(classifier, images) -> (n,)"

SAME = 0.01
"""How far an image's value may move, relative to the largest one, with the images that come beside it."""


@dataclass(frozen=True)
class Indicator:
    """A function of a network and its images, without their labels; high: probably predicted correctly.

    Attributes:
        name: ``package.module:function``.
        function: gets the classifier, with the network's own weights, and images (n, 3, h, w) in [0, 1].
        code: a digest of the file that it is written in.
    """

    name: str
    function: Callable[[Classifier, Tensor], Any]
    code: str

    def __call__(self, classifier: Classifier, images: Tensor) -> Tensor:
        """Its value for each image: (n, 3, h, w) -> (n,) in float64.

        Raises:
            HeatliftError: what it raised, or what it returned that is not one number per image; memory
                that runs out is not among it.
        """
        network = classifier.network
        try:
            # For a function that follows gradients itself, whoever calls. A copy, since it may write into it.
            with gradients(), untouched(network), hooks_restored(network):
                given = self.function(classifier.unfolded(), images.clone())
        except RunEnds:
            raise
        except Exception as error:
            let_through(error)
            raise HeatliftError(f"raised {raised(error)}") from error
        return _numbers(given, len(images))

    def values(self, classifier: Classifier, images: Tensor) -> tuple[list[float], list[str]]:
        """Its value and a status for each image; an image that it fails on costs no other its value."""
        try:
            values = self(classifier, images).tolist()
        except RunEnds:
            raise
        except HeatliftError as error:
            if len(images) == 1:
                return [float("nan")], [f"its indicator {error}"]
            found = [self.values(classifier, image.unsqueeze(0)) for image in images]
            return [v for values, _ in found for v in values], [s for _, status in found for s in status]
        status = [OK if np.isfinite(value) else "its indicator's value is not finite" for value in values]
        return values, status


def indicator_named(name: str) -> Indicator:
    """The indicator that a name means.

    Raises:
        HeatliftError: not ``package.module:function``, there is none, or it can't be called.
    """
    module, _, function = name.partition(":")
    if not module or not function:
        raise HeatliftError(f"indicator '{name}': give package.module:function, a function {FORM}")
    found = callable_of(imported(name, "indicator", "package.module:function"), "indicator", name, FORM)
    return Indicator(name, found, digest(found))


def try_out(indicators: Sequence[Indicator], classifier: Classifier, images: Tensor) -> None:
    """Try every indicator on some images (n, 3, h, w), together and one at a time.

    Raises:
        HeatliftError: one that fails, or gives an image another value among others than by itself.
    """
    # Where bfloat16 rounds another way in another batch, nothing could be told from it.
    classifier = classifier.in_float32()
    for indicator in indicators:
        value = partial(indicator, classifier)
        try:
            together = torch.cat(Portions(len(images)).all(images, value))
            alone = torch.cat(Portions(1).all(images, value))
        except HeatliftError as error:
            raise HeatliftError(f"indicator {indicator.name}, tried on noise: {error}") from error
        room = SAME * float(together.nan_to_num(0, 0, 0).abs().max())
        if not torch.allclose(together, alone, rtol=0, atol=room + 1e-6, equal_nan=True):
            raise HeatliftError(
                f"indicator {indicator.name} gives an image another value among others than by itself: it "
                "must be a function of each image alone, and draw the same each time if it draws at random"
            )


def _numbers(given: Any, n: int) -> Tensor:
    """What a function gave as one number per image."""
    try:
        values = given.detach() if isinstance(given, Tensor) else torch.from_numpy(np.asarray(given))
        if values.is_complex():
            raise TypeError
    except (TypeError, ValueError, RuntimeError):
        raise HeatliftError(f"returned {type(given).__name__}: return one number per image, ({n},)") from None
    if values.shape != (n,):
        raise HeatliftError(f"returned shape {tuple(values.shape)}: return one number per image, ({n},)")
    return values.double().cpu()
