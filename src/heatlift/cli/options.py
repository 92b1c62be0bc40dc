"""Options that several commands share, and how their text becomes values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from heatlift.errors import HeatliftError

if TYPE_CHECKING:
    from heatlift.run.work import Engine

NETWORK = "Network"

Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="SPEC",
        help="demo, torchvision:NAME, timm:NAME, hf:FOLDER, or package.module:function of your own.",
        rich_help_panel=NETWORK,
    ),
]
Also = Annotated[
    list[str] | None,
    typer.Option(
        metavar="SPEC",
        help="A further network of the same classes that takes part as well; repeatable.",
        rich_help_panel=NETWORK,
    ),
]
AlsoWeights = Annotated[
    list[str] | None,
    typer.Option(metavar="FILE|default", help="Weights of the --also networks, in their order."),
]
VerifyOn = Annotated[
    str | None,
    typer.Option(metavar="SPEC", help="A network of the same classes that takes no part and is asked after."),
]
VerifyWeights = Annotated[str, typer.Option(metavar="FILE|default", help="Weights of that network.")]
Weights = Annotated[
    str,
    typer.Option(
        metavar="FILE|default|random", help="A .safetensors, .pt or .pth file; nothing is unpickled."
    ),
]
NumClasses = Annotated[int | None, typer.Option(metavar="N", help="Number of the network's outputs.")]
Classes = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Class names, one a line, in the order of the outputs.")
]
Mean = Annotated[str | None, typer.Option(metavar="R,G,B", help="Override the network's own mean.")]
Std = Annotated[
    str | None, typer.Option(metavar="R,G,B", help="Override the network's own standard deviation.")
]
Size = Annotated[
    int | None,
    typer.Option(metavar="N", help="Override the input's height and width, in pixels."),
]
Resize = Annotated[
    int | None,
    typer.Option(metavar="N", help="Scale the shorter side to N before the centre is cut. [--size]"),
]
Out = Annotated[
    str,
    typer.Option(
        "--out",
        "-o",
        metavar="RUN",
        help="The run's folder, or s3://bucket/folder; started again, it goes on.",
    ),
]
BatchSize = Annotated[
    str,
    typer.Option(
        metavar="N|auto", help="Images per pass; auto tries out what is fastest. Halved when memory runs out."
    ),
]
Precision = Annotated[
    Literal["auto", "fp32", "bf16"],
    typer.Option(
        metavar="auto|fp32|bf16",
        help="Arithmetic of the network; auto is bf16 where the hardware has units for it.",
    ),
]
WORKERS = "Workers"

EngineName = Annotated[
    Literal["local", "dask"],
    typer.Option(
        "--engine",
        metavar="local|dask",
        help="local: this process; dask: workers, which see DATA and RUN under the same paths.",
        rich_help_panel=WORKERS,
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="A running Dask cluster's, such as tcp://10.0.0.1:8786. [workers of this machine's own]",
        rich_help_panel=WORKERS,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="How many of this machine's own. [one for each core]"),
]
ShardSize = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=1,
        help="Images that are written at a time, and handed to a worker together.",
        rich_help_panel=WORKERS,
    ),
]
Seed = Annotated[int, typer.Option(metavar="N", help="Seed of everything random.")]


def engine(name: str, scheduler: str | None, workers: int | None) -> Engine:
    """What does the run's shards.

    Raises:
        HeatliftError: settings of a cluster without one.
    """
    from heatlift.run.dask_engine import DaskEngine
    from heatlift.run.local import run_shards

    if name == "dask":
        if scheduler is not None and workers is not None:
            raise HeatliftError("--workers is for workers of this machine's own: leave out --scheduler")
        return DaskEngine(scheduler, workers)
    if scheduler is not None or workers is not None:
        given = "--scheduler" if scheduler is not None else "--workers"
        raise HeatliftError(f"{given} is for --engine dask")
    return run_shards


def who_did_what(engine: Engine) -> None:
    """Say it, where there was more than this process."""
    from heatlift.run.dask_engine import DaskEngine

    if isinstance(engine, DaskEngine) and engine.done_by:
        print(f"workers: {engine.summary()}")


def number_or(text: str) -> int | str:
    """``16`` -> 16; anything else stays a word."""
    try:
        return int(text)
    except ValueError:
        return text


def words(text: str) -> tuple[str, ...]:
    """``a,b`` -> ("a", "b"); ``none`` or nothing -> ()."""
    found = tuple(word.strip() for word in text.split(",") if word.strip())
    return () if found == ("none",) else found


def channels(option: str, text: str | None) -> tuple[float, float, float] | None:
    """``0.5,0.5,0.5`` -> three numbers.

    Raises:
        HeatliftError: not three numbers.
    """
    if text is None:
        return None
    try:
        red, green, blue = (float(part) for part in text.split(","))
    except ValueError as error:
        raise HeatliftError(f"{option} '{text}': give three numbers, such as 0.485,0.456,0.406") from error
    return red, green, blue


def reasons(failures: dict[str, int]) -> str:
    """Why some images have no figures, in brackets."""
    return f" ({'; '.join(f'{count} {reason}' for reason, count in failures.items())})" if failures else ""


def by_order(folders: Sequence[str], classes: Sequence[str] | None) -> None:
    """Say which class folder stands for which output, where only the order of their names tells."""
    if not folders:
        return
    named = [
        f"{folder} is {place}" + (f" ({classes[place]})" if classes and classes[place] != folder else "")
        for place, folder in enumerate(folders[:6])
    ]
    more = ", ..." if len(folders) > len(named) else ""
    print(f"outputs by the order of the folders' names: {', '.join(named)}{more}")
