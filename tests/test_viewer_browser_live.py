"""Runs that grow, in a real browser: what is new comes in, and nothing that a reader does is undone."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from viewer_pages import Visit, address_of, counted, until, visiting
from viewer_runs import audit_run, lift_run
from viewers import Rows, another, edit_record, put, rows_of, served, split

GONE = "The viewer was stopped"
Put = Callable[[int], None]


@contextmanager
def growing(browser: Any, folder: Path, tab: str = "images", **changes: Any) -> Iterator[tuple[Visit, Put]]:
    """A visit of a run of which the first of three parts is there, and how to put the others there."""
    parts = split(lift_run(folder, images=60, **changes), "lift", 20)
    edit_record(folder, status="running", data={"lifted": 60})
    put(folder, 0, parts[0])
    with served(folder) as viewer, visiting(browser, viewer, address_of(0, tab=tab), quick=True) as visit:
        counted(visit.page, 20)
        yield visit, lambda number: put(folder, number, parts[number])


@pytest.mark.parametrize("noticed", [True, False])
def test_another_run_at_the_same_address_is_shown_as_it_is(
    browser: Any, tmp_path: Path, noticed: bool
) -> None:
    """Whether the page saw that the first viewer went, or its reader only comes back to it later."""
    lifts, audit = lift_run(tmp_path / "lifts"), audit_run(tmp_path / "audit")
    with ExitStack() as stack:
        first = stack.enter_context(ExitStack())
        viewer = first.enter_context(served(lifts))
        visit = stack.enter_context(visiting(browser, viewer, quick=True))
        page = visit.page
        counted(page, 26)
        visit.quiet()  # it has looked once more, and no longer does as nothing grows
        first.close()
        if noticed:
            page.locator(".quick .chip", has_text="wrong").click()
            page.get_by_role("alert").filter(has_text=GONE).wait_for()
        stack.enter_context(another(audit, viewer.port))
        if not noticed:
            page.evaluate("dispatchEvent(new Event('focus'))")
        page.locator("#header .kicker", has_text="audit").wait_for()
        scores = rows_of(audit, "predictions")
        counted(page, sum(row["correct"] is False for row in scores) if noticed else len(scores))
        assert page.get_by_role("alert").count() == 0
        loaded = sum(url.endswith("/static/main.js") for url in visit.asked)
        page.wait_for_timeout(500)
        assert loaded == sum(url.endswith("/static/main.js") for url in visit.asked) == 2, "once"
        visit.forgive()


def test_an_image_that_is_linked_to_before_it_is_read(browser: Any, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with growing(browser, folder) as (visit, arrives):
        page = visit.page
        page.evaluate("address => { location.hash = address; }", address_of(0, image="1.3", sort="name"))
        page.locator("#image [role=alert]").wait_for()
        arrives(1)
        page.locator("#image article").wait_for()
        assert page.locator("#image [role=alert]").count() == 0
        page.get_by_text("of 40").wait_for()
        arrives(2)
        page.get_by_text("of 60").wait_for()
        visit.forgive()


def test_the_neighbours_come_as_the_list_grows(browser: Any, tmp_path: Path) -> None:
    with growing(browser, tmp_path / "run", image_name="owl/{:02}.png") as (visit, arrives):
        page = visit.page
        page.evaluate("address => { location.hash = address; }", address_of(0, sort="name", descending=0))
        page.locator(".tile[href]").last.wait_for()
        page.locator(".tile").last.click()
        page.get_by_text("20 of 20").wait_for()
        onward = page.get_by_role("button", name="Next")
        assert onward.is_disabled()
        page.get_by_role("button", name="Previous").focus()
        arrives(1)
        page.get_by_text("of 40").wait_for()
        assert page.evaluate("document.activeElement.textContent").endswith("Previous")
        until(page, "() => !document.querySelector('.steps button:nth-of-type(2)').disabled")


def older(folder: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(folder / "run.json", (then, then))


def test_time_that_passes_changes_a_word_and_nothing_else(browser: Any, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with growing(browser, folder) as (visit, _):
        page = visit.page
        older(folder, 50)
        page.locator("#header summary").click()
        page.locator("#header .facts", has_text="Last written").wait_for()
        page.locator("#header summary").focus()
        page.evaluate(
            "() => { for (const each of document.querySelectorAll('#header *, .tile')) each.seen = true; }"
        )
        asked = [url for url in visit.asked if "/images?" in url]
        for seconds in (500, 5000):
            older(folder, seconds)
            word = {500: "8 minutes ago", 5000: "83 minutes ago"}[seconds]
            page.locator("#header .facts", has_text=word).wait_for()
        assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
        assert page.evaluate("document.querySelector('#header details').open")
        anew = "() => [...document.querySelectorAll('#header *, .tile')].filter(e => !e.seen).length"
        assert page.evaluate(anew) == 0
        assert [url for url in visit.asked if "/images?" in url] == asked


def test_growth_takes_neither_focus_nor_an_open_chooser(browser: Any, tmp_path: Path) -> None:
    other = lift_run(tmp_path / "other", images=6)
    folder = tmp_path / "run"
    parts = split(lift_run(folder, images=60), "lift", 20)
    edit_record(folder, status="running", data={"lifted": 60})
    put(folder, 0, parts[0])
    with served(folder, other) as viewer, visiting(browser, viewer, quick=True) as visit:
        page = visit.page
        counted(page, 20)
        for number, name in ((1, "run"), (2, "sort")):
            chooser = page.locator(f"select[name={name}]")
            chooser.focus()
            handle = chooser.element_handle()
            put(folder, number, parts[number])
            counted(page, 20 * (number + 1))
            page.wait_for_timeout(250)
            assert handle.evaluate("each => each.isConnected && document.activeElement === each"), name


def _with_others(part: Mapping[str, Rows], before: int) -> Mapping[str, Rows]:
    """A part in which other classes appear."""
    rows = [row if row["label"] is None else row | {"label": before + row["label"]} for row in part["lift"]]
    return {**part, "lift": rows}


def test_a_filter_that_is_being_made_stays_as_classes_appear(browser: Any, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    names = tuple(f"species {place}" for place in range(9))
    parts = split(lift_run(folder, images=60, classes=names), "lift", 20)
    edit_record(folder, status="running", data={"lifted": 60})
    put(folder, 0, parts[0])
    with served(folder) as viewer, visiting(browser, viewer, quick=True) as visit:
        page = visit.page
        counted(page, 20)
        summary = page.get_by_text("Add filter")
        summary.click()
        page.locator(".adder select[name=column]").select_option("label")
        page.locator(".adder").get_by_label("species 1").check()
        for number in (1, 2):
            put(folder, number, _with_others(parts[number], 3 * number))
            counted(page, 20 * (number + 1))
            page.wait_for_timeout(250)
            assert page.locator(".adder").get_by_label("species 1").is_checked()
            assert page.evaluate("document.activeElement.value") == "1"
        assert page.locator(".adder .tick").count() == 3
        page.locator(".adder").get_by_label("species 1").uncheck()
        page.keyboard.press("Escape")
        summary.click()
        until(page, "() => document.querySelectorAll('.adder .tick').length === 9")


def test_a_larger_distribution_stays_larger(browser: Any, tmp_path: Path) -> None:
    with growing(browser, tmp_path / "run", tab="scores") as (visit, arrives):
        page = visit.page
        figure = page.locator("figure[data-column=p_gain]")
        figure.get_by_role("button", name="Larger").click()
        for number in (1, 2):
            arrives(number)
            counted(page, 20 * (number + 1))
            figure.locator(".n", has_text=f"n = {20 * (number + 1) - 2 * (number == 2) * 2}").wait_for()
            assert figure.locator("svg").get_attribute("viewBox").endswith(" 260")
            assert page.evaluate("document.activeElement.textContent") == "Smaller"
            assert page.evaluate("document.activeElement.closest('figure').dataset.column") == "p_gain"
