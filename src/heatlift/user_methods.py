"""Attribution methods of the user's own: a callable, or ``package.module:function`` that names one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from heatlift.errors import HeatliftError
from heatlift.imports import callable_of, digest, imported
from heatlift.method import Method
from heatlift.subject import Subject


def user_method(what: str | Callable[..., Any]) -> Method:
    """A callable ``(classifier, images, target) -> heatmaps`` as a method.

    It gets images (n, 3, h, w) in [0, 1] and the classes explained, (n,), and gives heatmaps in the space
    that is asked for, (n, 3, h, w), (n, 1, h, w) or (n, h, w).

    Raises:
        HeatliftError: there is no such function, or it can't be called.
    """
    if isinstance(what, str):
        found, name = imported(what, "method", "captum:NAME, package.module:function"), what
    else:
        found, name = what, _name(what)
    function = callable_of(found, "method", name, "(classifier, images, target) -> heatmaps")

    def run(subject: Subject, layer: str | None) -> Tensor:
        # Copies: a function of one's own may write into what it is given.
        given = function(subject.classifier, subject.images.clone(), subject.target.clone())
        return _heatmaps(given, subject.inputs)

    return Method(
        name, name.rpartition(":")[2], "your own", "what it needs itself", runs=run, code=digest(function)
    )


def _name(function: Callable[..., Any]) -> str:
    named = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{getattr(function, '__module__', '?')}:{named}"


def _heatmaps(given: Any, like: Tensor) -> Tensor:
    """What a function gave as heatmaps of the inputs' shape.

    Raises:
        HeatliftError: no numbers, or another shape.
    """
    if isinstance(given, np.ndarray):
        given = torch.from_numpy(given)
    if not isinstance(given, Tensor) or given.is_complex():
        raise HeatliftError(f"it returned {type(given).__name__}: return a tensor of heatmaps (n, 3, h, w)")
    heatmaps = given.detach().to(like)
    heatmaps = heatmaps.unsqueeze(1) if heatmaps.ndim == 3 else heatmaps
    n, channels, height, width = like.shape
    if heatmaps.shape not in (like.shape, (n, 1, height, width)):
        raise HeatliftError(
            f"it returned shape {tuple(given.shape)}: return ({n}, {channels}, {height}, {width}), "
            "or one channel or none"
        )
    return heatmaps.expand_as(like).clone()
