"""Decoding: every kind of image comes out as a person sees it."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from heatlift.images import UnreadableImage, decode
from heatlift.types import Framing

RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)


def pixels(path: Path) -> np.ndarray:
    """The file's pixels (h, w, 3), not resized: ``path`` must be 8 x 8."""
    return decode(path, Framing((8, 8), (8, 8))).permute(1, 2, 0).numpy()


def colour(path: Path) -> list[int]:
    """The one colour of an 8 x 8 file."""
    found = np.unique(pixels(path).reshape(-1, 3), axis=0)
    assert len(found) == 1
    return found[0].tolist()


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def tiff(values: bytes, bits: int, photometric: int) -> bytes:
    """An 8 x 8 little-endian TIFF of one grey strip, written by hand."""
    tags = [
        (256, 8),
        (257, 8),
        (258, bits),
        (259, 1),
        (262, photometric),
        (277, 1),
        (278, 8),
        (279, len(values)),
    ]
    tags = sorted([*tags, (273, 8 + 2 + 12 * (len(tags) + 1) + 4)])
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + values


@pytest.mark.parametrize(
    ("name", "image", "expected"),
    [
        ("grey.png", Image.new("L", (8, 8), 77), (77, 77, 77)),
        ("bit.png", Image.new("1", (8, 8), 1), WHITE),
        ("bit.pbm", Image.new("1", (8, 8), 0), BLACK),
        ("grey-half.png", Image.new("LA", (8, 8), (100, 51)), (224, 224, 224)),  # 100 * 0.2 + 255 * 0.8
        ("clear.png", Image.new("RGBA", (8, 8), (*RED, 0)), WHITE),
        ("half.webp", Image.new("RGBA", (8, 8), (*BLACK, 0)), WHITE),
        ("quarter.png", Image.new("RGBA", (8, 8), (*RED, 51)), (255, 204, 204)),
        ("opaque.png", Image.new("RGBA", (8, 8), (10, 20, 30, 255)), (10, 20, 30)),
        ("red.tif", Image.new("CMYK", (8, 8), (0, 255, 255, 0)), RED),
        ("cyan.tif", Image.new("CMYK", (8, 8), (255, 0, 0, 0)), (0, 255, 255)),
        ("plain.bmp", Image.new("RGB", (8, 8), (1, 2, 3)), (1, 2, 3)),
        ("plain.ppm", Image.new("RGB", (8, 8), (1, 2, 3)), (1, 2, 3)),
        ("plain.gif", Image.new("RGB", (8, 8), GREEN), GREEN),
        ("plain.jp2", Image.new("RGB", (8, 8), (1, 2, 3)), (1, 2, 3)),
    ],
)
def test_colours(tmp_path: Path, name: str, image: Image.Image, expected: tuple[int, int, int]) -> None:
    assert colour(saved(tmp_path / name, image)) == list(expected)


def test_lossy_colours(tmp_path: Path) -> None:
    lossy = {
        "red.jpg": (Image.new("CMYK", (8, 8), (0, 255, 255, 0)), RED),  # written inverted, as Adobe does
        "blue.jpg": (Image.new("RGB", (8, 8), BLUE), BLUE),
        "grey.jpg": (Image.new("L", (8, 8), 60), (60, 60, 60)),
        "green.tif": (Image.new("RGB", (8, 8), GREEN).convert("YCbCr"), GREEN),
        "white.tif": (Image.new("LAB", (8, 8), (255, 128, 128)), WHITE),
        # L* = 53.2, a* = 80.1, b* = 67.2 is sRGB's red (white point D65; D50 shifts it a little).
        "lab.tif": (Image.new("LAB", (8, 8), (round(53.2 * 2.55), 128 + 80, 128 + 67)), RED),
    }
    for name, (image, expected) in lossy.items():
        assert colour(saved(tmp_path / name, image)) == pytest.approx(expected, abs=12), name


def test_palettes(tmp_path: Path) -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([*BLACK, *RED, *BLUE])
    image.paste(2, (0, 0, 4, 8))
    plain = pixels(saved(tmp_path / "plain.png", image))
    assert plain[0, 0].tolist() == list(BLUE)
    assert plain[0, 7].tolist() == list(RED)
    by_index = pixels(saved(tmp_path / "index.gif", image, transparency=2))
    by_alpha = pixels(saved(tmp_path / "alpha.png", image, transparency=bytes([255, 51, 0])))
    assert by_index[0, 0].tolist() == by_alpha[0, 0].tolist() == list(WHITE)
    assert by_index[0, 7].tolist() == list(RED)
    assert by_alpha[0, 7].tolist() == [255, 204, 204]


def test_a_transparent_colour_turns_white(tmp_path: Path) -> None:
    image = Image.new("RGB", (8, 8), GREEN)
    image.paste(RED, (0, 0, 4, 8))
    halves = pixels(saved(tmp_path / "x.png", image, transparency=RED))
    assert halves[0, [0, 7]].tolist() == [list(WHITE), list(GREEN)]
    deep = Image.fromarray(np.where(np.arange(64).reshape(8, 8) % 8 < 4, 1000, 51400).astype(np.uint16))
    halves = pixels(saved(tmp_path / "y.png", deep, transparency=1000))
    assert halves[0, [0, 7]].tolist() == [list(WHITE), [200, 200, 200]]


@pytest.mark.parametrize("name", ["x.png", "x.tif", "x.pgm", "big.tif", "signed.tif"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path, name: str) -> None:
    grey = np.linspace(0, 65535, 64).reshape(8, 8).round().astype(np.uint16)
    grey[0, 1] = 32768
    image = Image.fromarray(grey)
    if name == "big.tif":
        image = Image.frombytes("I;16B", (8, 8), grey.astype(">u2").tobytes())
    elif name == "signed.tif":
        image = Image.fromarray(grey.astype(np.int32))
        assert image.mode == "I"
    found = pixels(saved(tmp_path / name, image))[:, :, 0]
    assert found[0, 1] == pytest.approx(128, abs=1)
    assert (found[0, 0], found[7, 7]) == (0, 255)
    np.testing.assert_allclose(found, grey / 257, atol=0.51)


def test_grey_tiffs_of_twelve_bits_and_with_white_as_zero(tmp_path: Path) -> None:
    # Two 12-bit values fill three bytes: 0xFFF, 0x800 and so on along each row.
    (tmp_path / "12.tif").write_bytes(tiff(bytes([0xFF, 0xF8, 0x00]) * 32, bits=12, photometric=1))
    assert pixels(tmp_path / "12.tif")[0, :2, 0].tolist() == [255, 128]
    (tmp_path / "16.tif").write_bytes(tiff(struct.pack("<HH", 65535, 257 * 55) * 32, bits=16, photometric=0))
    assert pixels(tmp_path / "16.tif")[0, :2, 0].tolist() == [0, 200]


def test_integers_beyond_sixteen_bits_are_refused(tmp_path: Path) -> None:
    for value in (-1, 65536):
        path = saved(tmp_path / "x.tif", Image.new("I", (8, 8), value))
        with pytest.raises(UnreadableImage, match=r"^grey values outside 0 to 65535$"):
            pixels(path)


def test_floats(tmp_path: Path) -> None:
    assert colour(saved(tmp_path / "unit.tif", Image.new("F", (8, 8), 0.2))) == [51, 51, 51]
    assert colour(saved(tmp_path / "byte.tif", Image.new("F", (8, 8), 200.4))) == [200, 200, 200]
    for value in (-0.1, 255.5, float("nan"), float("inf")):
        path = saved(tmp_path / "x.tif", Image.new("F", (8, 8), value))
        with pytest.raises(UnreadableImage, match=r"^float grey values outside 0 to 255$"):
            pixels(path)


# Where the EXIF standard puts the stored top left and top right corner: (row, column).
TOP_LEFT, TOP_RIGHT, BOTTOM_LEFT, BOTTOM_RIGHT = (0, 0), (0, -1), (-1, 0), (-1, -1)
CORNERS = {
    1: (TOP_LEFT, TOP_RIGHT),
    2: (TOP_RIGHT, TOP_LEFT),
    3: (BOTTOM_RIGHT, BOTTOM_LEFT),
    4: (BOTTOM_LEFT, BOTTOM_RIGHT),
    5: (TOP_LEFT, BOTTOM_LEFT),
    6: (TOP_RIGHT, BOTTOM_RIGHT),
    7: (BOTTOM_RIGHT, TOP_RIGHT),
    8: (BOTTOM_LEFT, TOP_LEFT),
}


@pytest.mark.parametrize("orientation", CORNERS)
@pytest.mark.parametrize("ending", ["png", "tif", "webp"])
def test_orientation(tmp_path: Path, ending: str, orientation: int) -> None:
    stored = Image.new("RGB", (40, 20), BLACK)
    stored.paste(RED, (0, 0, 10, 10))
    stored.paste(GREEN, (30, 0, 40, 10))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if ending == "webp" else {}
    path = saved(tmp_path / f"x.{ending}", stored, exif=exif, **options)
    height, width = (20, 40) if orientation < 5 else (40, 20)
    upright = decode(path, Framing(20, (height, width))).permute(1, 2, 0)
    red, green = CORNERS[orientation]
    assert upright[red].tolist() == list(RED)
    assert upright[green].tolist() == list(GREEN)


def test_a_broken_exif_block_leaves_the_picture_as_stored(tmp_path: Path) -> None:
    path = saved(
        tmp_path / "x.jpg", Image.new("L", (8, 8), 60), exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x63\x01\x12"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert colour(path) == [60, 60, 60]


def test_an_animation_shows_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), RED), Image.new("RGB", (8, 8), BLUE)]
    for name in ("x.gif", "x.png"):
        assert colour(saved(tmp_path / name, frames[0], save_all=True, append_images=frames[1:])) == list(RED)


def test_the_content_decides_and_not_the_extension(tmp_path: Path) -> None:
    assert colour(saved(tmp_path / "really-a-png.jpg", Image.new("RGB", (8, 8), RED), format="PNG")) == list(
        RED
    )
    postscript = saved(tmp_path / "really-postscript.jpg", Image.new("RGB", (8, 8), RED), format="EPS")
    with pytest.raises(UnreadableImage, match=r"^not an image that Pillow can read$"):
        colour(postscript)
