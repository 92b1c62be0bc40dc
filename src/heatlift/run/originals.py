"""Where a run keeps the pixels of images whose heatmaps it keeps, as the network sees them."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path


def original_path(run: Path, image: str) -> Path:
    """The file of an image, by its name in the run: any name, also one that is no valid text."""
    return (
        run / "originals" / f"{blake2b(image.encode(errors='surrogatepass'), digest_size=16).hexdigest()}.png"
    )
