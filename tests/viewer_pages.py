"""The viewer's page in a real browser: what it asks for and complains of, and the pixels that it shows."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from typing import Any
from urllib.parse import quote

import numpy as np
from PIL import Image

from viewers import Served

Array = np.ndarray[Any, Any]

# ColorBrewer's RdBu, its ends and white; and its Oranges
DIVERGING = np.array(
    [
        (5, 48, 97),
        (67, 147, 195),
        (209, 229, 240),
        (255, 255, 255),
        (253, 219, 199),
        (214, 96, 77),
        (103, 0, 31),
    ]
)
SEQUENTIAL = np.array([(255, 255, 255), (254, 230, 206), (253, 174, 107), (230, 85, 13), (127, 39, 4)])


class Visit:
    """A page of the viewer with everything that it complained of or asked for from elsewhere."""

    def __init__(self, context: Any, root: str, quick: bool) -> None:
        self.root = root
        self.complaints: list[str] = []
        self.outside: list[str] = []
        self.asked: list[str] = []
        context.on("request", lambda request: self.asked.append(request.url))
        context.route(re.compile(f"^(?!{re.escape(root)}|data:|blob:)"), self._stopped)
        if quick:
            context.route("**/static/main.js", self._quickened)
        context.on("console", lambda message: self.complaints.append(message.text))
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        context.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.dismiss()))
        self.context = context
        self.page = context.new_page()

    def _stopped(self, route: Any) -> None:
        self.outside.append(route.request.url)
        route.abort()

    def _quickened(self, route: Any) -> None:
        found = route.fetch()
        assert "FOLLOW = 2000;" in found.text()
        route.fulfill(response=found, body=found.text().replace("FOLLOW = 2000;", "FOLLOW = 100;"))

    def go(self, address: str = "") -> Any:
        """To a view by its address, as a link does."""
        self.page.goto(f"{self.root}{address}")
        return self.page

    def quiet(self) -> None:
        """Wait until it asks for nothing any more, to which one that goes on looking never comes."""
        for _ in range(100):
            before = len(self.asked)
            self.page.wait_for_timeout(600)
            if len(self.asked) == before:
                return
        raise AssertionError("it still looks")

    def forgive(self) -> None:
        """What the browser itself says of answers that are errors, or do not come, is no complaint."""
        self.complaints[:] = [each for each in self.complaints if not each.startswith("Failed to load")]

    def pages(self, address: str = "") -> Any:
        """Another page of the same browser."""
        page = self.context.new_page()
        page.goto(f"{self.root}{address}")
        return page


@contextmanager
def visiting(
    browser: Any, viewer: Served, address: str = "", width: int = 1280, quick: bool = False, **options: Any
) -> Iterator[Visit]:
    """A visit without any complaint, and without a request that leaves the viewer.

    Args:
        quick: looks at growing runs ten times a second instead of every other second.
    """
    context = browser.new_context(viewport={"width": width, "height": 900}, **options)
    context.set_default_timeout(600_000)
    try:
        visit = Visit(context, f"http://127.0.0.1:{viewer.port}/", quick)
        visit.go(address)
        yield visit
        assert visit.outside == []
        assert visit.complaints == []
        assert len(visit.asked) > 10, "nothing was seen"
    finally:
        context.close()


def address_of(run: int = 0, where: tuple[Mapping[str, Any], ...] = (), **more: Any) -> str:
    """The part of an address after the host."""
    parts = [f"run={run}", *(f"where={quote(json.dumps(each))}" for each in where)]
    return "#" + "&".join([*parts, *(f"{key}={quote(str(value))}" for key, value in more.items())])


def panel(page: Any, place: int = 0) -> Any:
    """An image's panel, once it has drawn a frame."""
    found = page.locator(".heatlift-panel").nth(place)
    found.locator("a[data-format=png][href]").wait_for()
    return found


def to_step(where: Any, page: Any, key: str, step: int) -> None:
    """Move the slider by keyboard."""
    where.locator("input[name=step]").focus()
    page.keyboard.press(key)
    where.locator(f"canvas[aria-label$=', step {step}']").first.wait_for()


def pixels(where: Any, label: str) -> Array:
    """What a canvas shows, (h, w, 4)."""
    url = where.locator(f"canvas[aria-label^='{label}']").evaluate("canvas => canvas.toDataURL()")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))), np.int64)


def reading(where: Any, title: str) -> float:
    """A number beside the pictures."""
    found = where.locator(".readings div", has_text=title).locator("dd").inner_text()
    return float(found.replace("−", "-").replace("<", "").replace(">", ""))


def names(page: Any) -> list[str]:
    """The images' names on the tiles in sight, in their order."""
    return page.evaluate(
        "[...document.querySelectorAll('.tile[href]')].map(tile => tile.title.split(': ')[0])"
    )


def count(page: Any) -> int:
    """How many images the page says that there are."""
    return int(page.locator(".count").inner_text().split()[0].replace(",", ""))


def until(page: Any, condition: str, argument: Any = None) -> None:
    """Wait for something that is computed in the page."""
    page.wait_for_function(condition, arg=argument, polling=30)


def counted(page: Any, wanted: int) -> None:
    """Wait until the page says that there are so many images."""
    said = "(document.querySelector('.count')?.textContent ?? '').replace(/,/g, '')"
    until(page, f"n => parseInt({said}) === n", wanted)


def violations(page: Any) -> list[list[str]]:
    """What axe finds serious or critical."""
    if not page.evaluate("'axe' in window"):
        page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate("axe.run().then(r => r.violations.map(v => [v.impact, v.id, v.nodes[0].html]))")
    return [each for each in found if each[0] in ("serious", "critical")]


def coloured(values: Array, stops: Array) -> Array:
    """Values in [0, 1] as colours between evenly spread stops."""
    places = np.linspace(0, 1, len(stops))
    return np.stack([np.interp(values, places, stops[:, colour]) for colour in range(3)], axis=-1)


def levels_of(heatmap: Array, neutral: float) -> Array:
    """What a signed byte holds of a heatmap."""
    signed = heatmap - neutral
    return np.rint(signed / (np.abs(signed).max() / 127))


def limit_of(values: Array) -> Any:
    """Where colours end."""
    return np.percentile(np.abs(values), 99, method="higher")


def diverging(values: Array) -> Array:
    return coloured(0.5 + 0.5 * (values / limit_of(values)).clip(-1, 1), DIVERGING)
