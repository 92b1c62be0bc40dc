"""Framing: bit for bit what torchvision and timm do to a photograph, and no memory to fill."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from heatlift import images
from heatlift.images import decode
from heatlift.types import Framing

RED, GREEN = (255, 0, 0), (0, 255, 0)


def saved(path: Path, image: Image.Image) -> Path:
    image.save(path)
    return path


def photograph(width: int, height: int, seed: int = 0) -> Image.Image:
    """Smooth structure with noise on top, so that resampling has something to get wrong."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 7, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=np.int16)
    noisy = smooth + rng.integers(-20, 21, smooth.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


SHAPES = [
    (256, 256),
    (500, 375),
    (375, 500),
    (257, 311),
    (300, 999),
    (40, 30),
    (31, 17),
    (1, 1),
    (224, 225),
    (3, 200),
]


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("geometry", [(64, 56), (64, 57), (57, 57), (40, 64), (41, 64), ((30, 70), (40, 50))])
def test_framing_is_torchvisions(tmp_path: Path, geometry: tuple, interpolation: str) -> None:
    resize, crop = geometry
    if isinstance(crop, int):
        crop = (crop, crop)
    theirs = transforms.Compose(
        [
            transforms.Resize(resize, transforms.InterpolationMode(interpolation)),
            transforms.CenterCrop(crop),
            transforms.PILToTensor(),
        ]
    )
    for shape in SHAPES:
        path = saved(tmp_path / "x.png", photograph(*shape))
        assert torch.equal(decode(path, Framing(resize, crop, interpolation)), theirs(Image.open(path))), (
            shape
        )


def test_framing_is_timms(tmp_path: Path) -> None:
    from timm.data import create_transform, resolve_data_config

    config = resolve_data_config({"input_size": (3, 224, 224), "interpolation": "bicubic", "crop_pct": 0.875})
    theirs = create_transform(**config, normalize=False)
    for seed, (width, height) in enumerate(SHAPES):
        path = saved(tmp_path / "x.png", photograph(width, height, seed))
        ours = decode(path, Framing(256, (224, 224), "bicubic"))
        assert torch.equal(ours, theirs(Image.open(path)))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
def test_the_kept_part_alone_is_the_same_but_for_rounding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interpolation: str
) -> None:
    for shape in [(900, 60), (60, 900), (40, 40), (333, 222)]:
        path = saved(tmp_path / "x.png", photograph(*shape))
        for resize, crop in [(64, (56, 56)), (64, (57, 101)), (30, (64, 40)), ((20, 90), (30, 50))]:
            framing = Framing(resize, crop, interpolation)
            whole = decode(path, framing)
            with monkeypatch.context() as patch:
                patch.setattr(images, "LARGEST_RESIZED", 0)
                kept = decode(path, framing)
            # A shift by one pixel would give a mean of about 15: the noise alone has that much.
            difference = (kept.float() - whole.float()).abs()
            assert difference.max() <= 6
            assert difference.mean() < 0.6


@pytest.mark.parametrize("size", [(1, 100_000), (100_000, 1)])
def test_a_very_long_image_does_not_fill_the_memory(tmp_path: Path, size: tuple[int, int]) -> None:
    """Scaled to a shorter side of 256 it would have 26 gigapixels."""
    image = Image.new("RGB", size, RED)
    middle = [length // 2 for length in size]
    image.putpixel((middle[0], middle[1]), GREEN)
    path = saved(tmp_path / "x.png", image)
    found = decode(path, Framing(256, (224, 224), "bilinear"))
    assert found.shape == (3, 224, 224)
    # The green pixel now covers the 256 rows or columns after the centre, softly at its edge.
    after, before = ((1, 200, 112), (1, 0, 112)) if size[0] == 1 else ((1, 112, 200), (1, 112, 0))
    assert found[after] > 200
    assert found[before] < 55
