"""What is said of a kept heatmap beside its values: written with a digest, and read only if it is whole."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from heatlift.errors import HeatliftError
from heatlift.json_object import read_json
from heatlift.run.recorder import CHUNK_STEPS, LEVELS

FORMAT = 1
"""Raised whenever what is kept of an image changes its meaning."""

MEND = "delete it and start the same run again, which makes what is missing"

EXPONENTS = range(-200, 201)
"""More than float32 has."""


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _steps(value: Any) -> bool:
    ascending = isinstance(value, list) and all(map(_whole, value))
    return ascending and all(one < other for one, other in pairwise(value))


KEPT: Mapping[str, Callable[[Any], bool]] = {
    "format": lambda value: _whole(value) and value == FORMAT,
    "image": lambda value: isinstance(value, str),
    "method": lambda value: isinstance(value, str),
    "exponent": lambda value: type(value) is int and value in EXPONENTS,
    "steps": _steps,
    "scale": lambda value: type(value) in (int, float) and math.isfinite(value) and value > 0,
    "levels": lambda value: _whole(value) and 0 < value <= 127,
    "chunk_steps": lambda value: _whole(value) and value == CHUNK_STEPS,
}
"""The attributes of an image's group, and what each may be; its heatmap is ``final * 2**exponent``."""

LATER: Mapping[str, Callable[[Any], bool]] = {
    "result": lambda value: value is None or _whole(value),
    "digest": lambda value: isinstance(value, str),
}
"""Further ones, which earlier versions did not write: the step that the heatmap is of, or null; and a digest
of all others, since no checksum of the values covers them."""


def described(
    image: str, method: str, exponent: int, steps: Sequence[int], scale: float, result: int | None
) -> dict[str, Any]:
    """The attributes of an image's group."""
    said: dict[str, Any] = {"format": FORMAT, "image": image, "method": method, "exponent": exponent}
    said |= {"levels": LEVELS, "chunk_steps": CHUNK_STEPS, "steps": list(steps), "scale": scale}
    said |= {"result": result}
    return said | {"digest": _digest(said)}


def description(folder: Path, image: str | None = None) -> dict[str, Any]:
    """The attributes of a group that is there.

    Args:
        folder: the group's.
        image: whose it must be; None for anybody's.

    Raises:
        HeatliftError: it is damaged, of another version, or another image's.
    """
    said = read_json(folder / "zarr.json").get("attributes")
    if not isinstance(said, dict) or not _sound(said) or image not in (None, said["image"]):
        raise HeatliftError(f"{folder} is damaged, or of another version of heatlift: {MEND}")
    return said


def _sound(said: Mapping[str, Any]) -> bool:
    return (
        said.keys() - LATER.keys() == KEPT.keys()
        and all(may(said[name]) for name, may in {**KEPT, **LATER}.items() if name in said)
        and said.get("digest") in (None, _digest(said))
    )


def _digest(said: Mapping[str, Any]) -> str:
    text = json.dumps({name: value for name, value in said.items() if name != "digest"}, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
