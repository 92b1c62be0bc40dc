"""What an image processor of Hugging Face's transformers does to a photograph, read from its settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from heatlift.errors import HeatliftError, first_line
from heatlift.types import Framing

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos")


@dataclass(frozen=True)
class Preprocessing:
    """What a processor does.

    Attributes:
        mean, std: the normalisation of pixels in [0, 1], for red, green and blue.
        framing: how the photograph becomes the network's input size.
        bgr: whether the network takes blue first and red last.
    """

    mean: Sequence[float]
    std: Sequence[float]
    framing: Framing
    bgr: bool


class BGR(nn.Module):
    """A network that takes blue, green, red, as one that takes red, green, blue."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Any:
        """What the network returns for images (n, 3, h, w) with their channels in the other order."""
        return self.network(images.flip(1))


def preprocessing(processor: Any) -> Preprocessing:
    """Read a processor's settings, and try on a picture that they are all it does.

    Raises:
        HeatliftError: it does what a `Framing` and a normalisation can't; the message goes on from "the
            image processor".
    """
    settings = processor.to_dict()
    try:
        bgr = bool(settings.get("do_flip_channel_order"))
        order = slice(None, None, -1 if bgr else 1)
        mean, std = (values[order] for values in _normalisation(settings))
        read = Preprocessing(mean, std, _framing(settings), bgr)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise HeatliftError(f"has settings that make no sense ({first_line(error)})") from error
    picture = _picture()
    try:
        theirs = processor(picture, return_tensors="pt")["pixel_values"][0]
    except Exception as error:
        raise HeatliftError(f"fails ({first_line(error)})") from error
    theirs = theirs.flip(0) if bgr else theirs
    ours = _applied(read, picture)
    if ours.shape != theirs.shape or _differing(ours, theirs, read) > 0.1:
        raise HeatliftError("does not do what its settings say, or more: resize, cut, rescale and normalise")
    return read


def _normalisation(settings: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of pixels in [0, 1], in the network's order of channels."""
    factor = 255 * settings["rescale_factor"] if settings.get("do_rescale") else 255.0
    mean, std = [0.0] * 3, [1.0] * 3
    if settings.get("do_normalize"):
        mean, std = _per_channel(settings["image_mean"]), _per_channel(settings["image_std"])
    if settings.get("rescale_offset"):
        mean = [value + 1 for value in mean]
    if settings.get("include_top"):
        # EfficientNet's divides by it once more.
        std = [a * b for a, b in zip(std, _per_channel(settings["image_std"]), strict=True)]
    return [value / factor for value in mean], [value / factor for value in std]


def _framing(settings: Mapping[str, Any]) -> Framing:
    size = _given(settings, "size") if settings.get("do_resize") else {}
    crop = _given(settings, "crop_size") if settings.get("do_center_crop") else {}
    resize: int | tuple[int, int]
    if size.keys() == {"shortest_edge"}:
        resize = side = size["shortest_edge"]
        share = settings.get("crop_pct")
        if share is not None:
            # ConvNeXT's: below 384 a share is cut out, from there on the image is squeezed into a square.
            resize = int(side / share) if crop or side < 384 else (side, side)
            crop = crop or {"height": side, "width": side}
    elif size.keys() == {"height", "width"}:
        resize = (size["height"], size["width"])
        crop = crop or size
    else:
        raise HeatliftError(f"resizes to {size}" if size else "does not resize")
    if crop.keys() != {"height", "width"}:
        raise HeatliftError("keeps the image's shape, so that no two images fit into a batch")
    interpolation = Image.Resampling(int(settings.get("resample", Image.Resampling.BILINEAR))).name.lower()
    if interpolation not in INTERPOLATIONS:
        raise HeatliftError(f"resizes with {interpolation}")
    return Framing(resize, (crop["height"], crop["width"]), interpolation)


def _picture() -> Image.Image:
    """Soft ramps, on which no rounding of a size or margin shows, but every stretch, pad or swap does."""
    across = torch.linspace(0, 255, 400).expand(300, 400)
    down = torch.linspace(255, 30, 300).unsqueeze(1).expand(300, 400)
    return Image.fromarray(torch.stack([across, down, (across + down) / 3], dim=-1).byte().numpy())


def _applied(read: Preprocessing, picture: Image.Image) -> Tensor:
    """The picture framed and normalised, (3, h, w)."""
    from torchvision.transforms import functional

    framing = read.framing
    size = [framing.resize] if isinstance(framing.resize, int) else list(framing.resize)
    resized = functional.resize(picture, size, functional.InterpolationMode(framing.interpolation))
    pixels: Tensor = functional.to_tensor(functional.center_crop(resized, list(framing.crop)))
    return (pixels - _column(read.mean)) / _column(read.std)


def _differing(ours: Tensor, theirs: Tensor, read: Preprocessing) -> float:
    """The share of values that differ by more than the rounding of a level and a margin explain."""
    # Two of 255 levels, and one pixel: transformers rounds a margin down, torchvision, as we do, to even.
    tolerance = 0.008 + 1 / min(read.framing.crop)
    return float((((ours - theirs) * _column(read.std)).abs() > tolerance).double().mean())


def _given(settings: Mapping[str, Any], name: str) -> dict[str, int]:
    """A size's edges by name, those that are set."""
    return {edge: value for edge, value in (settings.get(name) or {}).items() if value is not None}


def _per_channel(value: Any) -> list[float]:
    return [float(v) for v in value] if isinstance(value, Sequence) else [float(value)] * 3


def _column(values: Sequence[float]) -> Tensor:
    return torch.tensor(list(values)).view(3, 1, 1)
