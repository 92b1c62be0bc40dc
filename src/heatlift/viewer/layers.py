"""A heatmap of an image in words and figures: what it is, how it is read, what is known of each step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pyarrow.compute as pc

from heatlift.errors import HeatliftError
from heatlift.panel.details import Figures, Layer, Result, Second
from heatlift.panel.words import ADDED, CONTROL, MULTIPLIED, SEEN, TAKEN
from heatlift.viewer.catalogue import Catalogue
from heatlift.viewer.columns import finite, keyed, named
from heatlift.viewer.heatmaps import Kept
from heatlift.viewer.of_image import OfImage
from heatlift.viewer.parts import read_part
from heatlift.wording import FACTORS, clean, number


def layer(
    catalogue: Catalogue, said: OfImage, name: str, kept: Kept, channels: int, problems: list[str]
) -> Layer:
    """What is told of a heatmap; what is damaged of that is added to the problems."""
    if catalogue.kind == "audit":
        return _explained(catalogue, kept, channels)
    found = _lifted(catalogue, said, kept, channels) if catalogue.kind == "lift" else _masked(catalogue, kept)
    group = "" if catalogue.kind == "lift" else kept.title
    target, label = said.word("target") or "", said.word("label")
    after = said.value(keyed(group, "p_after"))
    figures = _figures(catalogue, said.part, name, group or None, problems)
    return replace(
        found,
        target=target,
        label=label,
        figures=figures and replace(figures, view=_views(catalogue, said)),
        result=Result(said.value("co"), after, after if target == label else None),
        second=_second(catalogue, said, group),
    )


def _explained(catalogue: Catalogue, kept: Kept, channels: int) -> Layer:
    control = catalogue.section("controls").get(kept.title)
    what = CONTROL.format(clean(control.get("title"))) if isinstance(control, Mapping) else SEEN
    if catalogue.section("config").get("space") != "pixel":
        what += (
            " In the units of what the network itself is given: brightness less the mean, by the deviation."
        )
    return Layer(kept.title, what, "signed", None, channels, 0, kept.steps, kept.own, problem=kept.problem)


def _lifted(catalogue: Catalogue, said: OfImage, kept: Kept, channels: int) -> Layer:
    method, multiplied = said.word("method") or "gax", said.word("operation") == "multiply"
    reached = {"yes": "reached", "no": "not reached"}.get(said.word("reached") or "")
    aim = f" CO {number(finite(catalogue.section('config').get('target_co')))}" if method == "gax" else ""
    return Layer(
        {"gax": "GAX heatmap", "spotlight": "Spotlight"}.get(method, clean(method)),
        MULTIPLIED if multiplied else ADDED,
        "signed",
        "multiply" if multiplied else "add",
        channels,
        1 if multiplied else 0,
        kept.steps,
        kept.own,
        f"{reached}{aim} here" if reached else "the result",
        problem=kept.problem,
    )


def _masked(catalogue: Catalogue, kept: Kept) -> Layer:
    several = " Steps are one restart's; the result is a mean over restarts and steps."
    result_is_no_step = len(kept.steps) > 1 and kept.steps[kept.own] is None
    trials = catalogue.section("config").get("trials")
    first = " Of the first trial." if isinstance(trials, int) and trials > 1 else ""
    return Layer(
        f"Undesirable pixels, {FACTORS.get(kept.title, kept.title)}",
        f"{TAKEN}{first}{several if result_is_no_step and _averaged(catalogue) else ''}",
        "taken",
        "blur",
        1,
        0,
        kept.steps,
        kept.own,
        "the result",
        problem=kept.problem,
    )


def _averaged(catalogue: Catalogue) -> bool:
    """Whether a mask is a mean, by the settings of its run."""
    config = catalogue.section("config")
    stable = config.get("preset") == "stable"
    averaged, restarts = config.get("averaged"), config.get("restarts")
    return bool(stable if averaged is None else averaged) or (stable if restarts is None else restarts != 1)


def _views(catalogue: Catalogue, said: OfImage) -> bool:
    """Whether the optimiser saw another view of the image at each step."""
    if catalogue.kind == "lift":
        return said.word("method") == "spotlight"
    config = catalogue.section("config")
    return bool(config.get("preset") == "stable" if config.get("views") is None else config.get("views"))


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
