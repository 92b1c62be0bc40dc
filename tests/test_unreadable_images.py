"""What gives no pixels gives a reason, the same for the same trouble, and never another exception."""

from __future__ import annotations

import errno
import io
import os
import warnings
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from heatlift.images import UnreadableImage, decode
from heatlift.types import Framing

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8))


def saved(path: Path, image: Image.Image) -> Path:
    image.save(path)
    return path


def test_reasons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = saved(tmp_path / "whole.jpg", NOISE).read_bytes()
    (tmp_path / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "damaged.png").write_bytes(
        saved(tmp_path / "whole.png", NOISE).read_bytes().replace(b"IDAT", b"IDAT\xff", 1)
    )
    reasons = {
        "truncated.jpg": "truncated",
        "empty.jpg": "empty file",
        "text.jpg": "not an image that Pillow can read",
        "missing.jpg": "file is missing",
        "whole.jpg/beyond.jpg": "file is missing",
        "folder.jpg": "a folder",
        "pipe.jpg": "not a regular file",
        "loop.jpg": "Too many levels of symbolic links",
        "damaged.png": "damaged",
    }
    for name, reason in reasons.items():
        with pytest.raises(UnreadableImage) as caught:
            decode(tmp_path / name, Framing(8, (8, 8)))
        assert str(caught.value) == reason, name

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # the tests may run as root, who may read everything
    with pytest.raises(UnreadableImage, match=r"^permission denied$"):
        decode(tmp_path / "whole.jpg", Framing(8, (8, 8)))


def test_a_disk_that_fails_is_told_from_bytes_that_lead_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "x.png", NOISE)
    for error, reason in [
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (OSError(errno.EINVAL, "Invalid argument"), "damaged"),  # a seek to before the file's beginning
        (OSError("broken data stream when reading image file"), "damaged"),
        (MemoryError(), "too large for the memory"),
    ]:

        def fail(*_: object, error: Exception = error, **__: object) -> None:
            raise error

        monkeypatch.setattr(Image, "open", fail)
        with pytest.raises(UnreadableImage, match=f"^{reason}$"):
            decode(path, Framing(8, (8, 8)))


@pytest.mark.parametrize("action", ["error", "ignore"])
@pytest.mark.parametrize("side", [12, 20])
def test_bombs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: int, action: Literal["error", "ignore"]
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # Pillow warns above 100 pixels and raises above 200
    path = saved(tmp_path / "x.png", Image.new("RGB", (side, side)))
    with warnings.catch_warnings():
        warnings.simplefilter(action)
        with pytest.raises(UnreadableImage, match=r"^too many pixels \(over 100\): a decompression bomb\?$"):
            decode(path, Framing(8, (8, 8)))
    assert Image.MAX_IMAGE_PIXELS == 100
    decode(saved(tmp_path / "small.png", Image.new("RGB", (8, 8))), Framing(8, (8, 8)))


def originals() -> dict[str, bytes]:
    made = {}
    for name in ("JPEG", "PNG"):
        buffer = io.BytesIO()
        NOISE.resize((24, 16)).save(buffer, name)
        made[name] = buffer.getvalue()
    return made


@settings(max_examples=300, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mangled_files_give_an_image_or_a_reason(tmp_path: Path, data: st.DataObject) -> None:
    mangled = bytearray(originals()[data.draw(st.sampled_from(["JPEG", "PNG"]))])
    for _ in range(data.draw(st.integers(0, 4))):
        mangled[data.draw(st.integers(0, len(mangled) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del mangled[data.draw(st.integers(0, len(mangled) - 1)) :]
    path = tmp_path / "x"
    path.write_bytes(mangled)
    try:
        found: torch.Tensor | str = decode(path, Framing(16, (12, 14)))
    except UnreadableImage as error:
        found = str(error)
    if isinstance(found, str):
        assert found in {"truncated", "damaged", "empty file", "not an image that Pillow can read"} or (
            "decompression bomb" in found
        )
    else:
        assert found.dtype == torch.uint8
        assert found.shape == (3, 12, 14)
