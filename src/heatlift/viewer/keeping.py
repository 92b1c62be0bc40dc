"""Which images of a run have heatmaps to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heatlift.viewer.columns import Choice, Heading
from heatlift.viewer.examples import examples
from heatlift.wording import FACTORS


def store(run: Path, kind: str) -> Path:
    """Where a run keeps heatmaps."""
    return run / ("examples" if kind == "audit" else "maps.zarr")


def keeping(kept: npt.NDArray[np.bool_]) -> Choice:
    """The column that says it."""
    heading = Heading("kept", "Heatmaps kept", "whether the image's heatmaps can be looked at")
    return Choice(heading, np.where(kept, 0, 1).astype(np.int32), ("yes", "no"))


def kept_images(
    run: Path, kind: str, names: Sequence[str]
) -> tuple[npt.NDArray[np.bool_], Mapping[str, str]]:
    """For each image whether the run keeps heatmaps of it; and what is damaged, by file."""
    found = np.zeros(len(names), bool)
    if kind == "audit":
        there, damaged = examples(run)
        return np.array([name in there for name in names], bool), damaged
    if not (run / "maps.zarr").is_dir():
        return found, {}
    from heatlift.run.evolutions import Evolutions  # loads zarr, which audits do without

    evolutions = Evolutions(run)
    for prefix in [""] if kind == "lift" else [f"{factor}/" for factor in FACTORS]:
        found |= np.array(evolutions.among(f"{prefix}{name}" for name in names), bool)
    return found, {}
