"""What is done with an image in the viewer, in a real browser: steps, a divider, downloads, a second run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from heatlift.run.evolutions import Evolutions, Recorder
from heatlift.viewer.notebook import run_html
from viewer_pages import SEQUENTIAL, Visit, address_of, coloured, panel, pixels, to_step, until, visiting
from viewer_runs import audit_run, heatmap_of, lift_run, mask_run, row_of
from viewers import Served, rows_of

NAME = "owl/0.png"
LAST = 12  # step of the lifts' first image, which does not reach its score
SUM = "Heatmap, sum over red, green and blue"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    return [
        lift_run(folder / "gax"),
        lift_run(folder / "spotlight", method="spotlight", verified=False),
        _every_other_step(mask_run(folder / "masks", target="predicted"), f"target/{NAME}"),
        audit_run(folder / "audit"),
    ]


def _every_other_step(folder: Path, name: str) -> Path:
    """Keep fewer steps of an image than there were, as long runs do."""
    kept, recorder = Evolutions(folder), Recorder(1.0)
    for step in kept.steps(name)[::2]:
        recorder.add(kept.frame(name, step), step)
    kept.write(name, kept.final(name), recorder, "undesirable", kept.result(name))
    return folder


@pytest.fixture
def visit(browser: Any, viewer: Served) -> Iterator[Visit]:
    """At the first image of the first run."""
    with visiting(browser, viewer, address_of(0, image=viewer.id(NAME))) as visited:
        yield visited


def test_a_click_on_a_curve_goes_to_that_step(visit: Visit) -> None:
    shown = panel(visit.page)
    curve = shown.locator(".curves figure > svg").first
    width = int(curve.get_attribute("width"))
    curve.click(position={"x": 38 + (width - 48) * 5 / LAST, "y": 40})
    shown.locator("output", has_text=f"step 5 of {LAST}").wait_for()
    assert shown.locator("input[name=step]").input_value() == "5"


def test_the_divider_is_moved_by_keyboard_and_by_mouse(visit: Visit) -> None:
    shown, page = panel(visit.page), visit.page
    shown.get_by_role("radio", name="Swipe").check()
    divider, changed = (
        shown.get_by_role("slider", name="Divider"),
        shown.locator("canvas[aria-label^=Changed]"),
    )
    clipped = "e => parseFloat(getComputedStyle(e).clipPath.match(/([\\d.]+)%/)?.[1] ?? 0)"
    assert changed.evaluate(clipped) == 50
    divider.focus()
    page.keyboard.press("ArrowRight")
    until(page, f"() => ({clipped})(document.querySelector('canvas[aria-label^=Changed]')) === 51")
    assert divider.get_attribute("aria-valuetext") == "51% from the left"
    assert shown.locator("output").inner_text() == f"step {LAST} of {LAST}", "the step stays"
    page.keyboard.press("Home")
    assert changed.evaluate(clipped) == 0
    box = divider.bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.8, box["y"] + box["height"] / 2)
    assert changed.evaluate(clipped) == pytest.approx(80, abs=2)


def test_it_plays_and_pauses(visit: Visit) -> None:
    shown, page = panel(visit.page), visit.page
    output, button = shown.locator("output"), shown.locator("button.play")
    # Every step as it is shown: where the machine is slow, many may have gone by before one is asked for.
    output.evaluate(
        "shown => { window.seen = []; new MutationObserver(() => seen.push(shown.textContent))"
        ".observe(shown, {childList: true, characterData: true, subtree: true}); }"
    )
    button.click()
    assert button.inner_text() == "Pause"
    reaches(page, 2)
    first = page.evaluate("() => seen[0]")
    assert first in (f"step 0 of {LAST}", f"step 1 of {LAST}"), "from the first step"
    button.click()
    assert button.inner_text() == "Play"
    stopped = output.inner_text()
    page.wait_for_timeout(400)
    assert output.inner_text() == stopped
    to_step(shown, page, "End", LAST)
    to_step(shown, page, "ArrowLeft", LAST - 1)
    page.locator("#image h2").focus()
    page.keyboard.press("Space")
    until(page, "() => document.querySelector('button.play').textContent === 'Play'")
    assert output.inner_text() == f"step {LAST} of {LAST}"


def reaches(page: Any, step: int) -> None:
    """Wait until a playing slider has come to a step, which it soon leaves."""
    until(page, "step => Number(document.querySelector('input[name=step]').value) >= step", step)


def test_nothing_plays_on_its_own(browser: Any, viewer: Served) -> None:
    address = address_of(0, image=viewer.id(NAME), step=2)
    with visiting(browser, viewer, address, reduced_motion="reduce") as visit:
        shown = panel(visit.page)
        visit.page.wait_for_timeout(500)
        assert shown.locator("output").inner_text() == f"step 2 of {LAST}"
        durations = "all => all.map(each => parseFloat(getComputedStyle(each).transitionDuration))"
        assert set(visit.page.locator("*").evaluate_all(durations)) == {0}
        shown.locator("button.play").click()
        reaches(visit.page, 4)


def test_what_was_not_kept_says_how_to_keep_it(browser: Any, viewer: Served, runs: list[Path]) -> None:
    for run, word in ((0, "--keep-steps"), (2, "--keep-steps"), (3, "dozen")):
        other = viewer.id("owl/3.png", run)
        with visiting(browser, viewer, address_of(run, image=other)) as visit:
            said = visit.page.locator(".unkept")
            said.wait_for()
            assert word in said.inner_text()
            picture = said.locator("img")
            until(visit.page, "() => document.querySelector('.unkept img').complete")
            assert picture.evaluate("p => p.naturalWidth") == 96
    failed = rows_of(runs[0], "lift")[-1]
    with visiting(browser, viewer, address_of(0, image=viewer.id(failed["image"]))) as visit:
        visit.page.get_by_text("Nothing was computed").wait_for()
        assert failed["status"] in visit.page.locator(".badge").inner_text()


def test_the_second_network_is_heard(visit: Visit, runs: list[Path]) -> None:
    row = row_of(runs[0], "lift", image=NAME)
    said = panel(visit.page).locator(".second").inner_text()
    assert "other-net" in said
    assert f"{row['p_verify_before']:.2f} → {row['p_verify_after']:.2f}" in said
    assert f"predicts {('cat', 'dog', 'owl')[row['predicted_verify_before']]} before and after" in said


def test_what_is_downloaded_can_be_opened(visit: Visit, tmp_path: Path) -> None:
    shown = panel(visit.page)
    for form, frames in (("png", 1), ("gif", LAST + 1), ("webp", LAST + 1)):
        with visit.page.expect_download() as waiting:
            shown.locator(f"a[data-format={form}]").click()
        path = tmp_path / waiting.value.suggested_filename
        waiting.value.save_as(path)
        assert path.suffix == f".{form}"
        with Image.open(path) as found:
            assert found.format.lower() == form
            assert getattr(found, "n_frames", 1) == frames
            found.load()
            assert min(found.size) >= 48


def test_two_runs_beside_each_other(browser: Any, viewer: Served, runs: list[Path]) -> None:
    address = address_of(0, image=viewer.id(NAME))
    with visiting(browser, viewer, address) as visit:
        page = visit.page
        panel(page)
        beside = page.get_by_label("Beside it")
        assert beside.locator("option").all_inner_texts() == ["nothing", "spotlight", "masks", "audit"]
        beside.select_option("masks")
        first, second = panel(page, 0), panel(page, 1)
        outputs = [each.locator("output") for each in (first, second)]
        second.locator("output", has_text="step 20 of 20").wait_for()
        to_step(first, page, "Home", 0)
        outputs[1].filter(has_text="step 0 of 20").wait_for()
        to_step(second, page, "End", 20)
        outputs[0].filter(has_text=f"step {LAST} of {LAST}").wait_for()
        to_step(first, page, "ArrowLeft", 11)
        outputs[1].filter(has_text="step 10 of 20").wait_for()
        taken = heatmap_of(runs[2], f"target/{NAME}", 10)[0]
        mask = pixels(second, "Mask: share taken away, step 10")[..., :3]
        assert np.abs(mask - coloured(taken, SEQUENTIAL)).max() <= 6
        page.get_by_label("Move both sliders together").uncheck()
        to_step(first, page, "Home", 0)
        page.wait_for_timeout(300)
        assert outputs[1].inner_text() == "step 10 of 20"
        assert "linked=0" in page.url
        again = visit.pages(page.url.partition("/#")[2].join(["#", ""]))
        panel(again, 1).locator("output", has_text="step 10 of 20").wait_for()
        assert panel(again, 0).locator("output").inner_text() == f"step 0 of {LAST}"


def test_a_notebook_tells_the_same(browser: Any, viewer: Served, runs: list[Path], tmp_path: Path) -> None:
    """Of each image that a notebook's page holds: its title, facts and tables are those of the viewer."""
    path = tmp_path / "notebook.html"
    path.write_text(f"<!doctype html><title>notebook</title>{run_html(runs[0])}", encoding="utf-8")
    told = ".heatlift-names h2, .heatlift-about dl, .heatlift-about th, .heatlift-about td"
    context = browser.new_context()
    page = context.new_page()
    page.goto(path.as_uri())
    inside = page.frame_locator("iframe")
    chooser = inside.locator(".heatlift-embedded > .field select")
    names = chooser.locator("option").all_inner_texts()
    assert len(names) == 3
    for name in names:
        chooser.select_option(label=name)
        inside.locator(f".heatlift-names [title='{name}']").wait_for()
        found = inside.locator(told).all_inner_texts()
        with visiting(browser, viewer, address_of(0, image=viewer.id(name))) as visit:
            panel(visit.page)
            assert found == visit.page.locator(f"#image :is({told})").all_inner_texts()
        assert len(found) > 20
    context.close()
