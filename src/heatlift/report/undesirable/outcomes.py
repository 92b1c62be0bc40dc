"""What blurring its undesirable pixels did to each image: the table as records."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import pyarrow.compute as pc

from heatlift.report.distributions import Kind, kind_of
from heatlift.run.tables import read_table


@dataclass(frozen=True)
class Outcome:
    """A row of the table ``undesirable`` that has figures; what is not known is None."""

    image: str
    label: int | None
    target: int | None
    factor: str
    p_before: float
    p_after: float
    phi: float | None
    area: float | None
    max_magnitude: float | None
    predicted_before: int | None
    predicted_after: int | None
    p_verify_before: float | None
    p_verify_after: float | None

    @property
    def gain(self) -> float:
        """The change of the target's probability."""
        return self.p_after - self.p_before

    @property
    def kind(self) -> Kind:
        """How the image was predicted before; ``all`` where nobody knows what is right."""
        return kind_of(self.label, self.predicted_before)

    @property
    def turned(self) -> str:
        """``right`` or ``wrong`` where the mask changed which of the two the prediction is, else nothing."""
        after = kind_of(self.label, self.predicted_after)
        if after == self.kind:
            return ""
        return "right" if after == "correct" else "wrong"


def read_outcomes(run: Path) -> list[Outcome]:
    """One record per image and factor, of the first trial; images that failed have none.

    Raises:
        HeatliftError: the table is missing or damaged.
    """
    names = [field.name for field in fields(Outcome)]
    table = read_table(run, "undesirable", [*names, "trial"])
    first = table.filter(pc.and_(pc.equal(table["trial"], 0), pc.is_valid(table["factor"])))
    rows = first.select(names).to_pylist()
    return [Outcome(**row) for row in rows if row["p_before"] is not None and row["p_after"] is not None]
