"""What may be asked of a reproduction, checked before anything is loaded or computed."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from heatlift.errors import HeatliftError
from heatlift.json_object import read_json
from heatlift.reproduce.parts import Reproduction
from heatlift.reproduce.request import Progress, Request
from heatlift.storage import local_or_url


class Paper(Protocol):
    """A paper's module."""

    PARTS: tuple[str, ...]

    def reproduce(self, request: Request, progress: Progress) -> Reproduction:
        """Measure the parts that are asked for."""


def paper_module(paper: str) -> Paper:
    """The module of a paper by its short name."""
    return cast(Paper, import_module(f"heatlift.reproduce.{paper}"))


def requested(paper: str, parts: Sequence[str], *, out: str, **settings: Any) -> Request:
    """A request whose parts, folders and numbers are possible.

    Args:
        paper: its short name.
        parts: the anchors that it has.
        out: the reproduction's folder.
        settings: of the `Request`.

    Raises:
        HeatliftError: an unknown part, a folder that is not there or holds another paper's reproduction,
            or X-rays for a paper that has none; in one line.
    """
    request = Request(out=Path(out), **settings)
    unknown = [anchor for anchor in request.only if anchor not in parts]
    if unknown:
        raise HeatliftError(f"--only {', '.join(unknown)}: {paper} has {', '.join(parts)}")
    if isinstance(request.batch_size, str) and request.batch_size != "auto":
        raise HeatliftError(f"--batch-size {request.batch_size}: give a number from 1, or auto")
    if isinstance(request.batch_size, int) and request.batch_size < 1:
        raise HeatliftError(f"--batch-size {request.batch_size}: give a number from 1, or auto")
    if not 0 <= request.seed < 2**63:
        raise HeatliftError(f"--seed {request.seed}: give a number from 0 to 2**63 - 1")
    if request.chest_xray is not None and paper == "kang2019":
        raise HeatliftError("--chest-xray: kang2019 has no X-rays, leave it out")
    for option, folder in (("--imagenet", request.imagenet), ("--chest-xray", request.chest_xray)):
        _folder(option, folder)
    _own(paper, out)
    return request


def _folder(option: str, folder: str | None) -> None:
    place = local_or_url(folder) if folder is not None else None
    if isinstance(place, Path) and not place.is_dir():
        problem = "is no folder" if place.exists() else "does not exist"
        raise HeatliftError(f"{option} {folder} {problem}: give a folder of images")


def _own(paper: str, given: str) -> None:
    """Make sure that the folder is free, or this paper's."""
    out = local_or_url(given)
    if isinstance(out, str):
        raise HeatliftError(f"--out {out}: give a folder of this machine's own")
    if out.exists() and not out.is_dir():
        raise HeatliftError(f"--out {out} is a file: give a folder")
    if (out / "run.json").exists():
        raise HeatliftError(f"--out {out} is the folder of a run: give another one")
    if (out / "reproduction.json").is_file():
        there = read_json(out / "reproduction.json").get("paper")
        if there != paper:
            raise HeatliftError(f"--out {out} holds a reproduction of {there}: give another folder")
