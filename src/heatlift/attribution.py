"""Method names -> heatmaps."""

from __future__ import annotations

from typing import Any, Literal, overload

from torch import Tensor

from heatlift.attributor import Attribution, Attributor
from heatlift.classifier import Classifier
from heatlift.errors import HeatliftError, Refused
from heatlift.registry import MethodName, requested
from heatlift.types import Space, Target


@overload
def attribute(
    classifier: Classifier,
    images: Tensor,
    method: MethodName,
    target: Target = None,
    space: Space = "model",
    *,
    layer: str | None = None,
    baseline: Tensor | float = 0.0,
    certificate: Literal[False] = False,
    **options: Any,
) -> Tensor: ...


@overload
def attribute(
    classifier: Classifier,
    images: Tensor,
    method: MethodName,
    target: Target = None,
    space: Space = "model",
    *,
    layer: str | None = None,
    baseline: Tensor | float = 0.0,
    certificate: Literal[True],
    **options: Any,
) -> Attribution: ...


def attribute(
    classifier: Classifier,
    images: Tensor,
    method: MethodName,
    target: Target = None,
    space: Space = "model",
    *,
    layer: str | None = None,
    baseline: Tensor | float = 0.0,
    certificate: bool = False,
    **options: Any,
) -> Tensor | Attribution:
    """Heatmaps of one attribution method, raw (not rescaled) and detached.

    Args:
        classifier: the network explained.
        images: (n, 3, h, w) in [0, 1].
        method: one of ``heatlift.methods()``; ``captum:NAME``; ``package.module:function``; or a callable
            ``(classifier, images, target) -> heatmaps``. ``layer_gradcam@NAME`` names a layer as well.
        target: the class explained: None or ``"predicted"``, ``"runner-up"``, one class, or one per image.
        space: ``model`` gives attributions of what the network itself sees, ``pixel`` of the image in [0, 1].
        layer: for methods that take one: a module's name, ``first`` or ``last``. ``layer_gradcam`` takes
            the first convolution (as in Tjoa 2022), ``gradcam`` and ``gradcam_negative`` the last.
        baseline: for ``deeplift``, ``integrated_gradients`` and Captum's methods: a value or tensor in model
            space, broadcastable to the images.
        certificate: return the `Attribution`, with what proves the heatmaps, rather than the heatmaps alone.
        options: of the method: ``integrated_gradients`` takes ``steps`` (at most, 256), ``smoothgrad``
            ``samples`` (25), ``noise`` (0.15 of the image's range) and ``seed``; Captum's take Captum's own.

    Returns:
        (n, 3, h, w), in units of logits per unit of input for the gradient methods, in logits for
        ``input_x_gradient``, ``integrated_gradients`` and ``deeplift``.

    Raises:
        HeatliftError: unknown method, layer, option or target.
        Refused: the method would be wrong on this network, and why.

    Example:
        >>> import torch
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 2))
        >>> clf, images = Classifier(net, size=8), torch.rand(3, 3, 8, 8)
        >>> attribute(clf, images, "saliency", target="runner-up").shape
        torch.Size([3, 3, 8, 8])
        >>> attribute(clf, images, "guided_backprop")
        Traceback (most recent call last):
            ...
        heatlift.errors.Refused: guided_backprop does not apply to Sequential: ...
    """
    if not isinstance(classifier, Classifier):
        raise HeatliftError(
            f"{type(classifier).__name__} is no Classifier: wrap the network, hl.Classifier(network)"
        )
    request = requested(classifier, method, layer, **options)
    attribution = Attributor(classifier, [request], space, baseline)(images, target)[request.name]
    if isinstance(attribution, Refused):
        raise Refused(f"{request.name} does not apply to {classifier.name}: {attribution}") from attribution
    if not attribution.complete and not certificate:
        assert attribution.completeness is not None
        raise Refused(
            f"{request.name} is not complete on {classifier.name}: its sum misses the logit's rise by up to "
            f"{float(attribution.completeness.max()):.1%} (certificate=True returns it all the same)"
        )
    return attribution if certificate else attribution.heatmaps
