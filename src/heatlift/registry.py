"""The attribution methods by name, and how a name as users write it is understood."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from heatlift.captum_methods import captum_method
from heatlift.classifier import Classifier
from heatlift.errors import HeatliftError, Refused
from heatlift.feature_maps import first_map, last_map
from heatlift.method import Method, Request
from heatlift.sampling_methods import SAMPLING_METHODS
from heatlift.shared_methods import SHARED_METHODS
from heatlift.stages import stages
from heatlift.user_methods import user_method

MethodName: TypeAlias = "str | Callable[..., Any]"
"""A name of ours, ``captum:NAME``, ``package.module:function``, or a callable."""

METHODS: Mapping[str, Method] = {method.name: method for method in (*SHARED_METHODS, *SAMPLING_METHODS)}
"""Our attribution methods by name."""

TJOA_2022 = ("saliency", "input_x_gradient", "layer_gradcam", "deconvolution", "guided_backprop", "deeplift")
"""The methods that Tjoa 2022 compares."""


def methods() -> dict[str, dict[str, str]]:
    """The attribution methods by name, each with its ``title``, ``source`` and what it ``needs``.

    Beside these, ``captum:NAME`` is any attribution class of Captum, and ``package.module:function`` or a
    callable ``(classifier, images, target) -> heatmaps`` one of your own.

    Example:
        >>> methods()["deeplift"]["needs"]
        'a rule for every non-linearity, shown by completeness'
    """
    return {m.name: {"title": m.title, "source": m.source, "needs": m.needs} for m in METHODS.values()}


def method_named(name: MethodName) -> Method:
    """The method that a name means, the layer aside.

    Raises:
        HeatliftError: there is none.
    """
    if not isinstance(name, str):
        return user_method(name)
    base = name.partition("@")[0]
    kind, colon, rest = base.partition(":")
    if kind == "captum" and colon:
        return captum_method(rest)
    if colon:
        return user_method(base)
    if base not in METHODS:
        raise HeatliftError(
            f"unknown method '{base}': choose from {', '.join(METHODS)}, captum:NAME "
            "or package.module:function"
        )
    return METHODS[base]


def expanded(classifier: Classifier, names: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Method names with every ``METHOD@all`` replaced by ``METHOD@NAME`` for each stage of the network.

    Returns:
        The names, each once, and those of the stages, in the order in which their layers run, each with the
        method that it is a stage of.
    """
    found: dict[str, None] = {}
    of: dict[str, str] = {}
    for name in names:
        base, _, layer = name.partition("@")
        at = [name]
        if layer == "all" and method_named(base).layer is not None:
            # A network without any keeps the name, and is refused with it.
            at = [f"{base}@{one}" for one in stages(classifier.feature_maps, classifier.network)] or at
            of |= {one: base for one in at if one != name}
        found |= dict.fromkeys(at)
    return list(found), of


def requested(
    classifier: Classifier, name: MethodName, layer: str | None = None, seed: int = 0, **options: Any
) -> Request:
    """Understand a method name for a network.

    Args:
        classifier: the network.
        name: the method; ``layer_gradcam@NAME`` names a layer as well.
        layer: a module's name, ``first`` or ``last``, for methods that take one.
        seed: of methods that draw random numbers.
        options: of the method, as its own documentation names them.

    Raises:
        HeatliftError: an unknown method, layer or option.
        Refused: the network has no layer that the method could take.
    """
    method = method_named(name)
    name = name if isinstance(name, str) else method.name
    written = name.partition("@")[2]
    layer = written or layer
    if method.layer is None and layer:
        raise HeatliftError(f"{name.partition('@')[0]} takes no layer, but '{layer}' was given")
    if method.options is None:
        settings = {"seed": seed, **options}
    else:
        unknown = [key for key in options if key not in method.options]
        if unknown:
            known = f"it takes {', '.join(method.options)}" if method.options else "it takes none"
            raise HeatliftError(f"{name} takes no option '{unknown[0]}': {known}")
        settings = {**method.options, **({"seed": seed} if "seed" in method.options else {}), **options}
    found = None if method.layer is None else _layer(classifier, layer or method.layer, name)
    return Request(name, method, found, settings)


def _layer(classifier: Classifier, layer: str, name: str) -> str:
    """A layer's full name: itself, or the ``first`` or ``last`` that can be explained."""
    maps, network = classifier.feature_maps, classifier.network
    if layer in ("first", "last", "all"):
        found = last_map(maps, network) if layer == "last" else first_map(maps, network)
        if layer == "all" and stages(maps, network):
            raise HeatliftError(
                f"{name} is one heatmap for each stage of the network: ask for one layer here"
            )
        if found is None:
            unusable = next((f"layer '{n}' {m.reason}" for n, m in maps.items() if m.reason), None)
            why = unusable or "the network runs no convolution"
            raise Refused(f"{name} needs a layer with a feature map, and {why}: choose a layer by name")
        return found
    if layer in maps:
        if maps[layer].reason is not None:
            raise HeatliftError(f"layer '{layer}' {maps[layer].reason}: choose another layer")
        return layer
    if layer in dict(network.named_modules()):
        raise HeatliftError(
            f"layer '{layer}' gives no feature map (c, h, w), or does not run: choose another layer"
        )
    known = ", ".join(list(classifier.layers)[:4])
    raise HeatliftError(f"unknown layer '{layer}': choose first, last, or a name such as {known}")
