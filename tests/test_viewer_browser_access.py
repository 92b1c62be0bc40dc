"""Who can use the viewer: by screen reader, by keyboard, on a phone, in the dark."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from viewer_pages import address_of, panel, until, violations, visiting
from viewer_runs import one_of_each
from viewers import Served

NAME = "owl/0.png"


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


AROUND = """() => {
  const active = document.activeElement;
  if (active === document.body) return null;
  const {x, y, width, height} = active.getBoundingClientRect();
  return {x: Math.max(0, x - 6), y: Math.max(0, y - 6), width: width + 12, height: height + 12};
}"""


# Looked at in one theme at each width.
RARE = ("audits", "overlay", "swipe", "unkept", "failed", "nothing")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return one_of_each(tmp_path_factory.mktemp("runs"))


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


def go(page: Any, address: str) -> None:
    """To another view without loading the page again."""
    page.evaluate("address => { location.hash = address; }", address)
    page.wait_for_timeout(60)
    settle(page)


def settle(page: Any) -> None:
    """Wait until a view is there."""
    until(
        page,
        """() => {
          const panels = [...document.querySelectorAll("#image:not([hidden]) .heatlift-panel")];
          if (panels.length) return panels.every(each => each.querySelector("a[data-format=png][href]"));
          const others = ["#images .tile[href]", "#scores .bar", "#image .unkept", "#waiting h1"];
          return others.some(each => document.querySelector(each)?.checkVisibility());
        }""",
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_everyone_can_read_it(browser: Any, viewer: Served, width: int, scheme: str) -> None:
    pytest.importorskip("axe_playwright_python", reason="axe is not installed")
    with visiting(browser, viewer, width=width, color_scheme=scheme) as visit:
        page = visit.page
        settle(page)
        found = {}
        for name, address in views(viewer).items():
            if name in RARE and (width, scheme) in [(390, "light"), (1280, "dark")]:
                continue
            go(page, address)
            found[name] = violations(page)
        page.keyboard.press("?")
        page.get_by_role("dialog").wait_for()
        found["keys"] = violations(page)
        assert {name: each for name, each in found.items() if each} == {}


def test_it_fits_a_narrow_phone(browser: Any, viewer: Served) -> None:
    with visiting(browser, viewer, width=360, has_touch=True, is_mobile=True) as visit:
        page = visit.page
        for name, address in views(viewer).items():
            go(page, address)
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, name
            words = page.locator(".scroll td, .scroll th").evaluate_all(WHOLE)
            assert words == [], name


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
            go(page, address)
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
