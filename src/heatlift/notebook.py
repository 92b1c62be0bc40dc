"""Results as notebooks show them: the viewer's panel in a frame of its own, which needs no server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from heatlift.evolution import FILMED, Evolution
from heatlift.panel import Details, Fact, Figures, Layer, Picture, Result, Second, panel_frame, panel_page
from heatlift.panel.words import ADDED, MULTIPLIED, SEEN, TAKEN
from heatlift.perturbation import reference_images
from heatlift.wording import class_name, number

if TYPE_CHECKING:
    from heatlift.explanation import Change, Explanation, Seen
    from heatlift.lift import Lift
    from heatlift.masked import Undesirable

Names = Sequence[str] | None


def lift_html(lift: Lift) -> str:
    """The first images of a lift with their heatmaps, step by step where the steps were kept."""
    added = lift.operation == "add"
    pictures = []
    for i in range(min(FILMED, len(lift.images))):
        way = _way(lift.evolutions, i, lift.heatmaps[i], int(lift.steps[i]))
        layer = Layer(
            "Heatmap",
            ADDED if added else MULTIPLIED,
            "signed",
            lift.operation,
            len(lift.heatmaps[i]),
            0.0 if added else 1.0,
            way.steps,
            len(way.steps) - 1,
            "reached here" if lift.reached[i] else "not reached",
            figures=_figures(way, lift.classes, lift.history[i]),
            result=Result(float(lift.score[i]), float(lift.p_after[i])),
            target=_class(lift.target[i], lift.classes),
        )
        facts = [
            *_predictions(lift, i),
            Fact("CO score", _number(lift.score[i])),
            Fact("CO score, clipped", _number(lift.score_clipped[i])),
        ]
        pictures.append(_picture(lift, i, [layer], [way.heatmaps], facts))
    return panel_frame(panel_page(pictures))


def masks_html(found: Undesirable) -> str:
    """The first images with their undesirable pixels, step by step where the steps were kept."""
    pictures = []
    for i in range(min(FILMED, len(found.images))):
        way = _way(found.evolutions, i, 1 - found.masks[i], found.history.shape[1] - 1)
        layer = _mask_layer("Undesirable pixels", _class(found.target[i], found.classes), way.steps)
        result = Result(p_target=float(found.p_after[i]))
        layer = replace(layer, figures=_figures(way, found.classes, None), result=result)
        facts = [
            *_predictions(found, i),
            Fact("phi", f"{_number(found.phi[i])}%"),
            Fact("Area", f"{float(found.area[i]):.2%}"),
        ]
        pictures.append(_picture(found, i, [layer], [way.heatmaps], facts, found.reference[i]))
    return panel_frame(panel_page(pictures))


def explanation_html(found: Explanation) -> str:
    """What the network looks at, what is in the way, and what would make it right."""
    names: Names = found.network.get("classes")
    layers, frames, problems = [], [], []
    for seen in (found.saliency, found.gradcam):
        if seen.heatmap is None:
            problems.append(seen.why_not)
            continue
        layers.append(_seen_layer(seen, _class(found.predicted, names)))
        frames.append([_array(seen.heatmap)])
    for change in found.changes:
        layers.append(_change_layer(found, change, names))
        frames.append([_array(change.heatmap)])
    masks, image = found.masks, found.image[None]
    p = found.logits.double().softmax(dim=0)
    facts = [Fact("Predicted", f"{_class(found.predicted, names)}, {_number(p.max())}")]
    if found.label is not None:
        facts.append(Fact("Label", f"{_class(found.label, names)}, {_number(p[found.label])}"))
    details = Details(
        name=found.name or "image",
        title=_class(found.predicted, names),
        correct=None if found.label is None else found.label == found.predicted,
        facts=facts,
        original=True,
        size=(found.image.shape[2], found.image.shape[1]),
        reference=True,
        layers=layers,
        problems=problems,
    )
    reference = reference_images(image, masks.reference, masks.kernel, masks.sigma)[0]
    picture = Picture(details, _pixels(found.image), _pixels(reference), frames)
    words = "".join(f"<p>{escape(line)}</p>" for line in found.summary().splitlines() if line.strip())
    return f"{words}{panel_frame(panel_page([picture]))}"


def _way(evolutions: Sequence[Evolution], i: int, heatmap: Tensor, steps: int) -> Evolution:
    """An image's evolution; where none was kept, its result alone."""
    if i < len(evolutions):
        return evolutions[i]
    return Evolution((steps,), heatmap[None], {}, {})


def _picture(
    found: Lift | Undesirable,
    i: int,
    layers: Sequence[Layer],
    heatmaps: Sequence[Tensor],
    facts: Sequence[Fact],
    reference: Tensor | None = None,
) -> Picture:
    image = found.images[i]
    details = Details(
        name=f"image {i + 1} of {len(found.images)}",
        title=_class(found.target[i], found.classes),
        facts=facts,
        original=True,
        size=(image.shape[2], image.shape[1]),
        reference=reference is not None,
        layers=layers,
    )
    frames = [[_array(heatmap) for heatmap in each] for each in heatmaps]
    return Picture(details, _pixels(image), None if reference is None else _pixels(reference), frames)


def _predictions(found: Lift | Undesirable, i: int) -> list[Fact]:
    before, after = (
        _class(found.predicted_before[i], found.classes),
        _class(found.predicted_after[i], found.classes),
    )
    return [
        Fact("Target", _class(found.target[i], found.classes)),
        Fact("p(target), before and after", f"{_number(found.p_before[i])}, {_number(found.p_after[i])}"),
        Fact("Predicted, before and after", f"{before}; {after}"),
    ]


def _figures(way: Evolution, names: Names, history: Tensor | None) -> Figures | None:
    """Numbers per step: of the score where there is one, and of what the network said."""
    co = [] if history is None else [value for value in history.tolist() if value == value]
    steps = range(max([len(co), *(step + 1 for step in way.p_target)], default=0))
    if not steps:
        return None
    top = [
        [(_class(index, names), p) for index, p in way.top[step]] if step in way.top else None
        for step in steps
    ]
    p_target = [way.p_target.get(step) for step in steps]
    return Figures(
        steps,
        [co[step] if step < len(co) else None for step in steps] if co else None,
        p_target if way.p_target else None,
        None,
        top if way.top else None,
        way.view,
    )


def _mask_layer(title: str, target: str, steps: Sequence[int | None]) -> Layer:
    last = len(steps) - 1
    return Layer(title, TAKEN, "taken", "blur", 1, 0.0, steps, last, "the result", target=target)


def _seen_layer(seen: Seen, target: str) -> Layer:
    channels = 0 if seen.heatmap is None else len(seen.heatmap)
    return Layer(seen.method, SEEN, "signed", None, channels, 0.0, [None], target=target)


def _change_layer(found: Explanation, change: Change, names: Names) -> Layer:
    target = _class(change.target, names)
    if change.kind == "undesirable":
        layer = _mask_layer(f"Undesirable pixels for {target}", target, [None])
    else:
        layer = Layer(
            f"Spotlight on {target}", MULTIPLIED, "signed", "multiply", 3, 1.0, [None], target=target
        )
    if found.second is None or found.verified is None or change.verified is None:
        return layer
    before, after = (each.double().softmax(dim=0) for each in (found.verified, change.verified))
    words = [_number(p[change.target]) for p in (before, after)]
    said = [_class(p.argmax(), names) for p in (before, after)]
    return replace(layer, second=Second(found.second, *words, *said))


def _class(index: Tensor | int, names: Names) -> str:
    return class_name(int(index), names)


def _number(value: Tensor) -> str:
    return number(float(value))


def _array(heatmap: Tensor) -> NDArray[Any]:
    return heatmap.detach().float().cpu().numpy()


def _pixels(image: Tensor) -> NDArray[np.uint8]:
    """(3, h, w) in [0, 1] -> (h, w, 3)."""
    levels = (image.detach().float().clamp(0, 1).permute(1, 2, 0) * 255).round()
    return levels.to(torch.uint8).cpu().numpy()
