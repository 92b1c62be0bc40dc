"""The viewer in a real browser: its addresses, runs that grow or go away, and names that try to break out."""

from __future__ import annotations

import json
import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heatlift.wording import clean
from lift_runs import InventedLift, write_lift_run
from pages import EVIL
from viewer_pages import address_of, counted, names, panel, pixels, until, visiting
from viewer_runs import lift_run, one_of_each
from viewers import Served, another, edit_record, put, rows_of, served, split

NAME = "owl/0.png"
NO_IMAGE = re.compile("no such image|nothing|not found", re.IGNORECASE)
GONE = "The viewer was stopped"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return one_of_each(tmp_path_factory.mktemp("runs"))


def test_a_link_opens_exactly_this_view(browser: Any, viewer: Served) -> None:
    permissions = ["clipboard-read", "clipboard-write"]
    with visiting(browser, viewer, address_of(0, image=viewer.id(NAME)), permissions=permissions) as visit:
        page, shown = visit.page, panel(visit.page)
        shown.locator("select[name=channel]").select_option("blue")
        shown.locator("select[name=colours]").select_option("all")
        shown.get_by_role("radio", name="Overlay").check()
        shown.locator("input[name=opacity]").focus()
        page.keyboard.press("ArrowLeft")
        shown.locator("input[name=step]").focus()
        for _ in range(5):
            page.keyboard.press("ArrowLeft")
        label = "Heatmap, blue channel, step 7"
        before = pixels(shown, label)
        page.get_by_role("button", name="Copy link").click()
        page.get_by_role("button", name="Copied").wait_for()
        link = page.evaluate("navigator.clipboard.readText()")
        assert link == page.url
        again = visit.pages(f"#{link.partition('#')[2]}")
        its = panel(again)
        assert np.array_equal(pixels(its, label), before)
        assert its.locator("output").inner_text() == "step 7 of 12"
        assert its.get_by_role("radio", name="Overlay").is_checked()
        assert its.locator("input[name=opacity]").input_value() == "0.75"
        assert its.locator("select[name=channel]").input_value() == "blue"
        assert its.locator("select[name=colours]").input_value() == "all"
        assert again.locator(".ends").inner_text() == page.locator(".ends").inner_text()


def test_back_and_forward(browser: Any, viewer: Served) -> None:
    with visiting(browser, viewer) as visit:
        page = visit.page
        page.locator(".tile[href]").first.click()
        first = page.locator("article")
        first.wait_for()
        name = first.get_attribute("aria-label")
        page.get_by_role("button", name="Next").click()
        until(page, "name => document.querySelector('article')?.ariaLabel.startsWith(name) === false", name)
        second = first.get_attribute("aria-label")
        page.get_by_role("link", name="Scores").click()
        page.locator(".bar").first.wait_for()
        page.go_back()
        page.locator(f"article[aria-label='{second}']").wait_for()
        page.go_back()
        page.locator(f"article[aria-label='{name}']").wait_for()
        page.go_back()
        page.locator(".tile[href]").first.wait_for()
        page.go_forward()
        page.locator(f"article[aria-label='{name}']").wait_for()


NOWHERE = {
    "#run=9": "There is no such run here",
    "#run=-1": "There is no such run here",
    "#run=constructor": "There is no such run here",
    "#run=0&image=9.99": NO_IMAGE,
    "#run=0&image=<script>alert(1)</script>": NO_IMAGE,
    "#run=0&image=../../../../etc/passwd": NO_IMAGE,
    '#run=0&where={"column":"nothing","in":["a"]}': "no column 'nothing'",
    "#run=0&sort=nothing": "no column 'nothing'",
}


def test_an_address_of_nothing_says_so(browser: Any, viewer: Served) -> None:
    with visiting(browser, viewer, "#run=8") as visit:
        for address, says in NOWHERE.items():
            visit.go(address)
            said = visit.page.locator("#waiting h1, [role=alert]").filter(has_text=says, visible=True)
            said.first.wait_for()
            visit.go(address_of(0))
            visit.page.locator(".tile[href]").first.wait_for()
            assert visit.page.locator("#waiting h1, [role=alert]").filter(visible=True).count() == 0
        visit.forgive()


def test_what_makes_no_sense_in_an_address_is_passed_over(browser: Any, viewer: Served) -> None:
    with visiting(browser, viewer, "#%%%") as visit:
        for address in ("#%%%", "#where={&where=[]&where=3&where=null", "#run=&tab=x&at=1e9&step=NaN&sort="):
            visit.go(address)
            visit.page.reload()
            visit.page.locator(".tile[href]").first.wait_for()
            counted(visit.page, 26)


def test_a_state_that_an_image_cannot_have_is_its_usual_one(browser: Any, viewer: Served) -> None:
    address = address_of(0, image=viewer.id(NAME), step=999, layer=-4, mode="<b>", opacity="x", channel="")
    with visiting(browser, viewer, address) as visit:
        shown = panel(visit.page)
        assert shown.locator("output").inner_text() == "step 12 of 12"
        assert shown.get_by_role("radio", name="Side by side").is_checked()


def test_a_run_that_is_being_written_is_followed(browser: Any, tmp_path: Path) -> None:
    folder = lift_run(tmp_path / "run", images=60)
    parts = split(folder, "lift", 20)
    edit_record(folder, status="running", data={"lifted": 60})
    put(folder, 0, parts[0])
    address = address_of(0, sort="name", descending=0)
    with served(folder) as viewer, visiting(browser, viewer, address, quick=True) as visit:
        page = visit.page
        counted(page, 20)
        words = page.locator("#progress-words")
        assert words.inner_text().startswith("Running: 20 of 60 images")
        assert page.get_by_role("progressbar").get_attribute("value") == "20"
        tile = page.locator(f".tile[title^='{names(page)[3]}']")
        name = names(page)[3]
        tile.focus()
        page.mouse.wheel(0, 120)
        page.wait_for_timeout(200)
        scrolled, top = page.evaluate("scrollY"), tile.bounding_box()["y"]
        put(folder, 1, parts[1])
        counted(page, 40)
        until(page, "() => document.querySelector('#progress-words').textContent.includes('40 of 60')")
        put(folder, 2, parts[2])
        counted(page, 60)
        assert page.evaluate("document.activeElement.title").startswith(name)
        assert page.evaluate("scrollY") == scrolled
        shown = names(page)
        assert shown == sorted(row["image"] for row in rows_of(folder, "lift"))[: len(shown)]
        assert abs(tile.bounding_box()["y"] - top) < 500, "among more images, but still in sight"
        edit_record(folder, status="finished")
        until(page, "() => document.querySelector('.progress').hidden")
        visit.quiet()


def test_a_viewer_that_was_stopped_says_so_and_comes_back(browser: Any, runs: list[Path]) -> None:
    wrong = sum(row["predicted_before"] not in (None, row["label"]) for row in rows_of(runs[0], "lift"))
    with ExitStack() as stack:
        first = stack.enter_context(ExitStack())
        viewer = first.enter_context(served(runs[0]))
        visit = stack.enter_context(visiting(browser, viewer, quick=True))
        visit.page.locator(".tile[href]").first.wait_for()
        first.close()
        visit.page.locator(".quick .chip", has_text="wrong").click()
        notice = visit.page.get_by_role("alert")
        notice.filter(has_text=GONE).wait_for()
        assert "heatlift view" in notice.inner_text()
        stack.enter_context(another(runs[0], viewer.port))
        notice.wait_for(state="hidden")
        counted(visit.page, wrong)
        visit.forgive()


def test_names_are_only_ever_text(browser: Any, tmp_path: Path) -> None:
    name = EVIL.replace("\n", " ") + "{}.png"
    classes = (EVIL, EVIL + "2", EVIL + "3")
    like = InventedLift(images=8, steps=4, kept=2, classes=classes, image_name=name, reason=EVIL)
    folder = write_lift_run(tmp_path / EVIL.replace("/", ""), like)
    with served(folder) as viewer:
        addresses = [
            address_of(0),
            address_of(0, image=viewer.id(clean(name.format(0)))),
            address_of(0, image=viewer.id(clean(name.format(7)))),
            address_of(0, tab="scores"),
            address_of(0, where=({"column": "name", "contains": EVIL},)),
            address_of(0, where=({"column": EVIL, "in": [EVIL]},)),
        ]
        with visiting(browser, viewer, "#run=1") as visit:
            page = visit.page
            for address in addresses:
                visit.go(address)
                page.get_by_text("<script>alert(1)<").filter(visible=True).first.wait_for()
                page.wait_for_timeout(300)
                assert page.locator("script:not([src]), img[src='x'], iframe, style").count() == 0
                assert page.locator("[onerror], [onload]").count() == 0
                if "image=" in address:
                    heading = page.locator("#image h2")
                    heading.wait_for()
                    assert heading.text_content().startswith("<script>alert(1)</script")
            visit.forgive()


def test_a_page_without_thumbnails_or_labels(browser: Any, tmp_path: Path) -> None:
    folder = write_lift_run(tmp_path / "run", InventedLift(images=6, labelled=False, kept=1, steps=4))
    with served(folder) as viewer, visiting(browser, viewer) as visit:
        visit.page.locator(".tile[href]").first.wait_for()
        assert visit.page.locator(".tile img").count() == 0
        assert visit.page.locator(".tile .plain").count() == 6
        assert "correct" not in visit.page.locator("#images").inner_text()
        assert json.loads((folder / "run.json").read_text())["status"] == "finished"
