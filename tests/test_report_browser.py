"""The report in a real browser: what it loads, how it sorts, chooses and slides, and how it fits a phone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from heatlift.report import write_report
from lift_runs import InventedLift, write_lift_run
from runs import Invented, write_example, write_run
from undesirable_runs import InventedMasks, write_undesirable_run

METHODS = ("saliency", "captum:IntegratedGradients", "deeplift", "layer_gradcam@stem", "layer_gradcam@late")
STAGES = [
    {"method": f"layer_gradcam@{layer}", "base": "layer_gradcam", "layer": layer, "size": [side, side]}
    for layer, side in (("stem", 112), ("late", 7))
]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    like = Invented(
        methods=METHODS, scales=(0.1, 1.0), indicators=("laboratory.tests:good",), run={"stages": STAGES}
    )
    run = write_run(tmp_path_factory.mktemp("run"), like)
    for number in range(2):
        write_example(run, number, (*METHODS, "zero", "noise"))
    return write_report(run)


@pytest.fixture(scope="module")
def lift_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    like = InventedLift(images=200, side=64, steps=40)
    return write_report(write_lift_run(tmp_path_factory.mktemp("lift"), like))


@pytest.fixture(scope="module")
def masks_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    like = InventedMasks(images=120, side=64, trials=2, stepped=2, worse=30.0)
    return write_report(write_undesirable_run(tmp_path_factory.mktemp("masks"), like))


@pytest.fixture(params=["path", "lift_path", "masks_path"])
def any_path(request: pytest.FixtureRequest) -> Path:
    """The report of any kind of run."""
    found: Path = request.getfixturevalue(request.param)
    return found


class Visit:
    """A page with everything that it complained of or asked for."""

    def __init__(self, browser: Any, path: Path, width: int = 1400, **options: Any) -> None:
        self.page = browser.new_page(viewport={"width": width, "height": 900}, **options)
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())


@pytest.fixture
def visit(browser: Any, path: Path) -> Iterator[Visit]:
    visited = Visit(browser, path)
    yield visited
    visited.page.close()
    assert visited.complaints == []


def column(page: Any, title: str) -> list[str]:
    """The texts of a column of the table of all heatmaps, from top to bottom."""
    return page.evaluate(
        """title => {
          const table = document.getElementById("methods");
          const heads = [...table.tHead.rows[0].cells];
          const place = heads.findIndex(head => head.textContent.trim() === title);
          return [...table.tBodies[0].rows].map(row => row.cells[place].firstChild.textContent.trim());
        }""",
        title,
    )


def numbers(texts: list[str]) -> list[float]:
    return [float(text.replace("−", "-").replace(",", "")) for text in texts]


def test_it_asks_for_nothing_but_itself(browser: Any, any_path: Path) -> None:
    visit = Visit(browser, any_path)
    visit.page.evaluate("scrollTo(0, document.body.scrollHeight)")
    visit.page.wait_for_timeout(200)
    outside = [url for url in visit.requests if not url.startswith("data:")]
    assert outside == [any_path.as_uri()]
    assert visit.complaints == []
    visit.page.close()


def test_the_policy_stops_a_foreign_script(browser: Any, path: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed.html"
    injected = "<script>document.title = 'taken over'</script></body>"
    changed.write_text(path.read_text(encoding="utf-8").replace("</body>", injected), encoding="utf-8")
    visit = Visit(browser, changed)
    assert visit.page.title() != "taken over"
    assert any("Content Security Policy" in complaint for complaint in visit.complaints)
    visit.page.close()


def test_a_click_sorts_numbers_as_numbers_both_ways(visit: Visit) -> None:
    before = column(visit.page, "Gap")
    head = visit.page.locator("#methods thead th", has_text=re.compile(r"^\s*Gap\s*$"))
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert numbers(column(visit.page, "Gap")) == sorted(numbers(before), reverse=True)
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert numbers(column(visit.page, "Gap")) == sorted(numbers(before))
    assert column(visit.page, "Gap") != before
    assert visit.page.locator("#methods [aria-sort]").count() == 1


def test_the_keyboard_sorts_too(visit: Visit) -> None:
    before = column(visit.page, "Heatmap")
    visit.page.locator("#methods thead button").first.focus()
    visit.page.keyboard.press("Enter")
    assert column(visit.page, "Heatmap") == sorted(before)
    visit.page.keyboard.press("Space")
    assert column(visit.page, "Heatmap") == sorted(before, reverse=True)


def test_rows_without_a_number_come_last_in_either_order(visit: Visit) -> None:
    head = visit.page.locator("#methods thead th", has_text="Completeness error")
    for _ in range(2):
        head.locator("button").click()
        texts = column(visit.page, "Completeness error")
        known = [text != "–" for text in texts]
        assert any(known)
        assert known == sorted(known, reverse=True)


def test_the_chooser_shows_one_heatmap_at_a_time(visit: Visit) -> None:
    page = visit.page

    def shown() -> list[str]:
        return page.evaluate(
            "[...document.querySelectorAll('.choice')].filter(c => !c.hidden).map(c => c.dataset.choice)"
        )

    chooser = page.get_by_label("Heatmap and operation")
    assert shown() == [chooser.input_value()]
    chooser.select_option(label="noise/multiply")
    assert shown() == [chooser.input_value()]
    assert "noise/multiply" in page.locator(".choice:visible .finding").first.inner_text()


def shown(evolution: Any) -> list[str]:
    """What the pictures of an evolution that are to be seen say of themselves."""
    return evolution.evaluate(
        "e => [...e.querySelectorAll('.film img')].filter(p => p.checkVisibility()).map(p => p.alt)"
    )


def test_the_slider_goes_through_the_steps_by_keyboard(browser: Any, lift_path: Path) -> None:
    visit = Visit(browser, lift_path)
    first, second = (visit.page.locator(".evolution").nth(place) for place in range(2))
    slider, frames = first.get_by_label("Step"), first.locator(".frames li")
    assert slider.get_attribute("type") == "range"
    untouched = shown(second)
    wanted = [frames.nth(place).evaluate("f => ({...f.dataset})") for place in range(frames.count())]
    slider.focus()
    for key, place in (("Home", 0), ("ArrowRight", 1), ("ArrowUp", 2), ("ArrowLeft", 1), ("End", -1)):
        visit.page.keyboard.press(key)
        step, score = wanted[place]["step"], wanted[place]["score"]
        assert shown(first) == [f"Heatmap after {step} steps", f"Augmented image after {step} steps"]
        assert first.locator("output").inner_text() == f"{step} of {wanted[-1]['step']}, CO score {score}"
        assert first.locator(".largest").inner_text() == wanted[place]["largest"]
        assert first.locator(".limit").inner_text() == wanted[place]["limit"]
        assert slider.get_attribute("aria-valuetext") == f"step {step}, CO score {score}"
    assert shown(second) == untouched
    assert visit.complaints == []
    visit.page.close()


def test_one_slider_goes_through_the_steps_of_every_factor(browser: Any, masks_path: Path) -> None:
    visit = Visit(browser, masks_path)
    evolution = visit.page.locator(".evolution").first
    slider, frames = evolution.get_by_label("Step"), evolution.locator(".frames li")
    assert visit.page.locator(".evolution").count() == 2
    assert visit.page.locator(".still").count() == 3
    names = ("F-TC", "F-NTC", "no factor")
    for key, place in (("Home", 0), ("ArrowRight", 1), ("End", -1)):
        slider.focus()
        visit.page.keyboard.press(key)
        frame = frames.nth(place).evaluate("f => ({...f.dataset})")
        step = frame["step"]
        assert shown(evolution) == [f"What the {name} mask takes away after {step} steps" for name in names]
        assert evolution.locator("output").inner_text() == f"{step} of 20"
        assert slider.get_attribute("aria-valuetext") == f"step {step}"
        for factor in range(3):
            assert evolution.locator(f".area{factor}").inner_text() == frame[f"area{factor}"]
            assert evolution.locator(f".largest{factor}").inner_text() == frame[f"largest{factor}"]
    assert visit.complaints == []
    visit.page.close()


def test_a_mask_lies_over_its_photograph(browser: Any, masks_path: Path) -> None:
    visit = Visit(browser, masks_path)
    layers = visit.page.locator(".layers")
    for place in range(layers.count()):
        behind, sides, original = layers.nth(place).evaluate(
            """e => [getComputedStyle(e).backgroundImage, [e.clientWidth, e.clientHeight],
                     e.closest("article").querySelector(".original img").src]"""
        )
        assert behind == f'url("{original}")'
        assert abs(sides[0] - sides[1]) <= 1
        assert sides[0] > 100
    visit.page.close()


def test_a_wrong_prediction_leads_to_its_picture(browser: Any, masks_path: Path) -> None:
    visit = Visit(browser, masks_path, 700)
    link = visit.page.locator("#turned a").first
    name = link.inner_text()
    link.click()
    heading = visit.page.locator(":target h3")
    assert heading.inner_text() == name
    assert heading.evaluate("e => e.getBoundingClientRect().top >= 0")
    visit.page.close()


def test_every_step_has_a_picture_of_its_own(browser: Any, lift_path: Path) -> None:
    visit = Visit(browser, lift_path)
    evolution = visit.page.locator(".evolution").first
    seen = set()
    for place in range(evolution.locator(".frames li").count()):
        evolution.get_by_label("Step").fill(str(place))
        pictures = evolution.evaluate(
            "e => [...e.querySelectorAll('.film img:not([hidden])')].map(p => [p.src, p.naturalWidth])"
        )
        assert [width for _, width in pictures] == [64, 64]
        seen.add(pictures[1][0])
    assert len(seen) == evolution.locator(".frames li").count() > 10
    visit.page.close()


def test_without_scripts_the_last_step_stands(browser: Any, lift_path: Path) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.goto(lift_path.as_uri())
    assert page.locator("input:visible").count() == 0
    assert page.locator(".stepper label:visible").count() == 0
    evolution = page.locator(".evolution").first
    last = evolution.locator(".frames li").last.get_attribute("data-step")
    pictures = evolution.locator(".film img:visible")
    assert [pictures.nth(place).get_attribute("alt") for place in range(pictures.count())] == [
        f"Heatmap after {last} steps",
        f"Augmented image after {last} steps",
    ]
    assert evolution.locator("output").inner_text().startswith(f"{last} of {last}")
    page.close()


def test_without_scripts_everything_is_there(browser: Any, path: Path) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.goto(path.as_uri())
    assert page.locator(".choice svg:visible").count() == 3 * 2 * (len(METHODS) + 2)
    assert page.locator("#chooser:visible").count() == 0
    assert page.locator("thead button").count() == 0
    assert page.locator("#methods tbody tr:visible").count() == 2 * 2 * (len(METHODS) + 2)
    page.close()


def test_a_folded_table_opens_and_sorts_by_keyboard(visit: Visit) -> None:
    table = visit.page.locator("#added-values")
    assert not table.is_visible()
    visit.page.locator("details", has=table).locator("summary").focus()
    visit.page.keyboard.press("Enter")
    assert table.is_visible()
    visit.page.keyboard.press("Tab")  # what scrolls
    visit.page.keyboard.press("Tab")
    visit.page.keyboard.press("Enter")
    names = table.locator("tbody th").all_inner_texts()
    assert names == sorted(names, key=str.casefold)


def test_tab_goes_down_the_page(visit: Visit) -> None:
    """What can be reached by keyboard is reached from top to bottom, the navigation first."""
    places = []
    for _ in range(30):
        visit.page.keyboard.press("Tab")
        places.append(
            visit.page.evaluate(
                "e => [(e = document.activeElement).tagName, e.getBoundingClientRect().top + scrollY]"
            )
        )
    assert [tag for tag, _ in places[:11]] == ["A"] * 11
    regions = [round(top) for _, top in places]
    assert all(after >= before - 40 for before, after in pairwise(regions))


def test_every_link_of_the_navigation_leads_to_a_heading_in_sight(visit: Visit) -> None:
    for link in visit.page.locator("nav a").all():
        link.click()
        heading = visit.page.locator(":target")
        top = heading.evaluate("e => e.getBoundingClientRect().top")
        assert -1 <= top < 900
        assert heading.evaluate("e => e.tagName") == "H2"


def test_on_paper_every_heatmap_is_shown_closely(browser: Any, path: Path) -> None:
    visit = Visit(browser, path)
    assert visit.page.locator(".choice:visible").count() == 1
    visit.page.emulate_media(media="print")
    visit.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert visit.page.locator(".choice:visible").count() == 2 * (len(METHODS) + 2)
    assert visit.page.locator("#added-values").is_visible()
    visit.page.close()


@pytest.mark.parametrize("width", [400, 700, 1400])
def test_no_page_scrolls_sideways(browser: Any, any_path: Path, width: int) -> None:
    visit = Visit(browser, any_path, width)
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    visit.page.close()


def test_figures_stay_legible_on_a_phone(browser: Any, any_path: Path) -> None:
    visit = Visit(browser, any_path, 400)
    sizes = visit.page.evaluate(
        """[...document.querySelectorAll(".plate svg text")].filter(t => t.checkVisibility()).map(t =>
             parseFloat(getComputedStyle(t).fontSize) * t.ownerSVGElement.getScreenCTM().a)"""
    )
    assert sizes
    assert min(sizes) >= 9.5
    visit.page.close()


@pytest.mark.parametrize("width", [400, 1400])
def test_words_in_a_figure_stay_inside_it_and_apart(browser: Any, any_path: Path, width: int) -> None:
    visit = Visit(browser, any_path, width)
    clashes = visit.page.evaluate(
        """() => {
          const found = [];
          for (const svg of document.querySelectorAll(".plate svg")) {
            if (!svg.checkVisibility()) continue;
            const frame = svg.getBoundingClientRect();
            const texts = [...svg.querySelectorAll("text")].filter(text => text.textContent.trim());
            const boxes = texts.map(text => text.getBoundingClientRect());
            boxes.forEach((a, i) => {
              if (a.left < frame.left - 12 || a.right > frame.right + 12 || a.bottom > frame.bottom + 1)
                found.push(`outside: ${texts[i].textContent}`);
              boxes.slice(i + 1).forEach((b, j) => {
                const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
                const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
                if (across > 1 && down > a.height / 3)
                  found.push(`${texts[i].textContent} on ${texts[i + 1 + j].textContent}`);
              });
            });
          }
          return found;
        }"""
    )
    assert clashes == []
    visit.page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_in_light_and_dark(browser: Any, any_path: Path, scheme: str) -> None:
    visit = Visit(browser, any_path, color_scheme=scheme)
    style = "e => [getComputedStyle(e).color, getComputedStyle(document.body).backgroundColor]"
    for selector in ("h1", ".verdict", "figcaption", ".control td", "a", "small", "output"):
        if not visit.page.locator(selector).count():
            continue
        assert contrast(*visit.page.locator(selector).first.evaluate(style)) >= 4.5, selector
    ink = "e => [getComputedStyle(e).fill, getComputedStyle(document.body).backgroundColor]"
    for place in range(visit.page.locator("#answer ~ .pair svg text").count()):
        text = visit.page.locator("#answer ~ .pair svg text").nth(place)
        assert contrast(*text.evaluate(ink)) >= 4.0, text.text_content()
    bright = luminance(visit.page.locator("body").evaluate("e => getComputedStyle(e).backgroundColor"))
    assert (bright > 0.5) == (scheme == "light")
    visit.page.close()


def test_on_paper_everything_is_unfolded_and_light(browser: Any, any_path: Path) -> None:
    visit = Visit(browser, any_path, color_scheme="dark")
    visit.page.emulate_media(media="print")
    visit.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert visit.page.locator("details:not([open])").count() == 0
    background = visit.page.locator("body").evaluate("e => getComputedStyle(e).backgroundColor")
    assert luminance(background) > 0.9
    visit.page.close()


def luminance(colour: str) -> float:
    """Relative luminance of a computed ``rgb(...)`` (WCAG 2)."""
    channels = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    """Contrast ratio of two computed colours (WCAG 2)."""
    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)
