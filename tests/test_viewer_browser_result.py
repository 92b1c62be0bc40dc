"""The result among its steps, in a real browser: figures of the image, and of the views that steps saw."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heatlift.panel import Details, Figures, Layer, Picture, Result, panel_page
from viewer_pages import address_of, panel, pixels, visiting
from viewer_runs import lift_run
from viewers import Served, served

NAME = "owl/0.png"
SIDE = 24
SEEN = ", of this step's view"


def picture(
    steps: Sequence[int | None], own: int, view: bool, result: Result | None, neutral: int
) -> Picture:
    """A photograph with a heatmap that grows."""
    draw = np.random.default_rng(2)
    way = draw.normal(0, 0.1, (3, SIDE, SIDE))
    known = [step for step in steps if step is not None]
    layer = Layer(
        title="heatmap",
        what="what it is",
        kind="signed",
        operation="multiply" if neutral else "add",
        channels=3,
        neutral=neutral,
        steps=steps,
        own=own,
        figures=Figures(
            step=known,
            co=[8.0 + step for step in known],
            p_target=[0.01 * step for step in known],
            top=[[("tench", 0.01 * step)] for step in known],
            view=view,
        ),
        result=result,
        target="tench",
    )
    details = Details("a.png", "tench", original=True, size=(SIDE, SIDE), layers=[layer])
    original = draw.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    return Picture(details, original, None, [[neutral + way * at for at in range(len(steps))]])


@contextmanager
def shown(
    browser: Any,
    folder: Path,
    steps: Sequence[int | None] = (0, 10, 20),
    own: int = 2,
    view: bool = False,
    result: Result | None = None,
    neutral: int = 0,
) -> Iterator[Any]:
    """The panel of such an image, on a page that complains of nothing."""
    path = folder / "page.html"
    path.write_text(panel_page([picture(steps, own, view, result, neutral)]), encoding="utf-8")
    page, complaints = browser.new_page(), []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(path.as_uri())
    page.locator("output").filter(has_text="s").wait_for()
    yield page.locator(".heatlift-panel")
    assert complaints == []
    page.close()


def readings(where: Any) -> dict[str, str]:
    terms, values = (where.locator(f".readings {each}").all_inner_texts() for each in ("dt", "dd"))
    return dict(zip(terms, values, strict=True))


def to(where: Any, key: str, words: str) -> None:
    where.locator("input[name=step]").press(key)
    where.locator(f"canvas[aria-label$=', {words}']").first.wait_for()


def test_the_results_figures_are_about_the_image_and_a_steps_about_its_view(
    browser: Any, tmp_path: Path
) -> None:
    with shown(browser, tmp_path, view=True, result=Result(co=99.0, p_target=None)) as found:
        said = readings(found)
        assert said["CO score"] == "99", "certified"
        assert said[f"p(tench), target{SEEN}"] == "0.2", "nothing is known of the image itself"
        to(found, "ArrowLeft", "step 10")
        assert readings(found).items() >= {f"CO score{SEEN}": "18", f"p(tench), target{SEEN}": "0.1"}.items()
        captions = found.locator(".curves figcaption").all_inner_texts()
        assert len(captions) == 2
        assert all("of the view that each step saw" in words for words in captions)
        to(found, "End", "step 20")
        assert "CO score" in readings(found)


def test_figures_of_the_image_itself_are_called_so(browser: Any, tmp_path: Path) -> None:
    with shown(browser, tmp_path, result=Result(co=99.0, p_target=0.7)) as found:
        assert readings(found).items() >= {"CO score": "99", "p(tench), target": "0.7"}.items()
        to(found, "Home", "step 0")
        assert readings(found).items() >= {"CO score": "8", "p(tench), target": "0"}.items()
        assert "view" not in found.locator(".figures").inner_text()


def test_a_result_that_is_no_step_is_called_so(browser: Any, tmp_path: Path) -> None:
    steps = (0, 10, 20, None)
    with shown(browser, tmp_path, steps, own=3, result=Result(co=99.0, p_target=0.7)) as found:
        output, slider = found.locator("output"), found.locator("input[name=step]")
        assert output.inner_text() == "result"
        assert slider.get_attribute("aria-valuetext") == "result, CO 99"
        assert readings(found)["p(tench), target"] == "0.7"
        assert found.get_by_role("button", name="The figures are about the result").is_visible()
        width = int(found.locator(".curves figure > svg").first.get_attribute("width"))
        cursor = found.locator(".cursor").first
        assert float(cursor.get_attribute("x1")) == width - 10, "at the last step"
        to(found, "ArrowLeft", "step 20")
        assert output.inner_text() == "step 20 of 20"
        to(found, "Home", "step 0")
        found.locator(".curves figure > svg").first.click(position={"x": 40, "y": 40})
        assert output.inner_text() == "step 0 of 20", "the step itself, and not the one without number"
        to(found, "End", "result")


@pytest.mark.parametrize("neutral", [0, 1], ids=["added", "multiplied"])
def test_colours_of_a_sum_lie_around_zero(browser: Any, tmp_path: Path, neutral: int) -> None:
    with shown(browser, tmp_path, neutral=neutral) as found:
        ends = [text.replace("−", "-") for text in found.locator(".ends span").all_inner_texts()]
        assert ends[1] == "0"
        assert ends[2].startswith("+")
        assert float(ends[0]) == -float(ends[2])
        caption = found.locator("figure figcaption").nth(1)
        assert ("sum of h − 1 over" in caption.inner_text()) == bool(neutral)
        found.locator("select[name=channel]").select_option("green")
        caption.filter(has_text="green").wait_for()
        low, middle, high = (
            float(text.replace("−", "-")) for text in found.locator(".ends span").all_inner_texts()
        )
        assert middle == neutral
        assert low + high == pytest.approx(2 * neutral, abs=0.01)


def test_the_changed_image_is_said_to_be_clipped(browser: Any, tmp_path: Path) -> None:
    for neutral, sign in ((0, "+"), (1, "×")):
        with shown(browser, tmp_path, neutral=neutral) as found:
            words = f"Changed image: original {sign} heatmap, brought back to [0, 1]"
            assert words in found.locator("figcaption").all_inner_texts()


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("runs")
    long = lift_run(folder / "long", images=8, steps=70, kept=1, side=24)
    with served(lift_run(folder / "short"), long) as found:
        yield found


def test_a_plain_link_to_the_image_that_is_open_opens_exactly_its_view(browser: Any, viewer: Served) -> None:
    plain = address_of(0, image=viewer.id(NAME))
    state: dict[str, Any] = {"mode": "overlay", "opacity": 0.4, "step": 3, "channel": "red", "colours": "all"}
    with visiting(browser, viewer, address_of(0, image=viewer.id(NAME), **state)) as visit:
        page, found = visit.page, panel(visit.page)
        label = "Heatmap, red channel, step 3"
        before = pixels(found, label)
        for address, words in (
            (plain, "step 12 of 12"),
            (address_of(0, image=viewer.id(NAME), **state), "step 3"),
        ):
            page.evaluate("address => { location.hash = address; }", address)
            found.locator("output", has_text=words).wait_for()
            overlaid = "mode" in address
            assert found.get_by_role("radio", name="Overlay").is_checked() == overlaid
            assert found.locator("select[name=channel]").input_value() == ("red" if overlaid else "sum")
            assert found.locator("select[name=colours]").input_value() == ("all" if overlaid else "step")
        assert np.array_equal(pixels(found, label), before)


def test_only_long_animations_are_said_to_be_cut(browser: Any, viewer: Served) -> None:
    for run, cut in ((0, False), (1, True)):
        with visiting(browser, viewer, address_of(run, image=viewer.id(NAME, run))) as visit:
            words = panel(visit.page).locator(".files").inner_text()
            assert ("60 steps at most" in words) == cut
            assert ("all steps" in words) != cut
