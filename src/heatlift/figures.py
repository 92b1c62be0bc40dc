"""Figures of lifts for notebooks and papers: scores over steps, and one image with its heatmap."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from heatlift.errors import HeatliftError

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#747983"
"""Of Okabe and Ito, who chose colours that colour-blind eyes tell apart; grey is for the lines beside."""

DIVERGING = "RdBu_r"
"""Blue below, white at, red above the neutral value (ColorBrewer)."""

SATURATED = 99.0
"""The percentile of a heatmap's absolute values at which its colours end."""

COLUMNS = 3
"""Panels side by side."""

Floats: TypeAlias = NDArray[np.float64]


def co_per_step(histories: Mapping[str, ArrayLike], target_co: float | None = None) -> Figure:
    """The CO score over the optimisation steps, one curve per image, one panel per network.

    The figure of Tjoa 2022 (figure 4). Curves that reached the target are blue, the others orange and above
    them; without a target all are blue.

    Args:
        histories: by the network's name, the scores after 0, 1, 2... steps, (n, T), such as `Lift.history`;
            NaN after an image stopped.
        target_co: the score aimed at, a dashed line.

    Raises:
        HeatliftError: no network, a history that is not (n, T) with at least one image and step, or a
            target that is not finite.

    Example:
        >>> figure = co_per_step({"resnet34": [[0.0, 30.0, 50.0], [0.0, 20.0, 40.0]]}, target_co=48)
        >>> figure.axes[0].get_title()
        'resnet34\\nreached 0.50 (1 of 2), n = 2'
    """
    if not histories:
        raise HeatliftError("no histories: give {name: scores} with at least one network")
    if target_co is not None and not math.isfinite(target_co):
        raise HeatliftError(f"target_co {target_co}: give a finite score, or None for no target")
    found = {str(name): _history(str(name), scores) for name, scores in histories.items()}
    columns = min(COLUMNS, len(found))
    rows = math.ceil(len(found) / columns)
    figure = Figure(figsize=(max(5.2, 3.9 * columns), 3.7 * rows + 0.4), layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, (name, scores) in zip(panels, found.items(), strict=False):
        _curves(axes, name, scores, target_co)
    for axes in panels[len(found) :]:
        axes.set_visible(False)
        # Shared axes print their numbers in the last row only, which is empty here.
    for place in range(max(0, len(found) - columns), len(found)):
        panels[place].tick_params(labelbottom=True)
    figure.supxlabel("Optimisation step", size=11)
    figure.supylabel("CO score, in logits (higher: surer of the class)", size=11)
    if target_co is not None:
        marks = [
            Line2D([], [], color=BLUE, label="reached"),
            Line2D([], [], color=ORANGE, label="not reached"),
            Line2D([], [], color=GREY, linestyle="--", label=f"target {target_co:g}"),
        ]
        figure.legend(handles=marks, loc="outside upper right", ncols=3, frameon=False, fontsize=10)
    return figure


def heatmap_panel(
    image: ArrayLike,
    heatmap: ArrayLike,
    step: int | None = None,
    score: float | None = None,
    *,
    neutral: float = 0.0,
) -> Figure:
    """An image beside its heatmap's three channels, in colours that diverge around what changes nothing.

    A panel of figure 5 of Tjoa 2022. Blue lowers a pixel, red raises it; the colours end at the same
    distance on both sides, which one value in a hundred exceeds. Below: the largest absolute value.

    Args:
        image: (3, h, w) in [0, 1].
        heatmap: (3, h, w).
        step: after how many updates, for the title.
        score: the CO score, for the title.
        neutral: the value that changes nothing: 0 for a heatmap that is added, 1 for one that multiplies.

    Raises:
        HeatliftError: shapes that are not (3, h, w) or differ, or values that are not finite.

    Example:
        >>> figure = heatmap_panel(np.full((3, 4, 4), 0.5), np.full((3, 4, 4), -0.25), step=7, score=12.3)
        >>> figure.get_suptitle()
        'Step 7, CO score 12.3'
    """
    pixels, values = _three_channels("image", image), _three_channels("heatmap", heatmap)
    if pixels.shape != values.shape:
        raise HeatliftError(f"image {pixels.shape} and heatmap {values.shape}: they must have one shape")
    change = np.abs(values - neutral)
    largest = float(change.max())
    limit = float(np.percentile(change, SATURATED)) or largest or 1.0
    figure = Figure(figsize=(11.5, 3.5), layout="constrained")
    panels = figure.subplots(1, 4)
    panels[0].imshow(pixels.clip(0, 1).transpose(1, 2, 0))
    panels[0].set_title("Image", size=11)
    shades = Normalize(neutral - limit, neutral + limit)
    for axes, channel, name in zip(panels[1:], values, ("red", "green", "blue"), strict=True):
        drawn = axes.imshow(channel, cmap=DIVERGING, norm=shades, interpolation="nearest")
        axes.set_title(f"Heatmap, {name} channel", size=11)
    for axes in panels:
        axes.set(xticks=[], yticks=[])
    what = "heatmap" if neutral == 0 else f"heatmap ({neutral:g} changes nothing)"
    bar = figure.colorbar(drawn, ax=list(panels[1:]), extend="both" if largest > limit else "neither")
    bar.set_label(f"{what}:\nblue lowers, red raises", size=10)
    beyond = "h" if neutral == 0 else f"h − {neutral:g}"
    panels[1].set_xlabel(f"largest |{beyond}| {largest:.3g}", size=10, loc="left")
    figure.suptitle(_title(step, score), size=12)
    return figure


def _curves(axes: Axes, name: str, scores: Floats, target: float | None) -> None:
    finite = np.isfinite(scores)
    reached: NDArray[np.bool_] = np.ones(len(scores), bool)
    if target is not None:
        reached = np.any(np.where(finite, scores, -np.inf) >= target, axis=1)
        axes.axhline(target, color=GREY, linewidth=1.3, linestyle="--", zorder=3)
    fade = 0.75 if len(scores) <= 20 else 0.45
    for place in np.argsort(~reached, kind="stable"):
        known = np.flatnonzero(finite[place])
        colour = BLUE if reached[place] else ORANGE
        axes.plot(known, scores[place, known], color=colour, linewidth=1.1, alpha=fade)
        axes.plot(known[-1:], scores[place, known[-1:]], color=colour, marker="o", markersize=2.5)
    axes.grid(axis="y", color=GREY, alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.tick_params(labelsize=10)
    share = (
        f"reached {reached.mean():.2f} ({reached.sum():,} of {len(scores):,}), " if target is not None else ""
    )
    # A dollar sign in a name is no mathematics.
    axes.set_title(f"{name}\n{share}n = {len(scores):,}", size=11).set_parse_math(False)


def _title(step: int | None, score: float | None) -> str:
    told = [] if step is None else [f"Step {step:,}"]
    if score is not None:
        told.append(f"CO score {score:.3g}".replace("-", "−"))
    title = ", ".join(told)
    return title[:1].upper() + title[1:]


def _history(name: str, scores: ArrayLike) -> Floats:
    found = _floats(f"the history of '{name}'", scores)
    if found.ndim != 2 or not found.size:
        raise HeatliftError(
            f"the history of '{name}' has shape {found.shape}: expected (n, T), scores of n images by step"
        )
    return found


def _three_channels(what: str, values: ArrayLike) -> Floats:
    found = _floats(f"the {what}", values)
    if found.ndim != 3 or found.shape[0] != 3 or not found.size:
        raise HeatliftError(f"the {what} has shape {found.shape}: expected (3, h, w), one at a time")
    if not np.isfinite(found).all():
        raise HeatliftError(f"the {what} is not finite: give one that is")
    return found


def _floats(what: str, values: Any) -> Floats:
    """Any array as float64; a tensor wherever it is and whatever it remembers of its gradient."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().double()
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise HeatliftError(f"{what} is no array of numbers: give an array or a tensor") from error
