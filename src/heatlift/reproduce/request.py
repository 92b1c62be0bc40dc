"""What is asked of a reproduction: where it goes, which images it may use, how much of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from heatlift.run.work import Progress

__all__ = ["Progress", "Request"]


@dataclass(frozen=True)
class Request:
    """What a paper's parts are made with.

    Attributes:
        out: the reproduction's folder; runs go to ``runs/NAME`` in it, networks to ``networks/NAME``.
        imagenet: a folder of class folders named by wnids; None: the demonstration's photographs.
        chest_xray: a folder with ``train`` and ``test``, each of NORMAL and PNEUMONIA; None: the parts
            that need it say that they were not run.
        limit: images per run, for a first look; None: each paper's module has its own.
        only: anchors of the parts that are wanted; () for all.
        seed: all that is drawn at random.
        batch_size: images at once, or ``auto``.
        precision: ``auto``, ``fp32`` or ``bf16``.
    """

    out: Path
    imagenet: str | None = None
    chest_xray: str | None = None
    limit: int | None = None
    only: tuple[str, ...] = ()
    seed: int = 0
    batch_size: int | str = "auto"
    precision: str = "auto"


def photographs(request: Request) -> str:
    """ImageNet's folder, or that of the demonstration's photographs, which are written once.

    Raises:
        HeatliftError: they can't be had.
        OSError: they can't be written.
    """
    from heatlift.demo import write_photographs

    if request.imagenet is not None:
        return request.imagenet
    folder = request.out / "data" / "photographs"
    if not (folder / "CREDITS.txt").is_file():  # written last
        write_photographs(folder)
    return str(folder)


def command(paper: str, request: Request) -> list[str]:
    """The command line that asks for the same; what is as it is by default stays out."""
    said = ["heatlift", "reproduce", paper]
    given = {
        "--imagenet": request.imagenet,
        "--chest-xray": request.chest_xray,
        "--out": str(request.out),
        "--limit": request.limit,
        "--only": ",".join(request.only) or None,
        "--seed": request.seed or None,
        "--batch-size": None if request.batch_size == "auto" else request.batch_size,
        "--precision": None if request.precision == "auto" else request.precision,
    }
    for option, value in given.items():
        said += [] if value is None else [option, str(value)]
    return said
