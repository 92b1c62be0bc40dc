"""Random streams that belong to an image: the same in whatever batch, order or process it is met."""

from __future__ import annotations

from hashlib import blake2b

from torch import Tensor


def image_seed(seed: int, name: str, purpose: str) -> int:
    """A seed for one image's random stream; ``purpose`` keeps streams of one image apart."""
    digest = blake2b(f"{seed}/{purpose}/{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def digest(image: Tensor) -> str:
    """An image's pixels (3, h, w) in a few letters, by which its streams are keyed where it has no name."""
    pixels = image.detach().to("cpu").float().contiguous().numpy()
    return blake2b(pixels.tobytes(), digest_size=16).hexdigest()
