"""A notebook's page in a real browser: what it draws, what it asks for, and names that try to break out."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heatlift.panel import Details, Figures, Layer, Picture, Second, panel_frame, panel_page
from heatlift.wording import clean
from pages import EVIL

HIGH, WIDE, STEPS = 30, 40, 6

Array = np.ndarray[Any, Any]


def original(seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(0, 256, (HIGH, WIDE, 3), dtype=np.uint8)


def heatmaps(operation: str) -> list[Array]:
    """Of growing strength."""
    rng = np.random.default_rng(1)
    if operation == "blur":
        return [rng.random((1, HIGH, WIDE)) * (step + 1) / STEPS for step in range(STEPS)]
    whole = rng.normal(0, 0.3, (3, HIGH, WIDE))
    return [(operation == "multiply") + whole * (step + 1) / STEPS for step in range(STEPS)]


def picture(operation: str = "add", name: str = "photos/tench.png", text: str = "tench") -> Picture:
    frames = heatmaps(operation)
    p = [0.1 * step for step in range(STEPS)]
    layer = Layer(
        title=text,
        what=text,
        kind="taken" if operation == "blur" else "signed",
        operation=operation,
        channels=len(frames[0]),
        neutral=float(operation == "multiply"),
        steps=range(0, 10 * STEPS, 10),
        own=4,
        own_words=text,
        figures=Figures(
            step=range(0, 10 * STEPS, 10),
            co=[8.0 * step for step in range(STEPS)],
            p_target=p,
            p_label=p,
            top=[[(text, share), ("goldfish", (1 - share) / 2)] for share in p],
        ),
        target=text,
        label=text,
        second=Second(text, "0.30", "0.41", text, text),
    )
    masked = operation == "blur"
    details = Details(name, text, original=True, reference=masked, size=(WIDE, HIGH), layers=[layer])
    return Picture(details, original(), original(7) if masked else None, [frames])


class Visit:
    """A page opened from a file, with everything that it complained of or asked for."""

    def __init__(self, browser: Any, path: Path, html: str, width: int = 1100, **options: Any) -> None:
        path.write_text(html, encoding="utf-8")
        self.page = browser.new_page(viewport={"width": width, "height": 900}, **options)
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())

    def ready(self, where: Any = None) -> Any:
        """The panel, once it has drawn a frame."""
        found = (where or self.page).locator(".heatlift-panel")
        found.locator(".stage canvas").first.wait_for()
        found.locator("output", has_text="step").wait_for()
        return found


@pytest.fixture
def visit(browser: Any, tmp_path: Path) -> Iterator[Visit]:
    visited = Visit(browser, tmp_path / "page.html", panel_page([picture()]))
    yield visited
    visited.page.close()
    assert visited.complaints == []
    assert [url for url in visited.requests if not url.startswith(("data:", "file:"))] == []
    assert len([url for url in visited.requests if url.startswith("file:")]) == 1


def canvas(panel: Any, label: str) -> Array:
    """What a canvas shows, (h, w, 3)."""
    found = panel.locator(f"canvas[aria-label^='{label}']").evaluate(
        """shown => {
          const [w, h] = [shown.width, shown.height];
          const copy = new OffscreenCanvas(w, h).getContext("2d", {willReadFrequently: true});
          copy.drawImage(shown, 0, 0);
          return {w, h, d: [...copy.getImageData(0, 0, w, h).data]};
        }"""
    )
    return np.asarray(found["d"]).reshape(found["h"], found["w"], 4)[..., :3]


def step(panel: Any) -> str:
    return str(panel.locator("output").inner_text())


def changed(operation: str, place: int) -> Array:
    """The changed image as the papers define it."""
    x, g = original().transpose(2, 0, 1) / 255, original(7).transpose(2, 0, 1) / 255
    h = heatmaps(operation)[place]
    found = {"add": x + h, "multiply": x * h, "blur": x * (1 - h) + g * h}[operation]
    return np.rint(np.clip(found, 0, 1) * 255).transpose(1, 2, 0)


@pytest.mark.parametrize("operation", ["add", "multiply", "blur"])
def test_it_draws_the_changed_image_of_its_own_step(browser: Any, tmp_path: Path, operation: str) -> None:
    visit = Visit(browser, tmp_path / "page.html", panel_page([picture(operation)]))
    panel = visit.ready()
    assert step(panel) == "step 40 of 50"
    assert np.array_equal(canvas(panel, "Original"), original())
    level = np.abs(heatmaps(operation)[4] - (operation == "multiply")).max() / 127
    assert np.abs(canvas(panel, "Changed image") - changed(operation, 4)).max() <= 255 * level / 2 + 1
    assert visit.complaints == []
    visit.page.close()


def test_the_slider_moves_the_pictures_and_the_figures(visit: Visit) -> None:
    panel = visit.ready()
    slider = panel.locator("input[name=step]")
    before = canvas(panel, "Changed image")
    slider.focus()
    visit.page.keyboard.press("Home")
    panel.locator("output", has_text="step 0 of 50").wait_for()
    visit.page.wait_for_function("document.querySelector('input[name=step]').value === '0'")
    first = canvas(panel, "Changed image")
    assert np.abs(first - changed("add", 0)).max() <= 2
    assert np.abs(first - before).mean() > 5
    assert panel.locator("dd").first.inner_text() == "0"
    visit.page.keyboard.press("ArrowRight")
    panel.locator("output", has_text="step 10 of 50").wait_for()
    assert panel.locator("dd").first.inner_text() == "8"
    assert np.abs(canvas(panel, "Changed image") - changed("add", 1)).max() <= 2


def test_one_channel_is_drawn_in_diverging_colours(visit: Visit) -> None:
    panel = visit.ready()
    panel.locator("select[name=channel]").select_option("green")
    visit.page.wait_for_function("document.querySelector(\"canvas[aria-label*='green channel']\") !== null")
    shown = canvas(panel, "Heatmap, green")
    green = heatmaps("add")[4][1]
    strong = np.abs(green) > 0.1
    redder = shown[..., 0] > shown[..., 2]
    assert np.array_equal(redder[strong], (green > 0)[strong])


def test_another_image_is_chosen(browser: Any, tmp_path: Path) -> None:
    html = panel_page([picture(), picture("blur", name="photos/second.png", text="pike")])
    visit = Visit(browser, tmp_path / "page.html", html)
    visit.ready()
    visit.page.locator(".heatlift-embedded > label", has_text="Image").locator("select").select_option(
        label="photos/second.png"
    )
    panel = visit.ready()
    panel.get_by_text("p(pike)").first.wait_for()
    level = np.abs(heatmaps("blur")[4]).max() / 127
    assert np.abs(canvas(panel, "Changed image") - changed("blur", 4)).max() <= 255 * level / 2 + 1
    assert visit.complaints == []
    visit.page.close()


def test_names_are_only_ever_text(browser: Any, tmp_path: Path) -> None:
    evil = EVIL + "</script><svg onload=alert(4)> <iframe srcdoc=x>"
    html = panel_page([picture(name=evil, text=evil), picture(name=evil + "2", text=evil)])
    visit = Visit(browser, tmp_path / "page.html", html)
    panel = visit.ready()
    visit.page.wait_for_timeout(200)
    assert visit.page.title() == clean(evil)
    assert visit.page.locator("img, iframe, main script:not([type='application/json'])").count() == 0
    assert panel.get_by_text(clean(evil)).count() > 0
    assert visit.complaints == []
    assert all(url.startswith(("data:", "file:")) for url in visit.requests)
    visit.page.close()


def test_the_policy_stops_a_foreign_script(browser: Any, tmp_path: Path) -> None:
    injected = "<script>document.title = 'taken over'</script></body>"
    html = panel_page([picture()]).replace("</body>", injected)
    visit = Visit(browser, tmp_path / "page.html", html)
    visit.ready()
    assert visit.page.title() == "tench"
    assert any("Content Security Policy" in complaint for complaint in visit.complaints)
    visit.page.close()


def test_a_notebook_shows_it_in_a_frame_of_its_own(browser: Any, tmp_path: Path) -> None:
    html = f"<!doctype html><title>notebook</title><p>In:</p>{panel_frame(panel_page([picture()]), 640)}"
    visit = Visit(browser, tmp_path / "notebook.html", html)
    inside = visit.page.frame_locator("iframe")
    panel = visit.ready(inside)
    assert np.array_equal(canvas(panel, "Original"), original())
    slider = panel.locator("input[name=step]")
    slider.focus()
    visit.page.keyboard.press("End")
    panel.locator("output", has_text="step 50 of 50").wait_for()
    level = np.abs(heatmaps("add")[5]).max() / 127
    assert np.abs(canvas(panel, "Changed image") - changed("add", 5)).max() <= 255 * level / 2 + 1
    assert visit.page.locator("iframe").evaluate("f => f.contentDocument") is None, "not a world of its own"
    assert visit.complaints == []
    assert all(url.startswith(("data:", "file:", "about:")) for url in visit.requests)
    visit.page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1100])
def test_it_fits_and_can_be_read_by_everyone(browser: Any, tmp_path: Path, width: int, scheme: str) -> None:
    pytest.importorskip("axe_playwright_python", reason="axe is not installed")
    long = "a_very_long_name_without_any_space_" * 6
    html = panel_page([picture(text=long, name=long)])
    visit = Visit(browser, tmp_path / "page.html", html, width, color_scheme=scheme)
    visit.ready()
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    visit.page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
    found = visit.page.evaluate(
        "axe.run().then(r => r.violations.map(v => [v.impact, v.id, v.nodes[0].html]))"
    )
    assert [each for each in found if each[0] in ("serious", "critical")] == []
    assert visit.complaints == []
    visit.page.close()
