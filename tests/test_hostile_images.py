"""Files that are no good pictures, from the command line: a failed row each, and nothing else suffers."""

from __future__ import annotations

import io
import os
import shutil
import socket
import struct
import tempfile
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from heatlift.cli import run
from heatlift.data import find_images
from heatlift.errors import HeatliftError
from heatlift.images import FORMATS, UnreadableImage, decode
from heatlift.run.tables import read_table
from heatlift.types import Framing
from pictures import picture

TOO_MANY = "too many pixels (over 89478485): a decompression bomb?"


def saved(image: Image.Image, kind: str, **options: Any) -> bytearray:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return bytearray(buffer.getvalue())


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, data: bytes) -> bytes:
    """A PNG of one bit a pixel."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def changed(content: bytearray, places: dict[int, bytes]) -> bytes:
    for place, new in places.items():
        content[place : place + len(new)] = new
    return bytes(content)


def bombs() -> dict[str, bytes]:
    """Small files that say they are huge."""
    plain = Image.new("RGB", (16, 16), "red")
    other = Image.new("RGB", (16, 16), "blue")
    animated = {"save_all": True, "append_images": [other], "lossless": True}
    webp, large = saved(plain, "WEBP", **animated), (65534).to_bytes(3, "little")
    gif, jpeg, jp2, tiff = (saved(plain, kind) for kind in ("GIF", "JPEG", "JPEG2000", "TIFF"))
    codestream, box = struct.pack(">II", 100_000, 100_000), jp2.index(b"ihdr")
    sizes = {jp2.index(b"\xff\x51") + 6: codestream, box + 4: codestream}
    first = struct.unpack_from("<I", tiff, 4)[0] + 2
    entries = range(first, first + 12 * struct.unpack_from("<H", tiff, first - 2)[0], 12)
    wide = {
        place: struct.pack("<HHII", tag, 4, 1, 2**31 - 1)
        for place in entries
        if (tag := struct.unpack_from("<H", tiff, place)[0]) in (256, 257)
    }
    canvas = webp.index(b"VP8X") + 12
    return {
        "largest.png": png(2**31 - 1, 2**31 - 1, zlib.compress(bytes(1000))),
        # Every one of its pixels is there.
        "whole.png": png(20_000, 20_000, zlib.compress(bytes(20_000 * 2_501), 1)),
        "canvas.webp": changed(webp, {canvas: large, canvas + 3: large}),
        "screen.gif": changed(gif[:], {6: b"\xff" * 4}),
        "frame.gif": changed(gif[:], {gif.index(b"\x2c") + 5: b"\xff" * 4}),
        "x.jpg": changed(jpeg, {jpeg.index(b"\xff\xc0") + 5: b"\xff" * 4}),
        "x.jp2": changed(jp2, sizes),
        "x.tif": changed(tiff, wide),
        "x.bmp": changed(saved(plain, "BMP"), {18: struct.pack("<ii", 2**30, 2**30)}),
        "x.ppm": b"P6 100000 100000 255\n",
    }


def audited(data: Path, out: Path) -> dict[str, str]:
    """The status of every image by its name, from a whole audit."""
    command = ["audit", str(data), "--model", "networks:small", "--out", str(out)]
    assert run([*command, "--methods", "saliency", "--operations", "add", "--controls", "none"]) == 0
    rows = read_table(out, "predictions").to_pylist()
    found = {row["image"]: row["status"] for row in rows}
    assert len(found) == len(rows)
    for row in read_table(out, "scores").to_pylist():
        assert row["status"] == found[row["image"]]
        assert (row["co_predicted"] is None) == (row["status"] != "ok")
    return found


def test_bombs_are_refused_by_what_they_say_of_themselves(tmp_path: Path) -> None:
    picture(1).save(tmp_path / "sound.png")
    for name, content in bombs().items():
        assert len(content) < 250_000
        (tmp_path / name).write_bytes(content)
    before = getrusage(RUSAGE_SELF).ru_maxrss
    for name in bombs():
        with pytest.raises(UnreadableImage, match=r"^too many pixels"):
            decode(tmp_path / name, Framing(8, (8, 8)))
    assert getrusage(RUSAGE_SELF).ru_maxrss - before < 200_000  # kilobytes; the smallest would be 1.6 GB
    expected = dict.fromkeys(bombs(), f"unreadable: {TOO_MANY}")
    assert audited(tmp_path, tmp_path / "run") == {"sound.png": "ok"} | expected


def test_everything_that_can_lie_in_a_folder(tmp_path: Path) -> None:
    """Also what would be waited for, or never end."""
    data, noise = tmp_path / "data", picture(1, 60)
    data.mkdir()
    files: dict[str, tuple[bytes, str]] = {
        "sound.png": (saved(noise, "PNG"), "ok"),
        "png named.jpg": (saved(noise, "PNG"), "ok"),
        "text named.png": (b"words", "unreadable: not an image that Pillow can read"),
        "page.png": (
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            "unreadable: not an image that Pillow can read",
        ),
        "postscript.png": (saved(noise, "EPS"), "unreadable: not an image that Pillow can read"),
        "empty.png": (b"", "unreadable: empty file"),
        "cut.jpg": (saved(noise, "JPEG")[:900], "unreadable: truncated"),
        "header.png": (saved(noise, "PNG")[:40], "unreadable: not an image that Pillow can read"),
        "animated.gif": (saved(noise, "GIF", save_all=True, append_images=[noise.rotate(90)]), "ok"),
        "animated.webp": (saved(noise, "WEBP", save_all=True, append_images=[noise.rotate(90)]), "ok"),
        "deep.png": (saved(Image.fromarray(np.full((40, 40), 40_000, np.uint16)), "PNG"), "ok"),
        "print.jpg": (saved(noise.convert("CMYK"), "JPEG"), "ok"),
        "line.png": (saved(Image.new("L", (1, 60_000), 99), "PNG"), "ok"),
        "dot.png": (saved(Image.new("L", (1, 1), 99), "PNG"), "ok"),
    }
    for name, (content, _) in files.items():
        (data / name).write_bytes(content)
    links = {
        "broken.png": "nowhere",
        "loop.png": "loop.png",
        "zero.png": "/dev/zero",
        "back.png": "sound.png",
    }
    for name, target in links.items():
        (data / name).symlink_to(target)
    (data / "back").symlink_to(data)
    os.mkfifo(data / "pipe.png")
    with socket.socket(socket.AF_UNIX) as listener, here(data):
        listener.bind("socket.png")
        done: list[dict[str, str]] = []
        work = threading.Thread(target=lambda: done.append(audited(data, tmp_path / "run")), daemon=True)
        work.start()
        work.join(60)
    assert done, "it waits for something"
    assert done[0] == {name: status for name, (_, status) in files.items()} | {
        "broken.png": "unreadable: file is missing",
        "loop.png": "unreadable: Too many levels of symbolic links",
        "zero.png": "unreadable: not a regular file",
        "back.png": "ok",
        "pipe.png": "unreadable: not a regular file",
        "socket.png": "unreadable: not a regular file",
    }


@contextmanager
def here(folder: Path) -> Iterator[None]:
    """A socket's whole path may be too long for it."""
    before = os.open(".", os.O_RDONLY)
    os.chdir(folder)
    try:
        yield
    finally:
        os.fchdir(before)
        os.close(before)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without the rights of the administrator, who may read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_files_and_folders_that_may_not_be_read() -> None:
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # its parents are open to everybody
    try:
        folder.chmod(0o755)
        (folder / "a").mkdir()
        picture(1).save(folder / "a" / "open.png")
        picture(1).save(folder / "a" / "closed.png")
        decode(folder / "a" / "open.png", Framing(8, (8, 8)))  # imports what it needs
        (folder / "a" / "closed.png").chmod(0)
        with as_nobody():
            decode(folder / "a" / "open.png", Framing(8, (8, 8)))
            with pytest.raises(UnreadableImage, match=r"^permission denied$"):
                decode(folder / "a" / "closed.png", Framing(8, (8, 8)))
            assert len(find_images(folder, 1, None).fingerprint()) == 3
        (folder / "a").chmod(0)
        with as_nobody(), pytest.raises(HeatliftError) as caught:
            find_images(folder, 1, None)
        assert str(caught.value) == f"cannot list {folder / 'a'}: Permission denied"
    finally:
        (folder / "a").chmod(0o755)
        shutil.rmtree(folder)


MODES = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "BMP": ("1", "L", "P", "RGB", "RGBA"),
    "GIF": ("1", "L", "P", "RGB"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"),
    "PPM": ("1", "L", "RGB", "I;16"),
    "JPEG": ("L", "RGB", "CMYK"),
    "WEBP": ("RGB", "RGBA"),
    "JPEG2000": ("L", "LA", "RGB", "RGBA"),
    "AVIF": ("RGB", "RGBA"),
}


def test_every_format_is_among_them() -> None:
    assert set(MODES) == set(FORMATS)


def seen(path: Path) -> Image.Image:
    """The picture as RGB by Pillow's own ways: upright, over white, 16 bits as their upper 8."""
    # Not by its path: a TIFF that Pillow maps into memory it leaves as stored.
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        image.load()  # which turns a TIFF upright
        upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):
        return Image.fromarray(np.rint(np.asarray(upright) / 257).astype(np.uint8)).convert("RGB")
    if upright.mode == "F":
        return Image.fromarray(np.rint(np.asarray(upright) * 255).astype(np.uint8)).convert("RGB")
    if upright.has_transparency_data:
        layer = upright.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return upright.convert("RGB")


def as_mode(colours: np.ndarray, mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(colours[:, :, 0].astype(np.uint16) * 257)
    if mode == "F":
        return Image.fromarray(colours[:, :, 0].astype(np.float32) / 255)
    return Image.fromarray(colours, "RGBA" if colours.shape[2] == 4 else "RGB").convert(mode)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), kind=st.sampled_from(FORMATS), orientation=st.integers(0, 9), seed=st.integers(0, 999))
def test_any_small_picture_is_what_pillow_shows(
    tmp_path: Path, data: st.DataObject, kind: str, orientation: int, seed: int
) -> None:
    width, height = data.draw(st.integers(1, 20)), data.draw(st.integers(1, 20))
    mode = data.draw(st.sampled_from(MODES[kind]))
    size = (height, width, 4 if mode in ("LA", "RGBA") else 3)
    image = as_mode(np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8), mode)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = (
        {"exif": exif} if kind in ("PNG", "TIFF", "JPEG", "WEBP") and orientation else {}
    )
    path = tmp_path / "x.png"
    try:
        path.write_bytes(saved(image, kind, **options))
    except (OSError, ValueError, SystemError):
        return  # Pillow does not write it
    shown = seen(path)
    found = decode(path, Framing((shown.height, shown.width), (shown.height, shown.width)))
    assert found.shape == (3, shown.height, shown.width)
    expected = np.moveaxis(np.asarray(shown, dtype=np.int16), -1, 0)
    # Two ways of laying a picture over white round differently.
    assert np.abs(found.numpy().astype(np.int16) - expected).max() <= (1 if "A" in mode else 0)
