"""The images of a run, each with its address, and the columns that are known of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from heatlift.errors import HeatliftError
from heatlift.viewer.columns import Column, joined

MOST_COLUMNS = 20_000
"""Of a run: an audit of a thousand heatmaps has a quarter of them."""


@dataclass(frozen=True)
class Images:
    """Images of a run in the order in which they were read, as one state of what has been.

    Attributes:
        part: the part of each image, and ``place`` where it is in it: together its id, which stays.
        names: (n,) strings.
        columns: by key.
        positions: by name.
    """

    part: npt.NDArray[np.int64]
    place: npt.NDArray[np.int64]
    names: pa.Array
    columns: Mapping[str, Column] = field(repr=False)
    positions: Mapping[str, int] = field(repr=False)

    def __len__(self) -> int:
        """How many there are."""
        return len(self.names)

    def name(self, position: int) -> str:
        """The name that an image has in the run: any text."""
        return str(self.names[position])

    def id(self, position: int) -> str:
        """How an image is addressed: it has no part in its name or path."""
        return f"{self.part[position]}.{self.place[position]}"

    def position(self, identity: str) -> int:
        """Where an image is, by its id.

        Raises:
            HeatliftError: no such image.
        """
        part, _, place = identity.partition(".")
        if part.isdecimal() and place.isdecimal() and len(identity) < 20:
            found = np.flatnonzero((self.part == int(part)) & (self.place == int(place)))
            if len(found):
                return int(found[0])
        raise HeatliftError("no such image in this run: it may not have been read yet")

    def column(self, key: str) -> Column | None:
        """A column; None for any as long as there is no image at all.

        Raises:
            HeatliftError: there is none of this name.
        """
        if key not in self.columns and len(self):
            raise HeatliftError(f"no column '{key[:80]}' in this run")
        return self.columns.get(key)

    def with_column(self, column: Column) -> Images:
        """The same with one column more, or another in place of the one of its key."""
        return replace(self, columns={**self.columns, column.heading.key: column})

    def extended(self, more: Images) -> Images:
        """These and others after them, whose names are none of these.

        Raises:
            ValueError: together they would have more columns than any run.
        """
        columns = joined([self.columns, more.columns], [len(self), len(more)])
        if len(columns) > MOST_COLUMNS:
            raise ValueError(f"{len(columns):,} columns, more than any run has")
        after = {name: len(self) + place for name, place in more.positions.items()}
        return Images(
            np.concatenate([self.part, more.part]),
            np.concatenate([self.place, more.place]),
            pa.concat_arrays([self.names, more.names]),
            columns,
            {**self.positions, **after},
        )


NONE = Images(np.zeros(0, np.int64), np.zeros(0, np.int64), pa.array([], pa.string()), {}, {})
