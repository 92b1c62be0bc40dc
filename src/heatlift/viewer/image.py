"""One image of a run, with all that the run knows of it: what the page gets to show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from heatlift.errors import HeatliftError
from heatlift.panel.details import Details, Fact, Layer, Table
from heatlift.viewer.audit_columns import FIGURES, SIGNALS
from heatlift.viewer.catalogue import Catalogue
from heatlift.viewer.columns import figure_text, keyed
from heatlift.viewer.heatmaps import Explained, Floats, Kept, Lifted, Masked
from heatlift.viewer.images import Images
from heatlift.viewer.kept_pictures import Pixels
from heatlift.viewer.layers import layer
from heatlift.viewer.of_image import OfImage
from heatlift.viewer.optimised_columns import LIFT_FIGURES, MASK_FIGURES
from heatlift.wording import FACTORS, NOTHING, clean, number


class Keeper(Protocol):
    """What a run keeps of its images."""

    def __init__(self, run: Path) -> None: ...
    def layers(self, image: str) -> list[Kept]: ...
    def frame(self, image: str, layer: int, frame: int) -> Floats: ...
    def original(self, image: str) -> Pixels: ...


def keeper(catalogue: Catalogue) -> Keeper:
    """What a run of any kind keeps."""
    kinds: Mapping[str, type[Keeper]] = {"audit": Explained, "lift": Lifted, "undesirable": Masked}
    return kinds[catalogue.kind](catalogue.folder)


def details(catalogue: Catalogue, images: Images, position: int) -> Details:
    """Everything about one image but its pixels."""
    name, said, keep = images.name(position), OfImage(images, position), keeper(catalogue)
    kept = keep.layers(name)
    problems: list[str] = []
    original = _tried(lambda: keep.original(name), problems) if kept else None
    # Runs of earlier versions keep no reference; their masks are shown without what they lead to.
    reference = _tried(lambda: keep.reference(name), []) if kept and isinstance(keep, Masked) else None
    size = None if original is None else original.shape[:2]
    layers: list[Layer] = []
    for place, one in enumerate(kept):
        channels, problem = 1, one.problem
        if problem is None:
            try:
                channels, *its_size = keep.frame(name, place, one.own).shape
                # The film's ends as well: the result is kept apart from it.
                for frame in {0, len(one.steps) - 1, max(0, len(one.steps) - 2)} - {one.own}:
                    keep.frame(name, place, frame)
                size = size or (its_size[0], its_size[1])
                if tuple(its_size) != size:
                    problem = f"the heatmap has {_pixels(its_size)}, its image {_pixels(size)}"
            except HeatliftError as error:
                problem = str(error)
        layers.append(layer(catalogue, said, name, replace(one, problem=problem), channels, problems))
    if reference is not None and size is not None and reference.shape[:2] != size:
        problems.append(f"what is blurred away has {_pixels(reference.shape)}, the image {_pixels(size)}")
        reference = None
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
        thumbnail=catalogue.thumbnails.of(said.part, name) is not None,
        original=original is not None,
        size=None if size is None else (size[1], size[0]),
        reference=reference is not None,
        layers=layers,
        problems=list(dict.fromkeys([*problems, *(each.problem for each in layers if each.problem)])),
        id=images.id(position),
    )


def _pixels(shape: Sequence[int]) -> str:
    return f"{shape[1]} x {shape[0]} pixels"


def _tried(read: Callable[[], Pixels], problems: list[str]) -> Pixels | None:
    try:
        return read()
    except HeatliftError as error:
        problems.append(str(error))
        return None


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
        return _figures(said, "What the heatmap does", LIFT_FIGURES, {"": "Value"})
    if kind == "undesirable":
        factors = {
            factor: name for factor, name in FACTORS.items() if said.value(f"{factor}:phi") is not None
        }
        return _figures(said, "What each mask does", MASK_FIGURES, factors)
    signals = _figures(said, "What the classifier says", SIGNALS, {"": "Value"})
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


def _figures(
    said: OfImage, title: str, figures: Mapping[str, tuple[str, str]], groups: Mapping[str, str]
) -> list[Table]:
    """A row for each figure that is known of any group, and what it means; none where there is no figure."""
    rows = []
    for key, (name, words) in figures.items():
        values = [said.value(keyed(group, key)) for group in groups]
        if any(value is not None for value in values):
            rows.append([name, *(figure_text(key, value) for value in values), words])
    return [Table(title, ["Figure", *groups.values(), "Meaning"], rows)] if rows else []
