"""Valid files from which `fuzz.py` begins: small ones, of every format and most of its variants."""

from __future__ import annotations

import io
import json
import pickle
import random
import struct
from pathlib import Path
from typing import Any

from PIL import Image


def made(kind: str, marker: Path) -> list[tuple[str, bytes]]:
    """Endings and contents of valid files of a kind; code in one of them would make the file ``marker``."""
    makers = {"images": images, "manifests": manifests, "weights": lambda: weights(marker)}
    found: list[tuple[str, bytes]] = makers[kind]()
    return found


def images() -> list[tuple[str, bytes]]:
    """Pictures of every format that is decoded, in most of its modes."""
    chance = random.Random(0)
    noise = Image.frombytes("RGB", (24, 20), chance.randbytes(24 * 20 * 3))
    other, smooth = noise.transpose(Image.Transpose.ROTATE_180), noise.resize((9, 7)).resize((40, 33))
    alpha = noise.copy()
    alpha.putalpha(noise.getchannel("R"))
    deep = Image.frombytes("I;16", (24, 20), chance.randbytes(24 * 20 * 2))
    exif = Image.Exif()
    exif[0x0112] = 6
    animated: dict[str, Any] = {"save_all": True, "append_images": [other], "duration": 40}
    wanted: list[tuple[Image.Image, str, dict[str, Any]]] = [
        (noise, "JPEG", {"exif": exif}),
        (smooth, "JPEG", {"progressive": True, "quality": 30}),
        (noise.convert("L"), "JPEG", {"restart_marker_blocks": 1}),
        (noise.convert("CMYK"), "JPEG", {}),
        (noise, "PNG", {"exif": exif}),
        (alpha, "PNG", {}),
        (noise.quantize(7), "PNG", {"transparency": 3}),
        (noise.convert("1"), "PNG", {}),
        (deep, "PNG", {"transparency": 99}),
        (noise, "PNG", animated),
        (noise, "WEBP", {"exif": exif}),
        (alpha, "WEBP", {"lossless": True}),
        (alpha, "WEBP", animated),
        (noise, "GIF", {}),
        (noise.quantize(5), "GIF", animated | {"transparency": 0, "disposal": 2}),
        (noise, "BMP", {}),
        (noise.quantize(9), "BMP", {}),
        (alpha, "BMP", {}),
        (noise, "TIFF", {"exif": exif}),
        (noise, "TIFF", {"compression": "tiff_lzw"}),
        (alpha, "TIFF", {"compression": "tiff_adobe_deflate"}),
        (noise, "TIFF", {"compression": "jpeg"}),
        (noise.convert("1"), "TIFF", {"compression": "group4"}),
        (noise.convert("L"), "TIFF", {"compression": "packbits"}),
        (noise.convert("F"), "TIFF", {}),
        (deep, "TIFF", {"compression": "tiff_deflate"}),
        (noise, "TIFF", {"compression": "zstd", "big_tiff": True}),
        (noise.convert("LAB"), "TIFF", {}),
        (noise, "PPM", {}),
        (noise.convert("1"), "PPM", {}),
        (deep, "PPM", {}),
        (noise.convert("F"), "PPM", {}),
        (noise, "JPEG2000", {}),
        (alpha, "JPEG2000", {"irreversible": True, "quality_layers": [20]}),
        (noise.convert("L"), "JPEG2000", {"no_jp2": True, "tile_size": (8, 8)}),
        (noise, "AVIF", {"exif": exif}),
        (alpha, "AVIF", animated | {"append_images": [alpha.transpose(Image.Transpose.ROTATE_180)]}),
    ]
    plain = b"P3\n# in words\n4 3\n255\n" + b" ".join(b"%d" % chance.randrange(256) for _ in range(36))
    files = [_saved(image, name, options) for image, name, options in wanted]
    return [(".png", content) for content in (*files, plain, _heic())]


def _saved(image: Image.Image, name: str, options: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def _heic() -> bytes:
    """The beginning of a phone's photograph, for which there is no decoder."""
    return struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic" + bytes(40)


def manifests() -> list[tuple[str, bytes]]:
    """Tables as people write them, and as Parquet has them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    paths = ["a.png", "b/c.jpg", "é ü.png", "d, e.gif", "f.webp"]
    lines = ["path,label,note", *(f'"{path}",{i % 3},"a ""word"""' for i, path in enumerate(paths))]
    texts = [
        "\n".join(lines),
        "\r\n".join(lines),
        "\r".join(lines),
        "Label , path\ndog,a.png\n,b.png\n3.0,c\n",
    ]
    found = [
        (".csv", text.encode(encoding)) for text in texts for encoding in ("utf-8", "utf-8-sig", "utf-16")
    ]
    columns = (
        pa.array([0, 1, None, 2, 0]),
        pa.array([0.0, 1.0, float("nan"), 2.0, 0.0]),
        pa.array(["cat", "dog", None, "", "owl"]).dictionary_encode(),
        pa.array([[0], [1, 2], None, [], [0]]),
    )
    for label in columns:
        for compression in ("none", "snappy", "zstd", "gzip"):
            buffer = io.BytesIO()
            table = pa.table({"path": paths, "label": label, "more": [b"x"] * 5})
            pq.write_table(table, buffer, compression=compression, row_group_size=3)
            found.append((".parquet", buffer.getvalue()))
    return found


def weights(marker: Path) -> list[tuple[str, bytes]]:
    """A small layer's weights in every container, and some with a call in them."""
    import torch
    from safetensors.torch import save

    torch.manual_seed(0)
    layer = torch.nn.Linear(5, 7)
    state = dict(layer.state_dict())
    header = json.dumps({"weight": {"dtype": "F32", "shape": [7, 5], "data_offsets": [0, 140]}}).encode()
    found = [
        (".safetensors", save(state)),
        (".safetensors", save({name: tensor.half() for name, tensor in state.items()})),
        (".safetensors", struct.pack("<Q", len(header)) + header + bytes(140)),
    ]
    for content in (state, {"state_dict": state, "epoch": 3}, {"model": {**state, "call": Call(marker)}}):
        for new in (True, False):
            buffer = io.BytesIO()
            torch.save(content, buffer, _use_new_zipfile_serialization=new)
            found.append((".pt", buffer.getvalue()))
    return [*found, (".pth", pickle.dumps(Call(marker)))]


class Call:
    """Makes a file where it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, (f"open({str(self.marker)!r}, 'w').close()",)
