"""Small pictures of a run's images, read part by part as they are asked for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path

from heatlift.errors import HeatliftError
from heatlift.run.tables import part_path, read_part
from heatlift.viewer.confined import confined

PARTS = 128
"""Parts held in memory, of some 100 KB each."""


class Thumbnails:
    """Of one run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._parts: OrderedDict[int, dict[str, bytes | None]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, part: int, image: str) -> bytes | None:
        """A WebP picture; None where there is none, or it can't be read."""
        with self._lock:  # a page asks for a part's pictures all at once
            if part not in self._parts:
                self._parts[part] = self._read(part)
                while len(self._parts) > PARTS:
                    self._parts.popitem(last=False)
            self._parts.move_to_end(part)
            return self._parts[part].get(image)

    def _read(self, part: int) -> dict[str, bytes | None]:
        path = part_path(self.folder, "thumbnails", part)
        try:
            if not path.exists():
                return {}
            table = read_part(confined(self.folder, path), "thumbnails")
        except HeatliftError:  # the page shows names in their place
            return {}
        return dict(zip(table["image"].to_pylist(), table["thumbnail"].to_pylist(), strict=True))
