"""The viewer's filters in a real browser: what they leave is what the run's tables hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from viewer_pages import Visit, address_of, count, counted, names, until, visiting
from viewer_runs import LEFT_OUT, MANY, correct, in_order, of_many_images
from viewers import Rows, Served, rows_of

TITLES = "() => [...document.querySelectorAll('.tile[href]')].map(tile => tile.title.split(': ')[0])"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return of_many_images(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def visit(browser: Any, viewer: Served) -> Iterator[Visit]:
    """At the grid of the first run."""
    with visiting(browser, viewer) as visited:
        visited.page.locator(".tile[href]").first.wait_for()
        yield visited


def lifts(runs: list[Path]) -> Rows:
    return rows_of(runs[0], "lift")


def test_the_order_is_chosen_and_turned(visit: Visit, runs: list[Path]) -> None:
    page, rows = visit.page, lifts(runs)
    for column, title in (("steps", "Steps"), ("p_before", "p(target), before")):
        page.locator("select[name=sort]").select_option(label=title)
        until(page, f"names => ({TITLES})().join() === names", ",".join(in_order(rows, column)))
        page.get_by_role("button", name="highest first").click()
        until(page, f"names => ({TITLES})().join() === names", ",".join(in_order(rows, column, False)))
        page.get_by_role("button", name="lowest first").click()


CHIPS: Mapping[tuple[str, ...], Callable[[dict[str, Any]], bool]] = {
    ("wrong",): lambda row: correct(row) is False,
    ("correct", "wrong"): lambda row: correct(row) is not None,
    ("failed",): lambda row: row["status"] not in ("ok", LEFT_OUT),
    ("left out",): lambda row: row["status"] == LEFT_OUT,
}


def test_a_chip_leaves_what_it_says(visit: Visit, runs: list[Path]) -> None:
    page = visit.page
    for chips, meets in CHIPS.items():
        wanted = [row["image"] for row in lifts(runs) if meets(row)]
        assert 0 < len(wanted) < 40
        for chip in chips:
            button = page.locator(".quick .chip", has_text=chip)
            button.click()
            assert button.get_attribute("aria-pressed") == "true"
        counted(page, len(wanted))
        assert sorted(names(page)) == sorted(wanted)
        for chip in chips:
            page.locator(".quick .chip", has_text=chip).click()
        counted(page, 40)


def test_what_was_left_out_looks_calm_and_what_failed_does_not(visit: Visit, runs: list[Path]) -> None:
    marks = {"left out": "–", "failed": "!"}
    page = visit.page
    for row in lifts(runs):
        if row["status"] == "ok":
            continue
        kind = "left out" if row["status"] == LEFT_OUT else "failed"
        tile = page.locator(f".tile[title^='{row['image']}:']")
        mark = tile.locator(".verdict").evaluate("each => getComputedStyle(each, '::before').content")
        assert mark.startswith(f'"{marks[kind]}"')
        dashed = "each => getComputedStyle(each).borderBottomStyle === 'dashed'"
        assert tile.locator(".thumbnail").evaluate(dashed) == (kind == "failed")
        if kind == "left out":
            tile.click()
            assert "!" not in page.locator(".badge").evaluate(
                "each => getComputedStyle(each, '::before').content"
            )
            page.keyboard.press("Escape")
            tile.wait_for()


def test_several_filters_hold_at_once_and_each_can_go(visit: Visit, runs: list[Path]) -> None:
    page, rows = visit.page, lifts(runs)
    ranged = [row for row in rows if row["p_before"] is not None and 0.2 <= row["p_before"] <= 0.5]
    of_class = [row for row in ranged if row["label"] in (0, 2)]
    found = [row for row in of_class if "1" in row["image"]]
    assert 0 < len(found) < len(of_class) < len(ranged) < 38
    page.get_by_text("Add filter").click()
    page.locator(".adder select[name=column]").select_option("p_before")
    page.get_by_label("From").fill("0.2")
    page.get_by_label("to", exact=True).fill("0.5")
    page.get_by_role("button", name="Add this filter").click()
    counted(page, len(ranged))
    page.get_by_text("Add filter").click()
    page.locator(".adder select[name=column]").select_option("label")
    for name in ("cat", "owl"):
        page.locator(".adder").get_by_label(name).check()
    page.get_by_role("button", name="Add this filter").click()
    counted(page, len(of_class))
    page.get_by_label("Find by name").fill("1")
    counted(page, len(found))
    assert sorted(names(page)) == sorted(row["image"] for row in found)
    chips = page.locator(".active .removable")
    assert chips.count() == 3
    chips.filter(has_text="0.2 to 0.5").click()
    counted(page, sum(row["label"] in (0, 2) and "1" in row["image"] for row in rows))
    page.get_by_role("button", name="Remove all filters").click()
    counted(page, 40)
    assert chips.count() == 0
    assert page.get_by_label("Find by name").input_value() == ""


def test_missing_values_and_a_text_can_be_asked_for(visit: Visit, runs: list[Path]) -> None:
    page = visit.page
    page.get_by_text("Add filter").click()
    page.locator(".adder select[name=column]").select_option("co")
    page.get_by_label("only images without this value").check()
    page.get_by_role("button", name="Add this filter").click()
    counted(page, sum(row["co"] is None for row in lifts(runs)))
    page.locator(".removable").click()
    page.get_by_text("Add filter").click()
    page.locator(".adder select[name=column]").select_option("name")
    page.get_by_label("contains").fill("OWL/3")
    page.get_by_label("contains").press("Enter")
    counted(page, sum("owl/3" in row["image"] for row in lifts(runs)))


def test_one_of_many_classes_is_typed(browser: Any, viewer: Served) -> None:
    with visiting(browser, viewer, address_of(2)) as visit:
        page = visit.page
        page.get_by_text("Add filter").click()
        page.locator(".adder select[name=column]").select_option("label")
        field = page.get_by_label("one of 20")
        assert page.locator(f"#{field.get_attribute('list')} option").count() == 20
        field.fill("species 7")
        field.press("Enter")
        counted(page, MANY // 20)


def test_a_class_that_is_not_there_is_said_not_to_be(browser: Any, viewer: Served) -> None:
    with visiting(browser, viewer, address_of(2)) as visit:
        page = visit.page
        page.get_by_text("Add filter").click()
        page.locator(".adder select[name=column]").select_option("label")
        field = page.get_by_label("one of 20")
        field.fill("aardvark")
        field.press("Enter")
        said = page.locator(".adder [role=alert]")
        said.filter(has_text="nothing here is called “aardvark”").wait_for()
        assert page.locator(".removable").count() == 0
        assert field.evaluate("field => document.activeElement === field")
        field.fill("species 1")
        assert said.inner_text() == ""


def test_no_image_is_an_answer_too(visit: Visit) -> None:
    page = visit.page
    page.get_by_label("Find by name").fill("nothing is called that")
    page.get_by_text("No image matches all filters.").wait_for()
    assert count(page) == 0
    assert page.locator(".tile").count() == 0


def test_the_scores_of_one_method(browser: Any, viewer: Served, runs: list[Path]) -> None:
    with visiting(browser, viewer, address_of(1)) as visit:
        page = visit.page
        page.locator("select[name=method]").select_option("deeplift")
        offered = page.locator("select[name=sort] optgroup")
        groups = offered.evaluate_all("groups => groups.map(group => group.label)")
        assert groups[:2] == ["deeplift/add", "deeplift/multiply"]
        assert not any("saliency" in group for group in groups)
        page.locator("select[name=sort]").select_option("deeplift/multiply:co_predicted")
        rows = [r for r in rows_of(runs[1], "scores") if r["method"] == "deeplift"]
        wanted = in_order([r for r in rows if r["operation"] == "multiply"], "co_predicted")
        until(page, f"names => ({TITLES})().join().startsWith(names)", ",".join(wanted[:20]))


def test_filters_are_in_the_address(visit: Visit, runs: list[Path]) -> None:
    page = visit.page
    page.locator(".quick .chip", has_text="wrong").click()
    page.locator("select[name=sort]").select_option("steps")
    rows = [row for row in lifts(runs) if correct(row) is False]
    counted(page, len(rows))
    again = visit.pages(f"#{page.url.partition('#')[2]}")
    until(again, f"names => ({TITLES})().join() === names", ",".join(in_order(rows, "steps")))
    assert again.locator(".removable").count() == 1
    for back in (rows, lifts(runs)):
        page.go_back()
        until(page, f"names => ({TITLES})().join() === names", ",".join(in_order(back, "co")))
    page.go_forward()
    counted(page, len(rows))
