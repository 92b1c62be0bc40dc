"""A heatmap of an image in words and figures: what it is, how it is read, what is known of each step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow.compute as pc

from heatlift.errors import HeatliftError
from heatlift.panel.details import Figures, Layer, Second
from heatlift.viewer.catalogue import Catalogue
from heatlift.viewer.columns import finite, named
from heatlift.viewer.heatmaps import Kept
from heatlift.viewer.keeping import FACTORS
from heatlift.viewer.of_image import OfImage
from heatlift.viewer.parts import read_part
from heatlift.wording import clean, number


def layer(
    catalogue: Catalogue, said: OfImage, name: str, kept: Kept, channels: int, problems: list[str]
) -> Layer:
    """What is told of a heatmap; what is damaged of that is added to the problems."""
    problem = kept.problem
    if catalogue.kind == "audit":
        title = kept.title
        what = (
            "Red raises and blue lowers the class that was explained, as this method has it; "
            "colours end at the same value on both sides of zero."
        )
        return Layer(title, what, "signed", None, channels, 0, kept.steps, kept.own, problem=problem)
    shared: dict[str, Any] = {
        "target": said.word("target") or "",
        "label": said.word("label"),
        "problem": problem,
    }
    if catalogue.kind == "lift":
        method, operation = said.word("method") or "gax", said.word("operation") or "add"
        multiplied = operation == "multiply"
        steps = said.value("steps")
        own = kept.steps.index(int(steps)) if steps is not None and int(steps) in kept.steps else kept.own
        reached = {"yes": "reached", "no": "not reached"}.get(said.word("reached") or "", "result")
        aim = f" CO {number(finite(catalogue.section('config').get('target_co')))}" if method == "gax" else ""
        what = (
            "What a pixel is multiplied by: red brightens, blue darkens, white leaves it as it is."
            if multiplied
            else "What is added to the pixels: red brightens, blue darkens, white leaves them as they are."
        )
        return Layer(
            {"gax": "GAX heatmap", "spotlight": "Spotlight"}.get(method, clean(method)),
            what,
            "signed",
            "multiply" if multiplied else "add",
            channels,
            1 if multiplied else 0,
            kept.steps,
            own,
            f"{reached}{aim} here" if reached != "result" else "the result",
            figures=_figures(catalogue, said.part, name, None, problems),
            second=_second(catalogue, said, ""),
            **shared,
        )
    factor = kept.title
    return Layer(
        f"Undesirable pixels, {FACTORS.get(factor, factor)}",
        "How much of a pixel is blurred away, from nothing (blank) to all of it (dark).",
        "taken",
        "blur",
        channels,
        0,
        kept.steps,
        kept.own,
        "the last step on record",
        figures=_figures(catalogue, said.part, name, factor, problems),
        second=_second(catalogue, said, factor),
        **shared,
    )


def _second(catalogue: Catalogue, said: OfImage, group: str) -> Second | None:
    """What the network says that took no part, where there was one."""
    verify = catalogue.section("verify")
    key = f"{group}:" if group else ""
    before, after = said.word(f"{key}predicted_verify_before"), said.word(f"{key}predicted_verify_after")
    if not verify or before is None or after is None:
        return None
    gain = said.value(f"{key}p_verify_gain")
    start = said.value(f"{key}p_verify_before")
    end = None if start is None or gain is None else start + gain
    return Second(clean(verify.get("name")), number(start), number(end), before, after)


def _figures(
    catalogue: Catalogue, part: int, name: str, factor: str | None, problems: list[str]
) -> Figures | None:
    """What is on record of each step of one image."""
    try:
        table = read_part(catalogue.folder, "evolutions", part)
    except HeatliftError as error:
        problems.append(str(error))
        return None
    rows = table.filter(pc.fill_null(pc.equal(table["image"], name), False))
    if factor is not None:
        rows = rows.filter(pc.fill_null(pc.equal(rows["factor"], factor), False))
    rows = rows.filter(pc.is_valid(rows["step"])).sort_by("step")
    if not len(rows):
        return None
    columns = {key: rows[key].to_pylist() for key in ("step", "co", "p_target", "p_label", "top", "p_top")}
    some = {key: None if not any(v is not None for v in columns[key]) else columns[key] for key in columns}
    top = None if some["top"] is None else [
        None if indices is None else _named(indices, values or (), catalogue.classes)
        for indices, values in zip(columns["top"], columns["p_top"], strict=True)
    ]  # fmt: skip
    return Figures(columns["step"], some["co"], some["p_target"], some["p_label"], top)


def _named(
    indices: Sequence[int | None], values: Sequence[float | None], names: Sequence[str] | None
) -> list[tuple[str, float]]:
    pairs = zip(indices, values, strict=False)
    return [(named(i, names), float(p)) for i, p in pairs if i is not None and p is not None]
