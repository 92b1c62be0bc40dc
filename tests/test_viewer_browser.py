"""The viewer in a real browser: addresses, runs that grow, names that try to break out, and who can read it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heatlift.wording import clean
from lift_runs import InventedLift, write_lift_run
from pages import EVIL
from viewer_pages import (
    Visit,
    address_of,
    audit_run,
    counted,
    lift_run,
    mask_run,
    names,
    panel,
    pixels,
    until,
    violations,
    visiting,
)
from viewers import Served, edit_record, put, rows_of, served, split

NAME = "owl/0.png"
MISSING = "Failed to load resource"  # what the browser itself says of an answer that is an error
GONE = "The viewer was stopped"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    return [
        lift_run(folder / "lift"),
        mask_run(folder / "masks", target="predicted"),
        audit_run(folder / "audit"),
    ]


@pytest.fixture(scope="module")
def viewer(runs: list[Path]) -> Iterator[Served]:
    with served(*runs) as found:
        yield found


def views(viewer: Served) -> dict[str, str]:
    """The address of each kind of view."""
    image = viewer.id(NAME)
    return {
        "grid": address_of(0),
        "audits": address_of(2, where=({"column": "correct", "in": ["wrong"]},)),
        "lifted": address_of(0, image=image, step=3),
        "overlay": address_of(0, image=image, mode="overlay"),
        "swipe": address_of(0, image=image, mode="swipe"),
        "masked": address_of(1, image=viewer.id(NAME, 1)),
        "explained": address_of(2, image=viewer.id(NAME, 2)),
        "unkept": address_of(0, image=viewer.id("owl/3.png")),
        "failed": address_of(0, image=viewer.id("owl/25.png")),
        "beside": address_of(0, image=image, beside=1),
        "scores": address_of(0, tab="scores"),
        "nothing": address_of(7),
    }


def settle(page: Any) -> None:
    """Wait until a view is there."""
    until(
        page,
        """() => {
          const panels = [...document.querySelectorAll(".heatlift-panel")];
          const [tiles, empty] = [".tile[href]", "#waiting:not([hidden]) h1, .unkept, .bar"].map(each => document.querySelector(each));
          return panels.length ? panels.every(each => each.querySelector("a[data-format=png][href]")) : tiles || empty;
        }""",
    )


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


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("#run=9", "There is no such run here"),
        ("#run=-1", "There is no such run here"),
        ("#run=constructor", "There is no such run here"),
        ("#run=0&image=9.99", "no such image"),
        ("#run=0&image=<script>alert(1)</script>", "no such image"),
        ("#run=0&image=../../../../etc/passwd", "no such image"),
        ('#run=0&where={"column":"nothing","in":["a"]}', "nothing"),
        ("#run=0&sort=nothing", "no such column"),
    ],
)
def test_an_address_of_nothing_says_so(browser: Any, viewer: Served, address: str, says: str) -> None:
    with visiting(browser, viewer, address) as visit:
        visit.page.locator("#waiting h1, [role=alert]:not([hidden])").filter(has_text=says).first.wait_for()
        visit.complaints[:] = [each for each in visit.complaints if not each.startswith(MISSING)]


@pytest.mark.parametrize(
    "address", ["#%%%", "#where={&where=[]&where=3&where=null", "#run=&tab=x&at=1e9&step=NaN"]
)
def test_what_makes_no_sense_in_an_address_is_passed_over(browser: Any, viewer: Served, address: str) -> None:
    with visiting(browser, viewer, address) as visit:
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
    thumbnails, evolutions = folder / "thumbnails", folder / "evolutions"
    shutil.rmtree(thumbnails)
    shutil.rmtree(evolutions, ignore_errors=True)
    edit_record(folder, status="running")
    put(folder, 0, parts[0])
    address = address_of(0, sort="name", descending=0)
    with served(folder) as viewer, visiting(browser, viewer, address, quick=True) as visit:
        page = visit.page
        counted(page, 20)
        words = page.locator("#progress-words")
        assert words.inner_text().startswith("Running: 20 of 60 images")
        assert page.get_by_role("progressbar").get_attribute("value") == "20"
        tile = page.locator(".tile", has_text=NAME).first
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
        page.wait_for_timeout(400)
        asked = sum("/api/runs" in url for url in visit.asked)
        page.wait_for_timeout(600)
        assert sum("/api/runs" in url for url in visit.asked) == asked, "it still looks"


def test_a_viewer_that_was_stopped_says_so_and_comes_back(browser: Any, runs: list[Path]) -> None:
    with served(runs[0]) as viewer:
        context = browser.new_context()
        page = context.new_page()
        page.route(
            "**/static/main.js",
            lambda route: route.fulfill(
                response=(found := route.fetch()), body=found.text().replace("FOLLOW = 2000", "FOLLOW = 100")
            ),
        )
        page.goto(f"http://127.0.0.1:{viewer.port}/")
        page.locator(".tile[href]").first.wait_for()
        port = viewer.port
    page.locator(".quick .chip", has_text="wrong").click()
    notice = page.get_by_role("alert")
    notice.filter(has_text=GONE).wait_for()
    assert "heatlift view" in notice.inner_text()
    with served(runs[0], port=port):
        notice.wait_for(state="hidden")
        counted(
            page, sum(row["predicted_before"] not in (None, row["label"]) for row in rows_of(runs[0], "lift"))
        )
    context.close()


def test_names_are_only_ever_text(browser: Any, tmp_path: Path) -> None:
    folder = tmp_path / EVIL.replace("/", "")
    name = EVIL.replace("\n", " ") + "{}.png"
    like = InventedLift(images=8, steps=4, kept=2, classes=(EVIL, EVIL + "2", "\u202eowl"), image_name=name)
    like = InventedLift(**{**vars(like), "reason": EVIL})
    write_lift_run(folder, like)
    first = rows_of(folder, "lift")[0]["image"]
    with served(folder) as viewer:
        found = viewer.rows()
        ident = next(row["id"] for row in found if row["name"] == clean(first))
        addresses = [
            address_of(0),
            address_of(0, image=ident),
            address_of(0, tab="scores"),
            address_of(0, where=({"column": "name", "contains": EVIL},)),
            address_of(0, where=({"column": EVIL, "in": [EVIL]},)),
        ]
        for address in addresses:
            with visiting(browser, viewer, address) as visit:
                page = visit.page
                settle(page) if address != addresses[-1] else page.get_by_role("alert").wait_for()
                page.wait_for_timeout(100)
                assert page.locator("script:not([src])").count() == 0
                assert page.locator("img[src='x'], iframe, [onerror], [onload], style").count() == 0
                assert page.get_by_text("<script>alert(1)</script>").count() > 0
                if address == addresses[1]:
                    assert (
                        page.locator("#image h2").inner_text()
                        == clean(EVIL)[: len(page.locator("#image h2").inner_text())]
                    )
                visit.complaints[:] = [each for each in visit.complaints if not each.startswith(MISSING)]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_everyone_can_read_it(browser: Any, viewer: Served, width: int, scheme: str) -> None:
    pytest.importorskip("axe_playwright_python", reason="axe is not installed")
    with visiting(browser, viewer, width=width, color_scheme=scheme) as visit:
        page = visit.page
        settle(page)
        found = {}
        for name, address in views(viewer).items():
            page.evaluate("address => { location.hash = address; }", address)
            page.wait_for_timeout(60)
            settle(page)
            found[name] = violations(page)
        page.keyboard.press("?")
        page.get_by_role("dialog").wait_for()
        found["keys"] = violations(page)
        assert {name: each for name, each in found.items() if each} == {}


def test_it_fits_a_narrow_phone(browser: Any, viewer: Served) -> None:
    with visiting(browser, viewer, width=360, has_touch=True, is_mobile=True) as visit:
        page = visit.page
        for name, address in views(viewer).items():
            page.evaluate("address => { location.hash = address; }", address)
            page.wait_for_timeout(60)
            settle(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, name
            words = page.locator(".scroll td, .scroll th").evaluate_all(WHOLE)
            assert words == [], name


# Words of cells that are broken over lines: the widest word is wider than the cell's text has room.
WHOLE = """cells => cells.filter(cell => {
  const range = document.createRange();
  const text = cell.firstChild;
  if (!text) return false;
  return [...text.data.matchAll(/\\S+/g)].some(({index, 0: word}) => {
    if (word.includes("-") || word.includes("/")) return false;
    range.setStart(text, index);
    range.setEnd(text, index + word.length);
    return range.getClientRects().length > 1;
  });
}).map(cell => cell.textContent)"""


def test_a_wide_table_scrolls_in_its_own_box(browser: Any, viewer: Served) -> None:
    address = address_of(2, image=viewer.id(NAME, 2))
    with visiting(browser, viewer, address, width=360) as visit:
        page = visit.page
        panel(page)
        box = page.get_by_role("region", name="What each heatmap does")
        assert box.evaluate("box => box.scrollWidth > box.clientWidth + 20")
        box.focus()
        page.keyboard.press("ArrowRight")
        until(page, "() => document.querySelector('.scroll').scrollLeft > 0")
        heads = box.locator("tbody th").first
        assert heads.bounding_box()["x"] == pytest.approx(box.bounding_box()["x"], abs=1), (
            "names stay in sight"
        )


def test_everything_that_acts_has_a_name(browser: Any, viewer: Served) -> None:
    acts = {"button", "link", "slider", "checkbox", "radio", "combobox", "searchbox", "textbox", "spinbutton"}
    with visiting(browser, viewer) as visit:
        page = visit.page
        tree = visit.context.new_cdp_session(page)
        for name, address in views(viewer).items():
            page.evaluate("address => { location.hash = address; }", address)
            page.wait_for_timeout(60)
            settle(page)
            if name == "grid":
                page.get_by_text("Add filter").click()
            nodes = tree.send("Accessibility.getFullAXTree")["nodes"]
            known = [
                (each["role"]["value"], each.get("name", {}).get("value"))
                for each in nodes
                if not each["ignored"]
            ]
            found = [each for each in known if each[0] in acts]
            assert len(found) > (0 if name == "nothing" else 5), name
            assert [role for role, words in found if not (words or "").strip()] == [], name


@pytest.mark.parametrize("view", ["grid", "swipe", "scores"])
def test_the_focus_is_to_be_seen(browser: Any, viewer: Served, view: str) -> None:
    with visiting(browser, viewer, views(viewer)[view]) as visit:
        page = visit.page
        settle(page)
        seen = []
        for _ in range(18):
            page.keyboard.press("Tab")
            box = page.evaluate(AROUND)
            if box is None:
                break
            shown = page.screenshot(clip=box, animations="disabled")
            text = page.evaluate("document.activeElement.outerHTML.slice(0, 120)")
            page.evaluate("() => { window.last = document.activeElement; last.blur(); }")
            assert page.screenshot(clip=box, animations="disabled") != shown, text
            page.evaluate("() => last.focus({preventScroll: true})")
            seen.append(text)
        assert len(set(seen)) > 8
        assert all(first != second for first, second in pairwise(seen))


AROUND = """() => {
  const active = document.activeElement;
  if (active === document.body) return null;
  const {x, y, width, height} = active.getBoundingClientRect();
  return {x: Math.max(0, x - 6), y: Math.max(0, y - 6), width: width + 12, height: height + 12};
}"""


def test_a_page_without_thumbnails_or_labels(browser: Any, tmp_path: Path) -> None:
    folder = write_lift_run(tmp_path / "run", InventedLift(images=6, labelled=False, kept=1, steps=4))
    with served(folder) as viewer, visiting(browser, viewer) as visit:
        visit.page.locator(".tile[href]").first.wait_for()
        assert visit.page.locator(".tile img").count() == 0
        assert visit.page.locator(".tile .plain").count() == 6
        assert "correct" not in visit.page.locator("#images").inner_text()
        assert json.loads((folder / "run.json").read_text())["status"] == "finished"
