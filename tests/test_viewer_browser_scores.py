"""The viewer's distributions in a real browser: each bar is counted, and leads to its images."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from viewer_pages import Array, address_of, counted, names, until, visiting
from viewer_runs import audit_run, lift_run
from viewers import Rows, Served, rows_of

Values = dict[str, dict[str, float]]  # by group, then by image


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    return [
        audit_run(folder / "audit", images=120, wrong=45),
        lift_run(folder / "lift", images=40),
        audit_run(folder / "large", images=330, methods=("saliency",), controls=()),
    ]


def grouped(rows: Rows, value: Any, correct: Any) -> Values:
    """The values of correct and of wrong images."""
    found: Values = {"correct": {}, "wrong": {}}
    for row in rows:
        if row["status"] == "ok":
            found["correct" if correct(row) else "wrong"][row["image"]] = value(row)
    return found


def confidences(run: Path) -> Values:
    return grouped(rows_of(run, "predictions"), lambda row: row["confidence"], lambda row: row["correct"])


def gains(run: Path) -> Values:
    return grouped(
        rows_of(run, "lift"),
        lambda row: row["p_after"] - row["p_before"],
        lambda row: row["label"] == row["predicted_before"],
    )


def edges_of(values: Values, bins: int) -> Array:
    """Equal bins between the values that one in two hundred on each side lie beyond."""
    everything = [value for group in values.values() for value in group.values()]
    return np.linspace(*np.percentile(everything, [0.5, 99.5]), bins + 1)


def in_bin(values: Values, group: str, edges: Array, place: int) -> list[str]:
    """Images of a bin; the outermost ones take in what lies beyond."""
    low = -np.inf if place == 0 else edges[place]
    high = np.inf if place == len(edges) - 2 else edges[place + 1]
    return [image for image, value in values[group].items() if low <= value < high]


@pytest.mark.parametrize(
    ("run", "column", "bins", "values"),
    [(0, "confidence", 24, confidences), (1, "p_gain", 12, gains), (2, "confidence", 40, confidences)],
    ids=["some", "few", "many"],
)
def test_bars_are_a_histogram(
    browser: Any, viewer: Served, runs: list[Path], run: int, column: str, bins: int, values: Any
) -> None:
    known = values(runs[run])
    edges = edges_of(known, bins)
    with visiting(browser, viewer, address_of(run, tab="scores")) as visit:
        figure = visit.page.locator(f"figure[data-column='{column}']")
        figure.locator(".bar").first.wait_for()
        for group, its in known.items():
            bars = figure.locator(f".bar.{group}")
            expected, _ = np.histogram(np.clip(list(its.values()), edges[0], edges[-1]), edges)
            found = np.zeros(bins, int)
            heights = np.zeros(bins)
            for bar in bars.all():
                place, words = int(bar.get_attribute("data-bin")), bar.get_attribute("aria-label")
                found[place] = int(re.match(rf"([\d,]+) {group} image", words)[1].replace(",", ""))
                heights[place] = float(bar.locator("rect").get_attribute("height"))
                assert ("below" in words, "or more" in words) == (place == 0, place == bins - 1)
            assert found.tolist() == expected.tolist()
            tall = expected > expected.max() / 3
            assert np.allclose(heights[tall] / heights.max(), expected[tall] / expected.max(), atol=0.02)
            assert f"{group} {len(its)}" in figure.locator(".legend").inner_text()


def test_a_bar_leads_to_exactly_its_images(browser: Any, viewer: Served, runs: list[Path]) -> None:
    known = confidences(runs[0])
    edges = edges_of(known, 24)
    with visiting(browser, viewer, address_of(0, tab="scores")) as visit:
        page = visit.page
        for place in (0, 1, 12, 23):
            group = max(known, key=lambda group: len(in_bin(known, group, edges, place)))
            wanted = in_bin(known, group, edges, place)
            assert wanted
            bar = page.locator(f"figure[data-column=confidence] .bar.{group}[data-bin='{place}']")
            bar.dispatch_event("click")
            counted(page, len(wanted))
            until(page, "n => document.querySelectorAll('.tile[href]').length === n", len(wanted))
            assert sorted(names(page)) == sorted(wanted)
            assert page.locator(".removable").count() == 2
            page.go_back()
            bar.wait_for()
            assert page.url.endswith("tab=scores")


RANGES = [{"low": 0.55, "high": 0.75}, {"low": 0.62}, {"high": 0.7, "below": True}]


@pytest.mark.parametrize("ranged", RANGES, ids=["both", "low", "below"])
def test_a_bar_of_a_filtered_score_leads_to_exactly_its_images(
    browser: Any, viewer: Served, runs: list[Path], ranged: dict[str, Any]
) -> None:
    """The outermost bars take in what lies beyond them, but not what lies beyond the filter."""
    low, high = ranged.get("low", 0), ranged.get("high", 1)
    wrong = {image: value for image, value in confidences(runs[0])["wrong"].items() if low <= value <= high}
    where = ({"column": "confidence", **ranged}, {"column": "correct", "in": ["wrong"]})
    with visiting(browser, viewer, address_of(0, where=where, tab="scores")) as visit:
        page = visit.page
        bars = page.locator("figure[data-column=confidence] .bar.wrong")
        bars.first.wait_for()
        edges = edges_of({"wrong": wrong}, 12)
        for place in (0, bars.count() // 2, bars.count() - 1):
            number = int(bars.nth(place).get_attribute("data-bin"))
            wanted = in_bin({"wrong": wrong}, "wrong", edges, number)
            assert 0 < len(wanted) < len(wrong)
            bars.nth(place).dispatch_event("click")
            counted(page, len(wanted))
            until(page, "n => document.querySelectorAll('.tile[href]').length === n", len(wanted))
            assert sorted(names(page)) == sorted(wanted)
            page.go_back()
            bars.first.wait_for()


def test_heights_are_explained(browser: Any, viewer: Served) -> None:
    with visiting(browser, viewer, address_of(0, tab="scores")) as visit:
        said = visit.page.locator("#scores > .help").inner_text()
        assert "fewer than 20 images counts as 20" in said


def test_bars_are_reached_by_keyboard(browser: Any, viewer: Served, runs: list[Path]) -> None:
    with visiting(browser, viewer, address_of(1, tab="scores")) as visit:
        page = visit.page
        bars = page.locator("figure[data-column=p_gain] .bar")
        bars.first.wait_for()
        assert bars.and_(page.locator("[tabindex='0']")).count() == 1
        bars.first.focus()
        for key, place in (("ArrowRight", 1), ("End", bars.count() - 1), ("ArrowLeft", bars.count() - 2)):
            page.keyboard.press(key)
            assert page.evaluate("document.activeElement.getAttribute('aria-label')") == bars.nth(
                place
            ).get_attribute("aria-label")
        wanted = int(page.evaluate("document.activeElement.getAttribute('aria-label')").split()[0])
        page.keyboard.press("Enter")
        counted(page, wanted)


def test_filters_narrow_the_scores(browser: Any, viewer: Served, runs: list[Path]) -> None:
    known = confidences(runs[0])
    few = {image: value for image, value in known["wrong"].items() if value >= 0.6}
    assert 5 < len(few) < 60 < 24 + len(known["correct"])
    with visiting(browser, viewer, address_of(0, tab="scores")) as visit:
        page = visit.page
        figure = page.locator("figure[data-column=confidence]")
        figure.locator(".bar").first.wait_for()
        page.locator(".quick .chip", has_text="wrong").click()
        page.get_by_text("Add filter").click()
        page.locator(".adder select[name=column]").select_option("confidence")
        page.get_by_label("From").fill("0.6")
        page.get_by_role("button", name="Add this filter").click()
        figure.locator(".n", has_text=f"n = {len(few)}").wait_for()
        counted(page, len(few))
        edges = edges_of({"wrong": few}, 12)
        expected, _ = np.histogram(np.clip(list(few.values()), edges[0], edges[-1]), edges)
        labels = figure.locator(".bar").evaluate_all(
            "all => all.map(each => each.getAttribute('aria-label'))"
        )
        assert [int(words.split()[0]) for words in labels] == [count for count in expected if count]


def test_one_can_be_larger(browser: Any, viewer: Served) -> None:
    with visiting(browser, viewer, address_of(0, tab="scores")) as visit:
        figure = visit.page.locator("figure[data-column=confidence]")
        before = figure.locator("svg").bounding_box()
        figure.get_by_role("button", name="Larger").click()
        assert figure.locator("svg").bounding_box()["width"] > 1.5 * before["width"]
        assert visit.page.evaluate("document.activeElement.textContent") == "Smaller"


def test_what_is_out_of_sight_is_not_asked_for(browser: Any, viewer: Served) -> None:
    with visiting(browser, viewer, address_of(0, tab="scores")) as visit:
        page = visit.page
        figures = page.locator("#scores figure")
        figures.first.locator(".bar").first.wait_for()
        asked = [url for url in visit.asked if "/distribution?" in url]
        assert 0 < len(asked) < figures.count()
        figures.last.scroll_into_view_if_needed()
        figures.last.locator(".bar").first.wait_for()
        shown = figures.first.locator("figcaption").inner_text()
        assert "AUROC" in shown
