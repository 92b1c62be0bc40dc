"""One image explained: what a network sees, what is in the way, what would make it right."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from heatlift.attribution import attribute
from heatlift.class_names import chosen_output
from heatlift.classifier import Classifier
from heatlift.errors import HeatliftError, Refused
from heatlift.explanation import Change, Explanation, Seen
from heatlift.gradients import gradients
from heatlift.opinion import opinion_of, pixels_of, second_opinion_of
from heatlift.spotlight import Spotlight
from heatlift.undesirable import UndesirablePixels

if TYPE_CHECKING:
    from heatlift.optimise import Progress as Steps
    from heatlift.run.work import Progress

QUICK: dict[str, Any] = {"steps": 24, "lr": 0.2}
"""Of a quick look: few and large steps."""


@gradients()
def explain(
    classifier: Classifier,
    image: Tensor | str | Path,
    label: int | str | None = None,
    *,
    verify_on: Classifier | None = None,
    fast: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
) -> Explanation:
    """What does the network see in an image, what is in the way, and what would make it (more) right?

    Saliency and Grad-CAM of the predicted class; the undesirable pixels of the predicted class, and of the
    label where that is another one (`UndesirablePixels.stable`, after Kang 2019); a `Spotlight` on the
    label, or without one on the predicted class. All probabilities are float32's on the network itself.

    Args:
        classifier: the network; it is left as it was.
        image: (3, h, w) or (1, 3, h, w) in [0, 1], or an image file, which is cut as the network gets it.
        label: the true class: its number, its name or an unambiguous part of it, or ImageNet's wnid.
        verify_on: a second network with the same classes, which takes no part and is asked after.
        fast: fewer and larger steps, for a quick look.
        seed: of the views that the optimisations see.
        progress: hears how many steps are done.

    Raises:
        HeatliftError: an image, a label or networks that do not fit, or a network that gives no numbers.

    Example:
        >>> import heatlift as hl
        >>> clf = hl.load("torchvision:squeezenet1_1", weights="random", num_classes=3, size=64)
        >>> found = hl.explain(clf, torch.rand(3, 64, 64), label=2, fast=True)
        >>> [change.kind for change in found.changes][-1]
        'spotlight'
    """
    for network in (classifier, *([] if verify_on is None else [verify_on])):
        if not isinstance(network, Classifier):
            raise HeatliftError(
                f"{type(network).__name__} is no Classifier: wrap the network, hl.Classifier(network)"
            )
    wanted = None if label is None else chosen_output(label, classifier.num_classes, classifier.classes)
    pixels, name = pixels_of(classifier, image)
    opinion = opinion_of(classifier)
    logits = opinion(pixels)
    second = None if verify_on is None else second_opinion_of(classifier, verify_on)
    verified = None if second is None else second(pixels)
    if verified is not None and torch.equal(verified, logits):
        raise HeatliftError("the second network is the first one: give one that takes no part")
    pace: dict[str, Any] = {"seed": seed, "precision": classifier.precision} | (QUICK if fast else {})
    masks = UndesirablePixels.stable(**pace | ({"restarts": 1} if fast else {}))
    lift = Spotlight(**pace)
    found = _changes(classifier, pixels, int(logits.argmax()), wanted, masks, lift, progress)
    return Explanation(
        image=pixels[0].cpu(),
        name=name,
        network=classifier.describe(),
        label=wanted,
        logits=logits,
        saliency=_seen(classifier, pixels, "saliency"),
        gradcam=_seen(classifier, pixels, "layer_gradcam", "last"),
        changes=tuple(
            Change(
                kind, target, heatmap.cpu(), changed[0].cpu(), opinion(changed), second and second(changed)
            )
            for kind, target, heatmap, changed in found
        ),
        second=None if verify_on is None else verify_on.name,
        verified=verified,
        masks=masks,
        lift=lift,
        fast=fast,
    )


def _seen(classifier: Classifier, image: Tensor, method: str, layer: str | None = None) -> Seen:
    try:
        heatmap = attribute(classifier.in_float32(), image, method, space="pixel", layer=layer)
    except Refused as refusal:
        return Seen(method, None, str(refusal))
    if not bool(heatmap.isfinite().all()):
        return Seen(method, None, f"{method} is not finite on this image")
    return Seen(method, heatmap[0].cpu())


def _changes(
    classifier: Classifier,
    image: Tensor,
    predicted: int,
    label: int | None,
    masks: UndesirablePixels,
    lift: Spotlight,
    progress: Progress | None,
) -> list[tuple[Literal["undesirable", "spotlight"], int, Tensor, Tensor]]:
    """Kind, class, heatmap and changed image (1, 3, h, w) of every change."""

    def heard(first: int, what: str) -> Steps:
        def after(step: int, left: int) -> None:
            if progress is not None:
                progress(first + step, masks.steps + lift.steps, what)

        return after

    targets = [predicted] if label in (None, predicted) else [predicted, label]
    undesirable = masks(
        classifier,
        image.repeat(len(targets), 1, 1, 1),
        torch.tensor(targets),
        progress=heard(0, "undesirable pixels"),
    )
    aim = predicted if label is None else label
    spotlight = lift(classifier, image, aim, progress=heard(masks.steps, "spotlight"))
    return [
        *(
            ("undesirable", target, 1 - undesirable.masks[i], undesirable.perturbed[i : i + 1])
            for i, target in enumerate(targets)
        ),
        ("spotlight", aim, spotlight.heatmaps[0], spotlight.augmented),
    ]
