"""Images into batches: decoding, framing, and threads that work beside the network."""

from __future__ import annotations

import errno
import io
import stat
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, TiffImagePlugin, UnidentifiedImageError
from torch import Tensor

from heatlift.data import Dataset, Item, find_images
from heatlift.errors import HeatliftError
from heatlift.storage import LARGEST, StoredFile
from heatlift.types import Framing

__all__ = ["Batch", "Dataset", "Item", "UnreadableImage", "batches", "decode", "find_images"]

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
"""What is decoded, by content and not by name. Pillow's other formats stay off: some run programs."""

LARGEST_RESIZED = 2**24
"""Pixels; where the whole resized image would have more, only the part that the crop keeps is made."""

STORED_THREADS = 8
"""The fewest that decode images from object storage, since they wait for it most of the time."""

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF's orientation -> what turns the stored image upright."""


class UnreadableImage(Exception):
    """An image that gives no pixels; the message is the reason in a few words."""


@dataclass(frozen=True)
class Batch:
    """Images side by side, and those that failed on the way to them.

    Attributes:
        items: n items, in the order given.
        images: (n, 3, h, w) float32 in [0, 1].
        failed: items met while this batch was filled that are not in it, each with the reason.
    """

    items: tuple[Item, ...]
    images: Tensor
    failed: tuple[tuple[Item, str], ...]

    def __len__(self) -> int:
        """How many images it holds."""
        return len(self.items)

    def __getitem__(self, part: slice, /) -> Batch:
        """Some of its images, without the failures."""
        return Batch(self.items[part], self.images[part], ())


def batches(
    items: Sequence[Item], framing: Framing, batch_size: int, threads: int = 2
) -> Generator[Batch, None, None]:
    """Decoded batches in the order of the items; ``threads`` decode ahead while the caller works.

    At most two batches are decoded ahead, so memory does not grow with the number of items. Every item
    ends up in one batch's ``items`` or ``failed``. The last batch may be smaller, and has no items if
    only failures were left. The threads end with the generator, also when it is closed early.

    Raises:
        ValueError: ``batch_size`` or ``threads`` is below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}")
    coming = iter(items)
    waiting: deque[tuple[Item, Future[Tensor]]] = deque()
    if any(isinstance(item.path, StoredFile) for item in items[:1]):
        threads = max(threads, STORED_THREADS)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="heatlift-decode")

    def send(number: int) -> None:
        waiting.extend((item, pool.submit(decode, item.path, framing)) for item in islice(coming, number))

    try:
        send(2 * batch_size)
        while waiting:
            decoded: list[tuple[Item, Tensor]] = []
            failed: list[tuple[Item, str]] = []
            while waiting and len(decoded) < batch_size:
                item, future = waiting.popleft()
                try:
                    decoded.append((item, future.result()))
                except UnreadableImage as error:
                    failed.append((item, f"unreadable: {error}"))
                send(1)
            yield _batch(decoded, failed, framing)
    finally:
        pool.shutdown(cancel_futures=True)


def _batch(
    decoded: Sequence[tuple[Item, Tensor]], failed: Sequence[tuple[Item, str]], framing: Framing
) -> Batch:
    images = torch.empty((len(decoded), 3, *framing.crop))
    for slot, (_, image) in zip(images, decoded, strict=True):
        slot.copy_(image)
    return Batch(tuple(item for item, _ in decoded), images.div_(255), tuple(failed))


def decode(path: Path | StoredFile, framing: Framing) -> Tensor:
    """One image as the network's input size: (3, h, w) uint8, RGB.

    As a person sees it: upright by its EXIF orientation, transparent parts over white, the first frame
    of an animation. 16-bit grey is scaled from [0, 65535] (a TIFF's 12 bits from [0, 4095]), float grey
    from [0, 1], or from [0, 255] where it goes beyond 1. Colour profiles are not applied. Framing is
    torchvision's Resize and CenterCrop on PIL images, bit for bit, save where the resized image would
    exceed `LARGEST_RESIZED`: then the kept part alone is computed, equal to within a few of 255 levels.

    Raises:
        UnreadableImage: the file is missing, empty, truncated, damaged or no image; has more pixels
            than ``PIL.Image.MAX_IMAGE_PIXELS``; or has values outside the ranges above.
        HeatliftError: the storage it is in does not answer, which says nothing of the image.
    """
    try:
        pixels = np.array(_framed(_picture(path), framing))
    except (UnreadableImage, HeatliftError):
        raise
    except Exception as error:  # Pillow raises whatever the bytes lead it to, AttributeError included
        raise UnreadableImage(_reason(error)) from error
    return torch.from_numpy(np.moveaxis(pixels, -1, 0).copy())


def _file(path: Path | StoredFile) -> BinaryIO:
    """The file's content, of which there is some."""
    if isinstance(path, StoredFile):
        if path.size is not None and path.size > LARGEST:
            raise UnreadableImage(f"larger than {LARGEST // 2**20} MB")
        content = path.read()
        if not content:
            raise UnreadableImage("empty file")
        return io.BytesIO(content)
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # to open a pipe would wait for ever
        raise UnreadableImage("a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file")
    if status.st_size == 0:
        raise UnreadableImage("empty file")
    return path.open("rb")


def _picture(path: Path | StoredFile) -> Image.Image:
    """The whole image in RGB, upright."""
    with _file(path) as file, Image.open(file, formats=_formats()) as image:
        # From the limit to its double Pillow only warns.
        if Image.MAX_IMAGE_PIXELS is not None and image.width * image.height > Image.MAX_IMAGE_PIXELS:
            raise Image.DecompressionBombError
        if 0 in image.size:
            raise UnreadableImage("no pixels")
        image.load()
        orientation = _orientation(image)
        picture = _rgb(image)
    return picture.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else picture


@cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)  # AVIF came with Pillow 11.3


def _reason(error: Exception) -> str:
    match error:
        case FileNotFoundError() | NotADirectoryError():
            return "file is missing"
        case PermissionError():
            return "permission denied"
        case Image.DecompressionBombError() | Image.DecompressionBombWarning():
            return f"too many pixels (over {Image.MAX_IMAGE_PIXELS}): a decompression bomb?"
        case UnidentifiedImageError():
            return "not an image that Pillow can read"
        case MemoryError():
            return "too large for the memory"
        case OSError(strerror=str(reason)) if (
            error.errno != errno.EINVAL
        ):  # that is a seek the bytes asked for
            return reason
        case EOFError():
            return "truncated"
        case _:
            return "truncated" if "truncated" in str(error).lower() else "damaged"


def _orientation(image: ImageFile.ImageFile) -> int:
    """EXIF's orientation, 1 to 8; to be asked after loading, as Pillow turns a TIFF upright itself."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a broken EXIF block says nothing about how to hold a sound picture
        return 1


def _rgb(image: ImageFile.ImageFile) -> Image.Image:
    if image.mode == "I" or image.mode.startswith("I;16"):
        return Image.fromarray(_from_integers(image)).convert("RGB")
    if image.mode == "F":
        return Image.fromarray(_from_floats(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(layer, mask=layer)
        return white
    return image.convert("RGB")


def _from_integers(image: ImageFile.ImageFile) -> NDArray[np.uint8]:
    """Grey levels of up to 16 bits, scaled to 8; Pillow's own conversion would clip them."""
    values = np.array(image)
    full, white_is_zero = 65535, False
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        bits = image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (16,))[0]
        full = 2 ** min(bits, 16) - 1
        white_is_zero = image.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0
    if values.min() < 0 or values.max() > full:
        raise UnreadableImage(f"grey values outside 0 to {full}")
    if "transparency" in image.info:
        values[values == image.info["transparency"]] = full
    levels = (values.astype(np.uint32) * 255 + full // 2) // full
    return (255 - levels if white_is_zero else levels).astype(np.uint8)


def _from_floats(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    lowest, highest = values.min(), values.max()
    if not (lowest >= 0 and highest <= 255):  # also where there is a NaN
        raise UnreadableImage("float grey values outside 0 to 255")
    return np.rint(values * 255 if highest <= 1 else values).astype(np.uint8)


def _framed(picture: Image.Image, framing: Framing) -> Image.Image:
    """Resized, then cut from the centre; past the edge of a smaller image everything is black."""
    width, height = _resized_size(picture.size, framing.resize)
    crop_height, crop_width = framing.crop
    left, top = _margin(width, crop_width), _margin(height, crop_height)
    resample = Image.Resampling[framing.interpolation.upper()]
    if width * height <= LARGEST_RESIZED:
        resized = picture.resize((width, height), resample)
        return resized.crop((left, top, left + crop_width, top + crop_height))
    # Pixels beside the box still take part; but Pillow may swap its two passes, with rounding in between.
    x0, x1 = max(left, 0), min(left + crop_width, width)
    y0, y1 = max(top, 0), min(top + crop_height, height)
    across, down = picture.width / width, picture.height / height
    box = (x0 * across, y0 * down, min(x1 * across, picture.width), min(y1 * down, picture.height))
    kept = picture.resize((x1 - x0, y1 - y0), resample, box)
    return kept.crop((left - x0, top - y0, left - x0 + crop_width, top - y0 + crop_height))


def _resized_size(size: tuple[int, int], resize: int | tuple[int, int]) -> tuple[int, int]:
    """(width, height) after resizing."""
    if not isinstance(resize, int):
        return resize[1], resize[0]
    width, height = size
    if width <= height:
        return resize, int(resize * height / width)
    return int(resize * width / height), resize


def _margin(length: int, crop: int) -> int:
    """Where the crop begins; below 0 where it is longer. Rounds as torchvision does, halves to even."""
    return round((length - crop) / 2) if length >= crop else -((crop - length) // 2)
