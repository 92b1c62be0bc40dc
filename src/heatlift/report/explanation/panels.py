"""The pictures of an explanation, each drawn on axes of its own: for the figure and for the page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.patheffects import Normal, Stroke
from numpy.typing import NDArray
from torch import Tensor

from heatlift.figures import DIVERGING, SATURATED
from heatlift.masked import UNDESIRABLE

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

    from heatlift.explanation import Change, Seen

INK, MUTED, RULE = "#1a1c20", "#575c66", "#b9bdc6"
"""Of text, of what explains it, and of lines."""

TAKEN = LinearSegmentedColormap.from_list("taken", ["#ffffff", "#8a63b5", "#3f1a6b"])
"""From nothing to all of a pixel is blurred; neither of the colours of right and wrong."""

PALE = 0.45
"""How much of a photograph's contrast is left below a heatmap."""

Floats = NDArray[np.float64]

STYLE: dict[RcKeyType, Any] = {
    "font.family": ["DejaVu Sans"],
    "text.color": INK,
    "text.parse_math": False,
    "axes.linewidth": 0.8,
    "axes.edgecolor": RULE,
    "hatch.linewidth": 0.6,
    "svg.hashsalt": "heatlift",
}


@contextmanager
def styled() -> Iterator[None]:
    """Our own style for the time of the block, whatever the caller's matplotlib settings."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def draw_photograph(axes: Axes, image: Tensor) -> None:
    """An image (3, h, w) in [0, 1]."""
    _framed(axes)
    axes.imshow(_pixels(image), interpolation="lanczos", interpolation_stage="rgba")


def draw_saliency(axes: Axes, seen: Seen) -> ScalarMappable:
    """The largest absolute gradient of the three channels, dark where it is large."""
    assert seen.heatmap is not None
    values = _floats(seen.heatmap.abs().amax(dim=0))
    largest = float(values.max())
    limit = float(np.percentile(values, SATURATED)) or largest or 1.0
    _framed(axes)
    return axes.imshow(values, cmap="Greys", norm=Normalize(0, limit), interpolation="nearest")


def draw_gradcam(axes: Axes, seen: Seen, image: Tensor) -> ScalarMappable:
    """Evidence for and against, over the pale image."""
    assert seen.heatmap is not None
    values = _floats(seen.heatmap.mean(dim=0))
    return _over(axes, image, values, DIVERGING, float(np.abs(values).max()) or 1.0, signed=True)


def draw_change(axes: Axes, change: Change, image: Tensor) -> ScalarMappable:
    """What is blurred, or what is brightened and darkened, over the pale image."""
    values = _floats(change.heatmap.mean(dim=0))
    if change.kind == "undesirable":
        return _over(axes, image, values, TAKEN, 1.0, signed=False)
    values = values - 1
    limit = float(np.percentile(np.abs(values), SATURATED)) or float(np.abs(values).max()) or 1.0
    return _over(axes, image, values, DIVERGING, limit, signed=True, fine=True)


def _over(
    axes: Axes,
    image: Tensor,
    values: Floats,
    colours: str | Colormap,
    limit: float,
    *,
    signed: bool,
    fine: bool = False,
) -> ScalarMappable:
    """A heatmap in colours over the pale grey image, with lines that do not need the colours."""
    shades = ScalarMappable(Normalize(-limit if signed else 0, limit), colours)
    grey = _pixels(image) @ np.array([0.299, 0.587, 0.114])
    grey = 1 - PALE * (1 - grey)
    # As inks on paper: where nothing is said the photograph shows, and white says nothing.
    inked = shades.to_rgba(values)[..., :3] * grey[..., None]
    _framed(axes)
    axes.imshow(inked.clip(0, 1), interpolation="bilinear", interpolation_stage="rgba")
    _line(axes, values, limit / 2 if signed else UNDESIRABLE, "solid", fine)
    if signed:
        _line(axes, -values, limit / 2, "dashed", fine)
    return shades


def _line(axes: Axes, values: Floats, level: float, style: str, fine: bool) -> None:
    """A line around what exceeds the level; a fine one where there will be many."""
    # Beyond the edge there is nothing, so that the line is closed there.
    padded = np.pad(values, 1, constant_values=min(0.0, float(values.min())))
    if padded.max() <= level or min(values.shape) < 2:
        return
    across, down = np.arange(-1, values.shape[1] + 1), np.arange(-1, values.shape[0] + 1)
    across, down = across.clip(-0.4, values.shape[1] - 0.6), down.clip(-0.4, values.shape[0] - 0.6)
    lines = axes.contour(across, down, padded, levels=[level], colors=[INK], linewidths=0.5 if fine else 1.1)
    lines.set_linestyle((0, (3, 2)) if style == "dashed" else "solid")
    if not fine:
        lines.set_path_effects([Stroke(linewidth=2.6, foreground="white", alpha=0.75), Normal()])


def _framed(axes: Axes) -> None:
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(color=RULE, linewidth=0.8)


def _pixels(image: Tensor) -> Floats:
    return _floats(image.permute(1, 2, 0)).clip(0, 1)


def _floats(values: Tensor) -> Floats:
    return np.asarray(values.detach().cpu().double().numpy(), np.float64)
