"""The values that a run's columns have for one image."""

from __future__ import annotations

import numpy as np

from heatlift.viewer.columns import Choice, Numbers
from heatlift.viewer.images import Images


class OfImage:
    """What the columns say of one image."""

    def __init__(self, images: Images, position: int) -> None:
        self.columns, self.part, self._position = images.columns, int(images.part[position]), position

    def word(self, key: str) -> str | None:
        """What a choice says, for display; None where it says nothing or there is no such column."""
        column = self.columns.get(key)
        return column.title(self._position) if isinstance(column, Choice) else None

    def value(self, key: str) -> float | None:
        """A number; None where there is none."""
        column = self.columns.get(key)
        if not isinstance(column, Numbers) or np.isnan(value := column.values[self._position]):
            return None
        return float(value)
