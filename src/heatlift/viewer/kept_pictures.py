"""Pictures that a run keeps of its images: the originals, and what takes their pixels' place."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from heatlift.errors import HeatliftError, first_line
from heatlift.viewer.confined import LARGEST_TEXT, confined

LARGEST_SIDE = 4096
"""Pixels; no network that a run is about sees more."""

Pixels = NDArray[np.uint8]


def read_picture(run: Path, path: Path) -> Pixels:
    """A picture of the run, (h, w, 3): what is torn, or no picture, is never passed on.

    Raises:
        HeatliftError: there is none, or it is damaged.
    """
    try:
        with confined(run, path, LARGEST_TEXT).open("rb") as file:
            _check_size(file)
            with Image.open(file, formats=("PNG",)) as picture:
                if max(picture.size) > LARGEST_SIDE:  # a second header can follow the first
                    raise ValueError(f"{picture.size[0]} x {picture.size[1]} pixels")
                return np.asarray(picture.convert("RGB"))
    except HeatliftError:
        raise
    except FileNotFoundError as error:
        raise HeatliftError("the run does not keep this picture") from error
    except Exception as error:  # bytes at random fail in more ways than Pillow says
        raise HeatliftError(
            f"{path.relative_to(run)} is damaged ({first_line(error)}): "
            "delete it and start the same run again"
        ) from error


def _check_size(file: IO[bytes]) -> None:
    """Look at a PNG's size before Pillow does, which warns of giants on its own."""
    width, height = struct.unpack(">16x2L", file.read(24))
    file.seek(0)
    if max(width, height) > LARGEST_SIDE:
        raise ValueError(f"{width} x {height} pixels")
