"""Real photographs to try heatlift on, from packages that are installed anyway, and their degradations."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from heatlift.data import NOTE as NOTE_FILE
from heatlift.errors import HeatliftError

SHORTER_SIDE = 320
"""Pixels; enough for a 224-pixel crop after the strongest cut."""


@dataclass(frozen=True)
class Photograph:
    """A photograph that another package ships.

    Attributes:
        name: what the files made of it begin with.
        package: the installed package that has it, and the ``path`` inside it.
        label: the ImageNet class that a person would give it.
        credit: whose it is, and its licence.
        box: the part that shows the class, (left, top, right, bottom) in pixels; None for all.
    """

    name: str
    package: str
    path: str
    label: str
    credit: str
    box: tuple[int, int, int, int] | None = None

    def open(self) -> Image.Image:
        """The clean photograph, its shorter side `SHORTER_SIDE` pixels long.

        Raises:
            HeatliftError: the package is not installed, or ships it no longer.
        """
        from importlib.util import find_spec

        spec = find_spec(self.package)
        file = Path(spec.origin).parent / self.path if spec is not None and spec.origin else None
        if file is None or not file.is_file():
            raise HeatliftError(f"the demo's {self.path} is not installed: pip install 'heatlift[demo]'")
        with Image.open(file) as stored:
            picture = stored.convert("RGB").crop(self.box)
        scale = SHORTER_SIDE / min(picture.size)
        width, height = (round(side * scale) for side in picture.size)
        return picture.resize((width, height), Image.Resampling.LANCZOS)


_SKIMAGE = "scikit-image's data, public domain or CC0"

PHOTOGRAPHS = (
    Photograph("chelsea", "skimage", "data/chelsea.png", "tabby", f"Stefan van der Walt; {_SKIMAGE}"),
    Photograph("coffee", "skimage", "data/coffee.png", "espresso", f"Rachel Michetti; {_SKIMAGE}"),
    Photograph("cameraman", "skimage", "data/camera.png", "tripod", f"Lav Varshney; {_SKIMAGE}"),
    Photograph(
        "motorcycle", "skimage", "data/motorcycle_left.png", "moped", f"Middlebury stereo; {_SKIMAGE}"
    ),
    Photograph("rocket", "skimage", "data/rocket.jpg", "missile", f"SpaceX; {_SKIMAGE}"),
    Photograph(
        "shuttle",
        "skimage",
        "data/astronaut.png",
        "space shuttle",
        f"NASA; {_SKIMAGE}",
        box=(340, 0, 512, 260),
    ),
    Photograph(
        "tower", "sklearn", "datasets/images/china.jpg", "palace", "danielbuechele on Flickr, CC BY 2.0"
    ),
    Photograph("flower", "sklearn", "datasets/images/flower.jpg", "daisy", "vultilion on Flickr, CC BY 2.0"),
    Photograph(
        "hopper",
        "matplotlib",
        "mpl-data/sample_data/grace_hopper.jpg",
        "military uniform",
        "James S. Davis, US Navy, public domain",
    ),
)

Degradation = Callable[[Image.Image, np.random.Generator], Image.Image]


def crop(share: float) -> Degradation:
    """Keep a random window of this share of each side."""

    def apply(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
        width, height = (round(side * share) for side in picture.size)
        left, top = (
            int(rng.integers(0, spare + 1)) for spare in (picture.width - width, picture.height - height)
        )
        return picture.crop((left, top, left + width, top + height))

    return apply


def rotate(degrees: float) -> Degradation:
    """Turn about the centre and cut away what the corners leave empty."""

    def apply(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
        turned = picture.rotate(degrees, Image.Resampling.BICUBIC)
        # The largest rectangle of the picture's own shape that holds no corner.
        angle = np.radians(abs(degrees))
        long, short = max(picture.size), min(picture.size)
        share = short / (long * np.sin(angle) + short * np.cos(angle))
        # Two pixels less, because interpolation mixes the empty corners into their neighbours.
        width, height = (int(side * share) - 2 for side in picture.size)
        left, top = (picture.width - width) // 2, (picture.height - height) // 2
        return turned.crop((left, top, left + width, top + height))

    return apply


def blur(radius: float) -> Degradation:
    """Gaussian blur; radius in pixels."""

    def apply(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
        return picture.filter(ImageFilter.GaussianBlur(radius))

    return apply


def jpeg(quality: int) -> Degradation:
    """Compress hard; quality from 1 to 95."""

    def apply(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=quality)
        with Image.open(stream) as compressed:
            return compressed.convert("RGB")

    return apply


def darken(light: float) -> Degradation:
    """Low light: this share of the brightness, with the grain that a camera adds to it."""

    def apply(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
        return noise(0.03)(ImageEnhance.Brightness(picture).enhance(light), rng)

    return apply


def noise(deviation: float) -> Degradation:
    """Gaussian noise; standard deviation as a share of full brightness."""

    def apply(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
        pixels = np.asarray(picture, dtype=np.float32)
        grain = rng.standard_normal(pixels.shape, dtype=np.float32) * (255 * deviation)
        return Image.fromarray((pixels + grain).clip(0, 255).astype(np.uint8))

    return apply


NETWORK, SECOND = "demo", "demo-lite2"
"""What is audited, lifted and explained, and what takes no part in the lift."""

NOTE = (
    f"made from {len(PHOTOGRAPHS)} photographs, so they are not independent, and all intervals are too "
    "narrow: this shows the tool, it is no finding"
)
"""Of the photographs as data; reports repeat it."""

DEGRADATIONS: dict[str, tuple[Degradation, ...]] = {
    "clean": (),
    "crop-a": (crop(0.85),),
    "crop-b": (crop(0.75),),
    "crop-c": (crop(0.65),),
    "crop-d": (crop(0.55),),
    "rotated-10": (rotate(-10),),
    "rotated-25": (rotate(25),),
    "rotated-45": (rotate(-45),),
    "blur-2": (blur(2),),
    "blur-4": (blur(4),),
    "jpeg-10": (jpeg(10),),
    "jpeg-4": (jpeg(4),),
    "dark-40": (darken(0.4),),
    "dark-25": (darken(0.25),),
    "noise-10": (noise(0.10),),
    "noise-20": (noise(0.20),),
    "crop-blur": (crop(0.85), blur(2)),
    "rotated-dark": (rotate(15), darken(0.4)),
    "crop-noise": (crop(0.85), noise(0.10)),
    "dark-jpeg": (darken(0.5), jpeg(15)),
}
"""Everyday ways to spoil a photograph, by the name that a file made with it gets."""


def variants(photograph: Photograph) -> Iterator[tuple[str, Image.Image]]:
    """A photograph under every degradation, named; the same on every machine."""
    clean = photograph.open()
    for number, (name, steps) in enumerate(DEGRADATIONS.items()):
        rng = np.random.default_rng([number, *photograph.name.encode()])
        picture = clean
        for step in steps:
            picture = step(picture, rng)
        yield f"{photograph.name}-{name}", picture


def write_photographs(folder: Path) -> int:
    """Write all variants as a data folder of class folders, with their credits; returns how many.

    Raises:
        HeatliftError: the photographs' packages are not installed, or the folder can't be written.
    """
    count = 0
    try:
        for photograph in PHOTOGRAPHS:
            place = folder / photograph.label
            place.mkdir(parents=True, exist_ok=True)
            for name, picture in variants(photograph):
                picture.save(place / f"{name}.jpg", quality=92)
                count += 1
        owners = [f"{p.name}: {p.credit} ({p.package}/{p.path})" for p in PHOTOGRAPHS]
        (folder / "CREDITS.txt").write_text("\n".join(owners) + "\n", encoding="utf-8")
        (folder / NOTE_FILE).write_text(NOTE + "\n", encoding="utf-8")
    except OSError as error:
        raise HeatliftError(f"can't write the demo's photographs to {folder}: {error}") from error
    return count
