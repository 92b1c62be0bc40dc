"""What became of each image of a lift, and how its score rose: the tables as records."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from heatlift.report.distributions import Kind, kind_of
from heatlift.run.tables import parts, read_table


@dataclass(frozen=True)
class Outcome:
    """A row of the table ``lift``; what is not known is None."""

    image: str
    label: int | None
    target: int | None
    steps: int | None
    reached: bool | None
    co: float | None
    co_clipped: float | None
    p_before: float | None
    p_after: float | None
    predicted_before: int | None
    predicted_after: int | None
    p_verify_before: float | None
    p_verify_after: float | None

    @property
    def ok(self) -> bool:
        """Whether the image has figures; one that was not lifted has none."""
        return self.co is not None

    @property
    def kind(self) -> Kind:
        """How the image was predicted before; ``all`` where nobody knows what is right."""
        return kind_of(self.label, self.predicted_before)


def read_outcomes(run: Path) -> list[Outcome]:
    """One record per image, in the order of the run.

    Raises:
        HeatliftError: the table is missing or damaged.
    """
    names = [field.name for field in fields(Outcome)]
    return [Outcome(**row) for row in read_table(run, "lift", names).to_pylist()]


def read_scores(run: Path, images: Collection[str]) -> Mapping[str, Mapping[int, float]]:
    """The CO score after each step that these images had; an image without any is left out.

    Raises:
        HeatliftError: the table is damaged.
    """
    if not parts(run, "evolutions"):
        return {}
    table = read_table(run, "evolutions", ["image", "step", "co"])
    chosen = table.filter(pc.is_in(table["image"], value_set=pa.array(sorted(images), pa.string())))
    found: dict[str, dict[int, float]] = {}
    for row in chosen.sort_by([("image", "ascending"), ("step", "ascending")]).to_pylist():
        if row["co"] is not None and math.isfinite(row["co"]):
            found.setdefault(row["image"], {})[row["step"]] = row["co"]
    return found
