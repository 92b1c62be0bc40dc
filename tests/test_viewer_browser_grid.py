"""The viewer's grid in a real browser: tiles, thousands of them, and the keyboard."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from viewer_pages import Visit, address_of, count, names, panel, until, visiting
from viewer_runs import MANY, correct, in_order, of_many_images
from viewers import Rows, Served, rows_of

CLASSES = ("cat", "dog", "owl")
FOCUSED = "() => document.activeElement.title.split(': ')[0]"


# All tiles are filled, and some are in sight.
ARRIVED = """() => {
  const tiles = [...document.querySelectorAll(".tile")];
  const tops = tiles.map(tile => tile.getBoundingClientRect().top);
  return tiles.every(tile => tile.href) && tops.some(top => top > 0 && top < innerHeight);
}"""


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


def test_every_image_has_a_tile_in_the_order_of_the_run(visit: Visit, runs: list[Path]) -> None:
    rows = lifts(runs)
    assert count(visit.page) == len(rows) == 40
    assert names(visit.page) == in_order(rows, "co")
    by_name = {row["image"]: row for row in rows}
    tiles = visit.page.locator(".tile")
    kept = 0
    for place, name in enumerate(names(visit.page)):
        row, text = by_name[name], tiles.nth(place).inner_text()
        if row["status"] != "ok":
            assert row["status"] in text
        elif correct(row):
            assert "correct" in text
        else:
            assert f"wrong: {CLASSES[row['predicted_before']]}" in text
        assert CLASSES[row["label"]] in text
        if row["co"] is not None:
            value = float(tiles.nth(place).locator(".shown span").nth(1).inner_text())
            assert value == pytest.approx(row["co"], rel=0.006)
        kept += tiles.nth(place).get_by_text("with heatmaps").count()
    assert kept == 3


def test_thumbnails_are_those_of_the_run(visit: Visit, runs: list[Path]) -> None:
    page = visit.page
    until(page, "() => [...document.querySelectorAll('.tile img')].every(picture => picture.complete)")
    kept = {row["image"]: row["thumbnail"] for row in rows_of(runs[0], "thumbnails")}
    tiles = dict(zip(names(page), page.locator(".tile").all(), strict=True))
    assert {name for name, tile in tiles.items() if tile.locator("img").count()} == set(kept)
    for name in list(kept)[:5]:
        drawn = (
            tiles[name]
            .locator("img")
            .evaluate(
                """picture => {
              const canvas = document.createElement("canvas");
              [canvas.width, canvas.height] = [picture.naturalWidth, picture.naturalHeight];
              canvas.getContext("2d").drawImage(picture, 0, 0);
              return canvas.toDataURL();
            }"""
            )
        )
        found = Image.open(io.BytesIO(base64.b64decode(drawn.partition(",")[2]))).convert("RGB")
        expected = Image.open(io.BytesIO(kept[name])).convert("RGB")
        assert np.abs(np.asarray(found, float) - np.asarray(expected, float)).mean() < 2
    without = next(tile for name, tile in tiles.items() if name not in kept)
    assert without.locator(".plain").inner_text() in tiles


def test_thousands_are_scrolled_through_with_few_elements(
    browser: Any, viewer: Served, runs: list[Path]
) -> None:
    wanted = in_order(rows_of(runs[2], "lift"), "co")
    with visiting(browser, viewer, address_of(2)) as visit:
        page = visit.page
        page.locator(".tile[href]").first.wait_for()
        assert count(page) == MANY
        most = 0
        for share in (0.25, 0.6, 0.9, 1):
            page.evaluate("share => scrollTo(0, share * document.documentElement.scrollHeight)", share)
            until(page, ARRIVED)
            places = page.locator("#images li").evaluate_all("all => all.map(each => +each.ariaPosInSet - 1)")
            assert places == sorted(places)
            assert names(page) == [wanted[place] for place in places]
            most = max(most, len(places))
        assert places[-1] == MANY - 1
        assert most < 150
        assert page.locator("*").count() < 2500
        asked = [url for url in visit.asked if "/images?" in url]
        assert len(asked) < 20
        until(page, "() => new URLSearchParams(location.hash.slice(1)).get('at') > 2800")
        place = page.evaluate("() => new URLSearchParams(location.hash.slice(1)).get('at')")
        again = visit.pages(f"#{page.url.partition('#')[2]}")
        again.locator(f"li[aria-posinset='{int(place) + 1}'] .tile[href]").wait_for()
        assert again.locator(f"li[aria-posinset='{int(place) + 1}']").is_visible()


def test_keys_move_through_the_tiles(visit: Visit, runs: list[Path]) -> None:
    page, order = visit.page, in_order(lifts(runs), "co")
    lefts = page.locator("#images li").evaluate_all("all => all.map(each => each.getBoundingClientRect().x)")
    across = len(set(lefts))
    page.locator(".tile").first.focus()
    at = 0
    for key, moved in (
        ("ArrowRight", 1),
        ("ArrowRight", 1),
        ("ArrowDown", across),
        ("ArrowLeft", -1),
        ("ArrowUp", -across),
        ("ArrowUp", 0),
    ):
        page.keyboard.press(key)
        at += moved
        assert page.evaluate(FOCUSED) == order[at], key
    page.keyboard.press("End")
    assert page.evaluate(FOCUSED) == order[-1]
    page.keyboard.press("Home")
    assert page.evaluate(FOCUSED) == order[0]
    assert page.locator(".tile[tabindex='0']").count() == 1


def test_keys_move_beyond_what_is_loaded(browser: Any, viewer: Served, runs: list[Path]) -> None:
    wanted = in_order(rows_of(runs[2], "lift"), "co")
    with visiting(browser, viewer, address_of(2)) as visit:
        page = visit.page
        page.locator(".tile[href]").first.focus()
        page.keyboard.press("End")
        until(page, f"name => ({FOCUSED})() === name", wanted[-1])
        page.keyboard.press("ArrowLeft")
        until(page, f"name => ({FOCUSED})() === name", wanted[-2])
        page.keyboard.press("Home")
        until(page, f"name => ({FOCUSED})() === name", wanted[0])


def test_enter_opens_and_escape_returns_to_the_same_tile(
    browser: Any, viewer: Served, runs: list[Path]
) -> None:
    wanted = in_order(rows_of(runs[2], "lift"), "co")
    with visiting(browser, viewer, address_of(2)) as visit:
        page = visit.page
        page.locator(".tile[href]").first.focus()
        for _ in range(12):
            page.keyboard.press("ArrowDown")
        name = page.evaluate(FOCUSED)
        before, place = page.evaluate("scrollY"), wanted.index(name)
        assert before > 0
        page.keyboard.press("Enter")
        page.locator("#image h2").wait_for()
        assert page.locator("#image article").get_attribute("aria-label").startswith(name)
        page.get_by_text(f"{place + 1} of {MANY:,}").wait_for()
        page.keyboard.press("Escape")
        until(page, f"name => ({FOCUSED})() === name", name)
        assert page.evaluate("scrollY") == pytest.approx(before, abs=2)


def test_brackets_go_through_the_list(visit: Visit, runs: list[Path]) -> None:
    page, order = visit.page, in_order(lifts(runs), "co")
    page.locator(".tile").nth(1).click()
    for key, place in (("]", 2), ("n", 3), ("[", 2), ("p", 1), ("[", 0)):
        page.locator(".steps button").first.wait_for()
        page.keyboard.press(key)
        page.locator(f"article[aria-label^='{order[place]} ']").wait_for()
        page.get_by_text(f"{place + 1} of 40").wait_for()
    assert page.get_by_role("button", name="Previous").is_disabled()
    page.keyboard.press("Escape")
    until(page, f"name => ({FOCUSED})() === name", order[0])


def test_a_slash_finds_and_a_question_mark_explains(visit: Visit) -> None:
    page = visit.page
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    assert dialog.is_visible()
    page.keyboard.press("/")
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "find"
    page.keyboard.type("?/")
    assert page.get_by_label("Find by name").input_value() == "?/"
    assert not dialog.is_visible()


def test_where_nothing_was_kept_images_still_open(browser: Any, viewer: Served) -> None:
    with visiting(browser, viewer, address_of(2)) as visit:
        visit.page.locator(".tile[href]").first.click()
        visit.page.get_by_text("--keep-steps").wait_for()
        assert visit.page.locator("table", has_text="CO score").is_visible()
        assert visit.page.locator(".heatlift-panel").count() == 0


def test_it_opens_the_image_that_was_clicked(visit: Visit) -> None:
    tile = visit.page.locator(".tile", has_text="with heatmaps").first
    name = tile.get_attribute("title")
    tile.click()
    panel(visit.page)
    assert visit.page.locator("article").get_attribute("aria-label") == f"{name} in lift"
    assert visit.page.locator(".heatlift-names .name").inner_text() == name
