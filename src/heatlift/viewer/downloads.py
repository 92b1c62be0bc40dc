"""What is downloaded of one image: a step as a picture, or its way there as an animation."""

from __future__ import annotations

import numpy as np

from heatlift.errors import HeatliftError
from heatlift.panel.details import Layer
from heatlift.viewer.catalogue import Catalogue
from heatlift.viewer.heatmaps import Masked
from heatlift.viewer.image import details, keeper
from heatlift.viewer.images import Images
from heatlift.viewer.pictures import MOST_FRAMES, View, animation, picture
from heatlift.wording import clean, number

FORMS = {"png": "image/png", "gif": "image/gif", "webp": "image/webp"}


def download(
    catalogue: Catalogue, images: Images, position: int, layer: int, frame: int, form: str, channel: str
) -> bytes:
    """A frame as PNG, or all frames (evenly chosen ones of many) as GIF or WebP.

    Raises:
        HeatliftError: there is no such heatmap or frame, or it is damaged.
    """
    found, keep, name = details(catalogue, images, position), keeper(catalogue), images.name(position)
    if layer >= len(found.layers):
        raise HeatliftError("no such heatmap of this image")
    one = found.layers[layer]
    if one.problem is not None:
        raise HeatliftError(one.problem)
    original = keep.original(name)
    reference = keep.reference(name) if isinstance(keep, Masked) and found.reference else None

    def view(frame: int) -> View:
        return View(
            original,
            keep.frame(name, layer, frame),
            one.neutral,
            one.kind,
            one.operation,
            reference,
            channel,
            title=f"{found.title}: {one.title}",
            captions=_captions(one, frame),
        )

    if form == "png":
        return picture(view(frame))
    count = len(one.steps)
    chosen = np.unique(np.linspace(0, count - 1, min(count, MOST_FRAMES)).round().astype(int))
    return animation([view(int(frame)) for frame in chosen], form)


def _captions(layer: Layer, frame: int) -> list[str]:
    """Step, score and probabilities."""
    step, result = layer.steps[frame], layer.result
    if step is None and result is None:
        return [clean(layer.what)]
    words = ["the result" if step is None else f"step {step}"]
    names, of = ("CO", f"p({layer.target})"), ""
    values: tuple[float | None, ...] = (None, None)
    if frame == layer.own and result is not None:
        values = result.co, result.p_target
    elif layer.figures is not None and step is not None and step in layer.figures.step:
        figures, at = layer.figures, list(layer.figures.step).index(step)
        values = tuple(None if each is None else each[at] for each in (figures.co, figures.p_target))
        of = " (of the view that this step saw)" if figures.view else ""
    words += [
        f"{name} {number(value)}" for name, value in zip(names, values, strict=True) if value is not None
    ]
    return [", ".join(words) + of]
