"""Small pictures of a run's images, read part by part as they are asked for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

from heatlift.errors import HeatliftError
from heatlift.run.tables import part_path
from heatlift.viewer.confined import stamp
from heatlift.viewer.parts import read_part

PARTS = 256
"""Parts held in memory, of some 100 KB each."""

LARGEST = 2**15
"""Bytes of a picture: those that runs write have a tenth of it."""


class Thumbnails:
    """Of one run.

    Attributes:
        problems: what could not be read, by part.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problems: dict[int, str] = {}
        self._parts: OrderedDict[tuple[int, object], Mapping[str, bytes]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, part: int, image: str) -> bytes | None:
        """A WebP picture; None where there is none, or it can't be read."""
        now = stamp(part_path(self.folder, "thumbnails", part))
        if now is None:
            return None
        with self._lock:  # a page asks for a part's pictures all at once
            if (part, now) not in self._parts:
                self._parts[part, now] = self._read(part)
                while len(self._parts) > PARTS:
                    self._parts.popitem(last=False)
            self._parts.move_to_end((part, now))
            return self._parts[part, now].get(image)

    def _read(self, part: int) -> Mapping[str, bytes]:
        try:
            table = read_part(self.folder, "thumbnails", part)
        except HeatliftError as error:  # the page shows names in their place
            self.problems[part] = str(error)
            return {}
        self.problems.pop(part, None)
        pairs = zip(table["image"].to_pylist(), table["thumbnail"].to_pylist(), strict=True)
        return {image: picture for image, picture in pairs if image is not None and _is_webp(picture)}


def _is_webp(picture: bytes | None) -> bool:
    """Whether it is what its type says to a browser, by its first bytes."""
    if picture is None or len(picture) > LARGEST:
        return False
    return picture[:4] == b"RIFF" and picture[8:12] == b"WEBP"
