"""Attribution methods of the user's own: a callable, or ``package.module:function`` that names one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from torch import Tensor

from heatlift.errors import HeatliftError
from heatlift.imports import imported
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
        function, name = imported(what, "method", "captum:NAME, package.module:function"), what
    else:
        function, name = what, _name(what)
    if not callable(function):
        raise HeatliftError(
            f"method {name} is a {type(function).__name__}: it must be a function "
            "(classifier, images, target) -> heatmaps"
        )

    def run(subject: Subject, layer: str | None) -> Tensor:
        # Copies: a function of one's own may write into what it is given.
        given = function(subject.classifier, subject.images.clone(), subject.target.clone())
        return _heatmaps(given, subject.inputs)

    return Method(
        name, name.rpartition(":")[2], "your own", "what it needs itself", runs=run, code=_digest(function)
    )


def _digest(function: Callable[..., Any]) -> str:
    """A digest of the file that a function is written in, so that a change of it is noticed."""
    try:
        source = inspect.getsource(inspect.getmodule(function) or function)
    except (OSError, TypeError):
        source = repr(function)
    return blake2b(source.encode(), digest_size=16).hexdigest()


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
