"""One image in the viewer, in a real browser: its pixels and figures are those of the run's files."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from viewer_pages import (
    DIVERGING,
    SEQUENTIAL,
    Visit,
    address_of,
    coloured,
    diverging,
    levels_of,
    limit_of,
    panel,
    pixels,
    reading,
    to_step,
    visiting,
)
from viewer_runs import EXPLAINED, as_pixels, audit_run, heatmap_of, lift_run, mask_run, original_of, row_of
from viewers import Served, rows_of

NAME = "owl/0.png"
LAST = 12  # step of the lifts' first image, which does not reach its score
SUM = "Heatmap, sum over red, green and blue"
SUMMED = "Heatmap, sum of h − 1 over red, green and blue"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    return [
        lift_run(folder / "gax"),
        lift_run(folder / "spotlight", method="spotlight", verified=False),
        mask_run(folder / "masks", target="predicted"),
        audit_run(folder / "audit"),
    ]


@pytest.fixture
def visit(browser: Any, viewer: Served) -> Iterator[Visit]:
    """At the first image of the first run."""
    with visiting(browser, viewer, address_of(0, image=viewer.id(NAME))) as visited:
        yield visited


@pytest.mark.parametrize(("run", "neutral"), [(0, 0), (1, 1)], ids=["added", "multiplied"])
def test_the_slider_moves_all_that_belongs_to_a_step(
    browser: Any, viewer: Served, runs: list[Path], run: int, neutral: int
) -> None:
    folder, x = runs[run], original_of(runs[run], NAME)
    with visiting(browser, viewer, address_of(run, image=viewer.id(NAME, run))) as visit:
        shown = panel(visit.page)
        assert shown.locator("output").inner_text() == f"step {LAST} of {LAST}"
        assert np.array_equal(pixels(shown, "Original image")[..., :3], as_pixels(x))
        seen = []
        for key, step in (
            ("Home", 0),
            ("ArrowRight", 1),
            ("ArrowRight", 2),
            ("End", LAST),
            ("ArrowLeft", 11),
        ):
            to_step(shown, visit.page, key, step)
            h = heatmap_of(folder, NAME, step)
            level = np.abs(h - neutral).max() / 127
            changed = as_pixels(x * h if neutral else x + h)
            found = pixels(shown, f"Changed image, step {step}")
            assert np.abs(found[..., :3] - changed).max() <= 255 * level / 2 + 1
            assert (found[..., 3] == 255).all()
            values = levels_of(h, neutral).sum(0) if step else np.zeros(h.shape[1:])
            summed = SUMMED if neutral else SUM
            heatmap = pixels(shown, f"{summed}, step {step}")[..., :3]
            assert np.abs(heatmap - (diverging(values) if step else 255)).max() <= 3
            row = row_of(folder, "evolutions", image=NAME, step=step)
            assert shown.locator("output").inner_text() == f"step {step} of {LAST}"
            said = row_of(folder, "lift", image=NAME) if step == LAST else row | {"p_after": row["p_target"]}
            assert reading(shown, "CO score") == pytest.approx(said["co"], rel=0.006)
            assert reading(shown, ", target") == pytest.approx(said["p_after"], rel=0.006)
            assert reading(shown, "Largest") == pytest.approx(127 * level, rel=0.006)
            limit = limit_of(values) * level
            if step:
                assert reading(shown, "Colours end at") == pytest.approx(limit, rel=0.006)
                ends = [
                    float(text.replace("−", "-")) for text in shown.locator(".ends span").all_inner_texts()
                ]
                # A sum is of what differs from the neutral value, once for each channel.
                assert ends == pytest.approx([-limit, 0, limit], rel=0.006, abs=1e-9)
            likeliest = shown.locator(".likeliest li:visible .name").all_inner_texts()
            assert likeliest == [("cat", "dog", "owl")[index] for index in row["top"]]
            follows_the_curves(shown, folder, step)
            seen.append((found.tobytes(), heatmap.tobytes()))
        assert len(set(seen)) == len(seen)


def follows_the_curves(shown: Any, folder: Path, step: int) -> None:
    """The cursor is at the step, and the dot of the first curve at its value."""
    row = row_of(folder, "evolutions", image=NAME, step=step)
    for place, column in enumerate(("co", "p_target")):
        figure = shown.locator(".curves figure").nth(place)
        found = figure.evaluate(
            """figure => {
              const number = (e, name) => Number(e.getAttribute(name));
              const [svg, cursor, dot] = ["svg", ".cursor", ".dot"].map(each => figure.querySelector(each));
              const rules = [...figure.querySelectorAll(".rule")];
              const words = rules.map(rule => rule.nextSibling.textContent.replace("−", "-"));
              return {
                width: number(svg, "width"), cursor: number(cursor, "x1"),
                x: number(dot, "cx"), y: number(dot, "cy"),
                rules: rules.map(rule => number(rule, "y1")), words: words.map(Number),
              };
            }"""
        )
        inside = found["width"] - 48  # without the axis on the left and the margin on the right
        assert found["cursor"] == pytest.approx(38 + inside * step / LAST)
        assert found["x"] == found["cursor"]
        low, high = found["rules"][0], found["rules"][-1]
        value = np.interp((low - found["y"]) / (low - high), (0, 1), (found["words"][0], found["words"][-1]))
        assert value == pytest.approx(row[column], abs=0.01 * (found["words"][-1] - found["words"][0]))


def test_a_channel_alone(visit: Visit, runs: list[Path]) -> None:
    shown = panel(visit.page)
    levels = levels_of(heatmap_of(runs[0], NAME, LAST), 0)
    for place, colour in enumerate(("red", "green", "blue")):
        shown.locator("select[name=channel]").select_option(colour)
        found = pixels(shown, f"Heatmap, {colour} channel, step {LAST}")[..., :3]
        assert np.abs(found - diverging(levels[place])).max() <= 3


def test_one_limit_of_the_colours_for_all_steps(visit: Visit, runs: list[Path]) -> None:
    shown = panel(visit.page)
    shown.locator("select[name=colours]").select_option("all")
    to_step(shown, visit.page, "Home", 0)
    to_step(shown, visit.page, "ArrowRight", 1)
    own, first = (heatmap_of(runs[0], NAME, step) for step in (LAST, 1))
    limit = limit_of(levels_of(own, 0).sum(0)) * np.abs(own).max() / 127
    assert reading(shown, "Colours end at") == pytest.approx(limit, rel=0.006)
    expected = coloured(0.5 + 0.5 * (first.sum(0) / limit).clip(-1, 1), DIVERGING)
    assert np.abs(pixels(shown, f"{SUM}, step 1")[..., :3] - expected).max() <= 6


def test_the_heatmap_lies_over_the_original(visit: Visit, runs: list[Path]) -> None:
    shown, page = panel(visit.page), visit.page
    values = levels_of(heatmap_of(runs[0], NAME, LAST), 0).sum(0)
    share = np.abs((values / limit_of(values)).clip(-1, 1))
    shown.get_by_role("radio", name="Overlay").check()
    beneath = shown.locator(".stage canvas[aria-hidden]").first
    assert beneath.is_visible()
    for opacity, key in ((0.8, None), (0.85, "ArrowRight"), (0.0, "Home"), (1.0, "End")):
        slider = shown.locator("input[name=opacity]")
        slider.focus()
        if key:
            page.keyboard.press(key)
        assert float(slider.input_value()) == opacity
        found = pixels(shown, f"{SUM}, step {LAST}")
        assert np.abs(found[..., 3] - 255 * opacity * share).max() <= 2
    over, under = (place.bounding_box() for place in (shown.locator("canvas[aria-label^=Heatmap]"), beneath))
    assert over == under
    assert "over the original" in shown.locator("figcaption").all_inner_texts()[1]


@pytest.mark.parametrize("layer", [0, 1])
def test_a_mask_puts_the_reference_where_it_takes_away(
    browser: Any, viewer: Served, runs: list[Path], layer: int
) -> None:
    folder, factor = runs[2], ("target", "none")[layer]
    x = original_of(folder, NAME)
    g = viewer.ask(f"/api/runs/2/images/{viewer.id(NAME, 2)}/reference").body
    g = np.asarray(Image.open(io.BytesIO(g)), np.float64).transpose(2, 0, 1) / 255
    with visiting(browser, viewer, address_of(2, image=viewer.id(NAME, 2))) as visit:
        shown = panel(visit.page)
        shown.locator("select[name=layer]").select_option(str(layer))
        shown.locator("output", has_text="step 20 of 20").wait_for()
        for key, step in (("End", 20), ("Home", 0), ("ArrowRight", 1)):
            to_step(shown, visit.page, key, step)
            s = heatmap_of(folder, f"{factor}/{NAME}", step)
            found = pixels(shown, f"Changed image, step {step}")[..., :3]
            assert np.abs(found - as_pixels(x * (1 - s) + g * s)).max() <= 255 * s.max() / 254 + 1
            mask = pixels(shown, f"Mask: share taken away, step {step}")[..., :3]
            assert np.abs(mask - coloured(s[0], SEQUENTIAL)).max() <= 6
            row = row_of(folder, "evolutions", image=NAME, factor=factor, step=step)
            if step == 20:
                row["p_target"] = row_of(folder, "undesirable", image=NAME, factor=factor)["p_after"]
            for title, column in ((", target", "p_target"), (", label", "p_label")):
                assert reading(shown, title) == pytest.approx(row[column], rel=0.006)
            assert reading(shown, "Most taken") == pytest.approx(s.max(), rel=0.006)


def test_a_mask_without_reference_shows_no_changed_image(browser: Any, viewer: Served) -> None:
    with visiting(browser, viewer, address_of(2, image=viewer.id("owl/1.png", 2))) as visit:
        shown = panel(visit.page)
        assert shown.get_by_text("Overlay", exact=True).is_visible()
        assert not shown.get_by_text("Swipe", exact=True).is_visible()
        assert not shown.locator("canvas[aria-label^=Changed]").is_visible()


def test_every_method_of_an_audit(browser: Any, viewer: Served, runs: list[Path]) -> None:
    example = np.load(runs[3] / "examples" / "000.npz")
    with visiting(browser, viewer, address_of(3, image=viewer.id(NAME, 3))) as visit:
        shown = panel(visit.page)
        chooser = shown.locator("select[name=layer]")
        assert chooser.locator("option").all_inner_texts() == list(EXPLAINED)
        assert np.array_equal(pixels(shown, "Original image")[..., :3], example["image"])
        for place, method in enumerate(EXPLAINED):
            chooser.select_option(label=method)
            found = pixels(shown, f"{SUM}, {method}")[..., :3]
            h = example["heatmaps"][place].astype(np.float64)
            expected = np.full_like(found, 255) if method == "zero" else diverging(levels_of(h, 0).sum(0))
            assert np.abs(found - expected).max() <= 3
        told = visit.page.locator("table", has_text="What each heatmap does")
        scores = [row for row in rows_of(runs[3], "scores") if row["image"] == NAME]
        assert told.locator("tbody tr").count() == len(scores) == 8
        by_name = {f"{row['method']}/{row['operation']}": row["co_predicted"] for row in scores}
        for row in told.locator("tbody tr").all():
            name, value = row.locator("th").inner_text(), row.locator("td").first.inner_text()
            assert float(value.replace("−", "-")) == pytest.approx(by_name[name], abs=0.006)
