"""What the page gets of each image in a list."""

from __future__ import annotations

from typing import Any

from heatlift.viewer.columns import Choice, Numbers, figure_text
from heatlift.viewer.images import Images
from heatlift.viewer.thumbnails import Thumbnails
from heatlift.wording import clean


def row(images: Images, position: int, sort: str, thumbnails: Thumbnails) -> dict[str, Any]:
    """One image; ``sort`` is the column whose value is shown beside it."""
    name = clean(images.name(position))
    label, predicted = _word(images, "label", position), _word(images, "predicted", position)
    outcome, reason = _word(images, "outcome", position), _word(images, "reason", position)
    return {
        "id": images.id(position),
        "name": name,
        "title": label or name.rpartition("/")[2],
        "correct": {"correct": True, "wrong": False}.get(_word(images, "correct", position) or ""),
        "status": "ok" if outcome == "ok" else reason or "no status",
        "predicted": predicted,
        "label": label,
        "thumbnail": thumbnails.of(int(images.part[position]), images.name(position)) is not None,
        "kept": _word(images, "kept", position) == "yes",
        "shown": _shown(images, sort, position),
    }


def _word(images: Images, key: str, position: int) -> str | None:
    column = images.columns.get(key)
    return column.title(position) if isinstance(column, Choice) else None


def _shown(images: Images, sort: str, position: int) -> str | None:
    column = images.columns.get(sort)
    if isinstance(column, Numbers):
        return f"{column.heading.title} {figure_text(sort, float(column.values[position]))}"
    return column.title(position) if isinstance(column, Choice) else None
