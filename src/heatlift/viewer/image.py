"""One image of a run, with all that the run knows of it: what the page gets to show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from heatlift.errors import HeatliftError
from heatlift.panel.details import Details, Fact, Layer, Table
from heatlift.report.wording import NOTHING, clean, number
from heatlift.viewer.audit_columns import FIGURES, SIGNALS
from heatlift.viewer.catalogue import Catalogue, Images
from heatlift.viewer.heatmaps import Explained, Floats, Kept, Lifted, Masked, Pixels
from heatlift.viewer.keeping import FACTORS
from heatlift.viewer.layers import layer
from heatlift.viewer.of_image import OfImage
from heatlift.viewer.optimised_columns import LIFT_FIGURES, MASK_FIGURES


class Keeper(Protocol):
    """What a run keeps of its images."""

    def __init__(self, run: Path) -> None: ...
    def layers(self, image: str) -> list[Kept | HeatliftError]: ...
    def frame(self, image: str, layer: int, frame: int) -> Floats: ...
    def original(self, image: str) -> Pixels: ...


def keeper(catalogue: Catalogue) -> Keeper:
    """What a run of any kind keeps."""
    kinds: Mapping[str, type[Keeper]] = {"audit": Explained, "lift": Lifted, "undesirable": Masked}
    return kinds[catalogue.kind](catalogue.folder)


def details(catalogue: Catalogue, images: Images, position: int) -> Details:
    """Everything about one image but its pixels."""
    name = str(images.names[position])
    said = OfImage(images, position)
    keep = keeper(catalogue)
    problems: list[str] = []
    original = reference = None
    layers: list[Layer] = []
    for place, kept in enumerate(keep.layers(name)):
        if isinstance(kept, HeatliftError):
            problems.append(str(kept))
            continue
        try:
            layers.append(layer(catalogue, said, name, kept, keep.frame(name, place, kept.own)))
        except HeatliftError as error:
            problems.append(str(error))
            layers.append(layer(catalogue, said, name, kept, np.zeros((1, 1, 1), np.float32), str(error)))
    if layers:
        original = _tried(lambda: keep.original(name), problems)
    if layers and isinstance(keep, Masked):
        # Runs of earlier versions do not keep it; their masks are shown without what they lead to.
        reference = _tried(lambda: keep.reference(name), [])
    if reference is None and isinstance(keep, Masked):
        layers = [replace(layer, operation=None) for layer in layers]
    correct = said.word("correct")
    return Details(
        name=name,
        title=said.word("label") or name,
        status="ok" if said.word("outcome") == "ok" else said.word("reason") or "",
        correct={"correct": True, "wrong": False}.get(correct or ""),
        facts=[Fact(title, text) for title, text in _facts(catalogue.kind, said)],
        tables=_tables(catalogue.kind, said),
        thumbnail=True,
        original=original is not None,
        size=None if original is None else (original.shape[1], original.shape[0]),
        reference=reference is not None,
        layers=layers,
        problems=problems,
        id=images.id(position),
        previous=images.id(position - 1) if position else None,
    )


def _tried(read: Any, problems: list[str]) -> Pixels | None:
    try:
        found: Pixels = read()
    except HeatliftError as error:
        problems.append(str(error))
        return None
    return found


def _facts(kind: str, said: OfImage) -> list[tuple[str, str]]:
    """What matters most, in a few words each."""
    confidence, sure = said.value("confidence"), ""
    if kind == "audit" and confidence is not None:
        sure = f", {number(confidence)}"
    predicted = said.word("predicted")
    before = "Predicted" if kind == "audit" else "Predicted, before"
    found: list[tuple[str, str | None]] = [
        ("Label", said.word("label")),
        (before, predicted and f"{predicted}{sure}"),
        ("Predicted, after", said.word("predicted_after")),
        ("Target", said.word("target")),
        ("Reached", said.word("reached")),
        ("Helped most", said.word("helped")),
    ]
    return [(title, text) for title, text in found if text]


def _tables(kind: str, said: OfImage) -> list[Table]:
    if kind == "lift":
        return _one_table(said, "What the heatmap does", LIFT_FIGURES, "")
    if kind == "undesirable":
        factors = [factor for factor in FACTORS if f"{factor}:phi" in said.columns]
        titles = [title for title, _ in MASK_FIGURES.values()]
        rows = [
            [FACTORS[factor], *(number(said.value(f"{factor}:{key}")) for key in MASK_FIGURES)]
            for factor in factors
            if said.value(f"{factor}:phi") is not None
        ]
        return [Table("What each mask does", ["Factor", *titles], rows)] if rows else []
    signals = _one_table(said, "What the classifier says", SIGNALS, "")
    pairs = dict.fromkeys(column.heading.group for column in said.columns.values() if column.heading.method)
    rows = [
        [
            clean(pair),
            *(number(said.value(f"{pair}:{key}")) for key in FIGURES),
            said.word(f"{pair}:became") or NOTHING,
        ]
        for pair in pairs
    ]
    rows = [row for row in rows if any(cell != NOTHING for cell in row[1:])]
    titles = ["Heatmap", *(title for title, _ in FIGURES.values()), "The prediction"]
    return [*([Table("What each heatmap does", titles, rows)] if rows else []), *signals]


def _one_table(said: OfImage, title: str, figures: Mapping[str, tuple[str, str]], group: str) -> list[Table]:
    rows = [
        [name, number(value), words]
        for key, (name, words) in figures.items()
        if (value := said.value(f"{group}:{key}" if group else key)) is not None
    ]
    return [Table(title, ["Figure", "Value", "Meaning"], rows)] if rows else []
