"""SPEC -> Classifier: where networks, their weights and their own preprocessing come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import nn

from heatlift.classifier import Classifier
from heatlift.described_weights import description_in
from heatlift.errors import HeatliftError, first_line
from heatlift.gradients import gradients
from heatlift.imports import callable_of, imported, raised
from heatlift.precision import Precision
from heatlift.published import Found, from_demo, from_timm, from_torchvision
from heatlift.types import Framing
from heatlift.weights import load_weights

KINDS = (
    "demo, demo-lite1, demo-lite2, torchvision:NAME, timm:NAME, hf:ID, hf:FOLDER or package.module:function"
)


@gradients()
def load(
    spec: str,
    weights: str | Path = "default",
    num_classes: int | None = None,
    classes: Sequence[str] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    size: int | None = None,
    resize: int | None = None,
    device: torch.device | str | None = None,
    seed: int = 0,
    precision: Precision = "fp32",
) -> Classifier:
    """Load a classifier by name, with the preprocessing of its own configuration.

    Args:
        spec: ``demo``, ``demo-lite1`` or ``demo-lite2`` (EfficientNet-Lite0, -1, -2 on ImageNet, no
            download),
            ``torchvision:NAME``, ``timm:NAME``,
            ``hf:ID`` or ``hf:FOLDER`` of Hugging Face's transformers, or ``package.module:function`` of
            your own that returns an ``nn.Module`` or a ``Classifier``.
        weights: ``default`` (the published ones; for your own function: what it returns), ``random``,
            or a ``.safetensors``, ``.pt`` or ``.pth`` file. Nothing is ever unpickled. A file that
            ``heatlift finetune`` wrote says the classes and the preprocessing itself.
        num_classes: the number of outputs, where it is not the published network's.
        classes: names, one per output.
        mean, std: override the configuration.
        size: the input's height and width in pixels: images are scaled to it by their shorter side and
            cut from the centre, as with ``Classifier(size=...)``.
        resize: what the shorter side is scaled to before the centre is cut, if not to the size.
        device: where to run; by default a GPU where there is one.
        seed: of random weights.
        precision: ``fp32``, ``bf16`` or ``auto``, as for a `Classifier`.

    Raises:
        HeatliftError: an unknown name, weights that are missing, do not fit or can't be had, or a network
            that is no classifier.

    Example:
        >>> import torch
        >>> clf = load("torchvision:squeezenet1_1", weights="random", classes=["cat", "dog"], size=64)
        >>> clf(torch.rand(3, 3, 64, 64)).shape
        torch.Size([3, 2])
    """
    kind, _, name = spec.partition(":")
    if not 0 <= seed < 2**63:
        raise HeatliftError(f"--seed {seed}: give a number from 0 to 2**63 - 1")
    if num_classes is not None and num_classes < 1:
        raise HeatliftError(f"{num_classes} classes: a classifier needs at least 1 output")
    said = description_in(Path(weights)) if str(weights) not in ("default", "random") else None
    if said is not None and classes is None and num_classes in (None, len(said.classes)):
        classes = said.classes
    if classes is not None and num_classes is None and (kind in ("torchvision", "timm", "hf") or said):
        num_classes = len(classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if kind in _SOURCES and (kind in _DEMOS) == (not name):
            found = _SOURCES[kind](name, str(weights), num_classes)
        elif name and kind not in _SOURCES:
            found = _from_function(kind, name, str(weights))
        else:
            raise HeatliftError(f"unknown model '{spec}': give {KINDS}")
    if str(weights) not in ("default", "random") and not found.loaded:
        load_weights(found.network, Path(weights))
    if said is not None:
        found = replace(found, mean=said.mean, std=said.std, framing=said.framing)
    classifier = Classifier(
        found.network,
        mean=found.mean if mean is None else mean,
        std=found.std if std is None else std,
        framing=_reframed(found.framing, size, resize),
        classes=found.classes if classes is None else classes,
        name=found.name or spec,
        device=device or ("cuda" if torch.cuda.is_available() else "cpu"),
        precision=precision,
    )
    if num_classes is not None and classifier.num_classes != max(num_classes, 2):
        raise HeatliftError(f"{spec} has {classifier.num_classes} classes, not {num_classes}")
    return classifier


def read_classes(path: Path) -> list[str]:
    """Class names from a text file, one a line, in the order of the network's outputs.

    Raises:
        HeatliftError: the file can't be read as text, or is empty.
    """
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise HeatliftError(f"can't read class names from {path}: {first_line(error)}") from error
    while names and not names[-1]:
        names.pop()
    if not names or not all(names):
        raise HeatliftError(f"{path} has {'an empty line' if names else 'no names'}: one class name a line")
    return names


def _from_function(module: str, name: str, weights: str) -> Found:
    """A user's own function; whatever it raises is said in one line, with where it came from."""
    if weights == "random":
        raise HeatliftError(
            f"--weights random means nothing for {module}:{name}: let the function itself decide"
        )
    spec = f"{module}:{name}"
    form = "without arguments that gives a Classifier or an nn.Module"
    function = callable_of(imported(spec, "model", KINDS), "model", spec, form)
    try:
        made = function()
    except (Exception, SystemExit) as error:
        raise HeatliftError(f"{module}:{name}() failed: {raised(error)}") from error
    if isinstance(made, Classifier):
        if type(made) is not Classifier:
            raise HeatliftError(
                f"{module}:{name}() returned a {type(made).__name__}: return a plain Classifier"
            )
        mean, std = made.mean.flatten().tolist(), made.std.flatten().tolist()
        return Found(made.network, mean, std, made.framing, made.classes)
    if not isinstance(made, nn.Module):
        raise HeatliftError(
            f"{module}:{name}() returned {type(made).__name__}: it must be a Classifier or nn.Module"
        )
    return Found(made)


def _from_hugging_face(name: str, weights: str, num_classes: int | None) -> Found:
    # Here, since transformers takes seconds to import.
    from heatlift.hugging_face import from_hugging_face

    return from_hugging_face(name, weights, num_classes)


_DEMOS = {"demo": 0, "demo-lite1": 1, "demo-lite2": 2}
"""Bundled networks: which EfficientNet-Lite each is."""

_SOURCES: Mapping[str, Callable[[str, str, int | None], Found]] = {
    **{name: partial(from_demo, size) for name, size in _DEMOS.items()},
    "torchvision": from_torchvision,
    "timm": from_timm,
    "hf": _from_hugging_face,
}


def _reframed(framing: Framing, size: int | None, resize: int | None) -> Framing:
    """The framing with the user's own size, or scale before the cut."""
    for option, value in (("size", size), ("resize", resize)):
        if value is not None and value < 1:
            raise HeatliftError(f"--{option} {value}: give a number of pixels, such as 224")
    if size is not None:
        framing = replace(framing, resize=size, crop=(size, size))
    return framing if resize is None else replace(framing, resize=resize)
