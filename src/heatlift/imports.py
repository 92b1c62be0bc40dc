"""``package.module:function``: something of the user's own, by name."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

from heatlift.errors import HeatliftError, first_line


def imported(name: str, what: str, known: str) -> Any:
    """What ``package.module:function`` names; modules of the current folder are found as well.

    Args:
        name: the name as it was given.
        what: what it is to be, for messages: ``model``, ``method``.
        known: what else could have been given.

    Raises:
        HeatliftError: there is no such module or function, or importing it failed.
    """
    module, _, function = name.partition(":")
    # As `python -m` does.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return getattr(importlib.import_module(module), function)
    except ModuleNotFoundError as error:
        raise HeatliftError(f"unknown {what} '{name}': {error} (known: {known})") from error
    except AttributeError as error:
        raise HeatliftError(f"module {module} has no '{function}'") from error
    except (Exception, SystemExit) as error:
        raise HeatliftError(f"importing {module} failed: {raised(error)}") from error


def callable_of(found: Any, what: str, name: str, form: str) -> Callable[..., Any]:
    """Something of the user's own, which must be a function.

    Raises:
        HeatliftError: it can't be called; ``form`` says how it would be.
    """
    if not callable(found):
        kind = type(found).__name__
        article = "an" if kind[0].lower() in "aeiou" else "a"
        raise HeatliftError(f"{what} {name} is {article} {kind}: it must be a function {form}")
    function: Callable[..., Any] = found
    return function


def digest(function: Callable[..., Any]) -> str:
    """A digest of the file that a function is written in, so that a change of it is noticed."""
    try:
        source = inspect.getsource(inspect.getmodule(function) or function)
    except (OSError, TypeError):
        source = repr(function)
    return blake2b(source.encode(), digest_size=16).hexdigest()


def raised(error: BaseException) -> str:
    """What a user's own code raised, and where."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {first_line(error)} ({place.filename}, line {place.lineno})"
