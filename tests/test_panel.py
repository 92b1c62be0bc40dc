"""What a panel is given: details as JSON, frames in levels, and the page that needs no server."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import re
import subprocess
import sys
import zlib
from dataclasses import replace
from html import unescape
from typing import Any

import numpy as np
import pytest
from PIL import Image

from heatlift.errors import HeatliftError
from heatlift.panel import (
    Details,
    Fact,
    Figures,
    Layer,
    Picture,
    Second,
    Table,
    encoded,
    panel_frame,
    panel_page,
)
from heatlift.wording import clean
from pages import EVIL, Elements

Array = np.ndarray[Any, Any]
KEYS = {
    *("run", "id", "name", "title", "status", "correct", "facts", "tables", "thumbnail"),
    *("original", "size", "reference", "layers", "problems", "elsewhere"),
}
LAYER_KEYS = {
    *("title", "what", "kind", "operation", "channels", "neutral", "steps", "own", "own_words", "figures"),
    *("result", "target", "label", "second", "problem"),
}


def layer(frames: int = 3, **options: Any) -> Layer:
    usual: dict[str, Any] = {"title": "heatmap", "what": "Red raises.", "kind": "signed", "operation": "add"}
    return Layer(
        **usual | {"channels": 3, "neutral": 0, "steps": list(range(frames)), "target": "tench"} | options
    )


def picture(frames: list[Array], original: Array | None = None, **options: Any) -> Picture:
    given = layer(**{"steps": list(range(len(frames)))} | options)
    return Picture(Details(name="a.png", title="tench", layers=[given]), original, None, [frames])


def noise(seed: int, side: int = 224, channels: int = 3) -> Array:
    return np.random.default_rng(seed).normal(0, 0.1, (channels, side, side)).astype(np.float32)


def read(page: str) -> list[dict[str, Any]]:
    """The images that a page holds."""
    [held] = re.findall(r'<script type="application/json" id="heatlift-data">(.*?)</script>', page, re.DOTALL)
    images: list[dict[str, Any]] = json.loads(held)["images"]
    return images


def values(image: dict[str, Any], layer: int = 0) -> Array:
    """The signed values of all frames of a layer, (frames, c, h, w), decoded as the contract says."""
    kept, told = image["frames"][layer], image["details"]["layers"][layer]
    levels = np.frombuffer(zlib.decompress(base64.b64decode(kept["data"])), np.int8)
    width, height = image["details"]["size"]
    levels = levels.reshape(len(told["steps"]), told["channels"], height, width)
    return levels * np.asarray(kept["units"])[:, None, None, None]


def pixels(source: str) -> Array:
    kind, data = source.split(",", 1)
    assert kind == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


# Details


def test_details_have_the_keys_that_the_page_reads() -> None:
    full = layer(figures=Figures([0, 1], [0.5, 2.0]), second=Second("other", "0.1", "0.2", "cat", "dog"))
    table = Table("What it did", ("Heatmap", "CO"), [("saliency", "1.2")])
    made = Details("a", "b", facts=[Fact("Label", "cat")], tables=[table], layers=[full]).as_json()
    assert made.keys() == KEYS
    [told] = made["layers"]
    assert told.keys() == LAYER_KEYS
    assert told["figures"].keys() == {"step", "co", "p_target", "p_label", "top", "view"}
    assert told["second"] == {
        "name": "other",
        "p_before": "0.1",
        "p_after": "0.2",
        "predicted_before": "cat",
        "predicted_after": "dog",
    }
    assert made["facts"] == [{"name": "Label", "value": "cat"}]
    assert made["tables"] == [
        {"title": "What it did", "columns": ["Heatmap", "CO"], "rows": [["saliency", "1.2"]]}
    ]


def test_numbers_that_are_not_finite_are_null() -> None:
    figures = Figures(
        step=np.arange(3),
        co=[math.nan, 1.5, np.float32(math.inf)],
        p_target=np.array([0.25, np.nan, -np.inf]),
        top=[[("cat", np.float64(0.5)), ("dog", math.nan)], None, []],
    )
    [told] = Details("a", "b", size=(np.int64(4), 3), layers=[layer(figures=figures)]).as_json()["layers"]
    assert json.loads(json.dumps(told["figures"], allow_nan=False)) == {
        "step": [0, 1, 2],
        "co": [None, 1.5, None],
        "p_target": [0.25, None, None],
        "p_label": None,
        "top": [[["cat", 0.5], ["dog", None]], None, []],
        "view": False,
    }


def test_every_text_is_one_printable_line() -> None:
    evil = "two\nlines \udcff\x00\u2028\u202e end\t"
    made = Details(
        name=evil,
        title=evil,
        facts=[Fact(evil, evil)],
        tables=[Table(evil, [evil], [[evil]])],
        layers=[layer(title=evil, figures=Figures([0], top=[[(evil, 0.5)]]))],
        problems=[evil],
        elsewhere={"1": evil},
    )
    text = json.dumps(made.as_json(), ensure_ascii=False)
    text.encode("utf-8")
    assert text.isprintable()
    assert made.as_json()["name"] == "two lines end"
    assert clean("漢字 é 🙂 <b>") == "漢字 é 🙂 <b>"


# Frames


@pytest.mark.parametrize("neutral", [0.0, 1.0])
@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 1e30])
def test_levels_give_the_heatmap_back_within_half_a_level(neutral: float, scale: float) -> None:
    heatmap = neutral + np.random.default_rng(0).normal(0, scale, (3, 20, 30))
    frame = encoded(heatmap, neutral)
    signed = heatmap - neutral
    assert frame.levels.dtype == np.int8
    assert frame.levels.shape == heatmap.shape
    assert frame.largest == np.abs(signed).max()
    assert np.abs(frame.levels * frame.unit - signed).max() <= frame.unit / 2 * (1 + 1e-9)
    if signed.any():
        assert np.abs(frame.levels.astype(int)).max() == 127
        assert (
            frame.levels.flat[np.abs(signed).argmax()] == np.sign(signed.flat[np.abs(signed).argmax()]) * 127
        )


def test_nothing_is_exactly_nothing() -> None:
    for neutral in (0.0, 1.0):
        frame = encoded(np.full((1, 4, 4), neutral, np.float32), neutral)
        assert not frame.levels.any()
        assert (frame.unit, frame.largest) == (1.0, 0.0)
    faint = encoded(np.full((1, 2, 2), 5e-324), 0)
    assert not faint.levels.any()
    assert faint.unit > 0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_heatmap_that_is_not_finite_is_refused(value: float) -> None:
    heatmap = np.zeros((3, 4, 4))
    heatmap[1, 2, 3] = value
    with pytest.raises(HeatliftError, match="not finite"):
        encoded(heatmap, 0)
    with pytest.raises(HeatliftError, match="not finite"):
        panel_page([picture([heatmap])])


@pytest.mark.parametrize("shape", [(4, 4), (0, 4, 4), (1, 3, 4, 4)])
def test_only_one_image_s_heatmap_is_encoded(shape: tuple[int, ...]) -> None:
    with pytest.raises(HeatliftError, match="shape"):
        encoded(np.zeros(shape), 0)


# The page


def test_the_page_holds_the_means_of_the_heatmaps() -> None:
    heatmaps = [np.random.default_rng(n).normal(1, n + 1, (3, 240, 320)) for n in range(3)]
    [image] = read(panel_page([picture(heatmaps, neutral=1, operation="multiply", own=1)]))
    assert image["details"]["size"] == [160, 120]
    assert image["details"]["layers"][0]["own"] == 1
    found = values(image)
    for place, heatmap in enumerate(heatmaps):
        blocks = (heatmap - 1).reshape(3, 120, 2, 160, 2).mean(axis=(2, 4))
        largest = image["frames"][0]["largest"][place]
        assert largest == pytest.approx(np.abs(blocks).max(), rel=1e-5)
        assert np.abs(found[place] - blocks).max() <= largest / 127 / 2 * 1.001


def test_small_heatmaps_and_photographs_stay_as_they_are() -> None:
    rng = np.random.default_rng(0)
    original = rng.integers(0, 256, (50, 70, 3), dtype=np.uint8)
    heatmap = rng.integers(-127, 128, (1, 50, 70)) / 127
    heatmap[0, 0, 0] = 1
    details = Details("a", "b", layers=[layer(1, channels=1, operation="blur")])
    [image] = read(panel_page([Picture(details, original, 255 - original, [[heatmap]])]))
    assert np.array_equal(pixels(image["original"]), original)
    assert np.array_equal(pixels(image["reference"]), 255 - original)
    assert np.allclose(values(image)[0], heatmap, atol=1e-6)


def test_a_long_evolution_is_thinned_and_keeps_its_own_step() -> None:
    heatmaps = [np.full((1, 8, 8), step, np.float32) for step in range(200)]
    steps = [5 * step for step in range(200)]
    figures = Figures(step=steps, co=[float(step) for step in steps])
    for own in (0, 1, 77, 150, 198, 199):
        given = picture(heatmaps, channels=1, steps=steps, own=own, figures=figures)
        [image] = read(panel_page([given]))
        [told] = image["details"]["layers"]
        assert len(told["steps"]) == 24
        assert told["steps"] == sorted(set(told["steps"]))
        assert (told["steps"][0], told["steps"][-1]) == (0, 995)
        assert told["steps"][told["own"]] == 5 * own
        assert max(np.diff(told["steps"])) <= 100
        assert told["figures"]["step"] == steps
        assert np.allclose(values(image)[:, 0, 3, 3] * 5, told["steps"])


def test_a_picture_keeps_to_its_budget() -> None:
    rng = np.random.default_rng(0)
    original = rng.integers(0, 256, (224, 224, 3), dtype=np.uint8)  # noise does not compress
    long = picture([noise(n) for n in range(40)], original, own=33)
    [image] = read(panel_page([long]))
    assert image["details"]["layers"][0]["steps"][image["details"]["layers"][0]["own"]] == 33
    many = Details("a", "b", layers=[layer(1) for _ in range(40)])
    wide = Picture(many, original, None, [[noise(n)] for n in range(40)])
    for given in (long, wide):
        page = panel_page([given])
        assert len(page) < 1_500_000
        [image] = read(page)
        assert min(image["details"]["size"]) >= 64
        assert pixels(image["original"]).shape == original.shape


def test_a_layer_that_cannot_be_shown_has_no_frames() -> None:
    broken = layer(0, problem="its chunk is gone")
    details = Details("a", "b", size=(30, 20), layers=[broken, layer(1)])
    page = panel_page([Picture(details, None, None, [[], [noise(0, 20)]])])
    [image] = read(page)
    assert image["details"]["layers"][0]["problem"] == "its chunk is gone"
    assert image["frames"][0]["units"] == []
    assert image["original"] is None


def test_pictures_that_do_not_fit_are_refused() -> None:
    with pytest.raises(HeatliftError, match="nothing to show"):
        panel_page([])
    with pytest.raises(HeatliftError, match=r"\[1\] frames for layers with \[3\] steps"):
        Picture(Details("a", "b", layers=[layer(3)]), None, None, [[noise(0)]])
    two = Details("a", "b", layers=[layer(1), layer(1)])
    with pytest.raises(HeatliftError, match="different sizes"):
        panel_page([Picture(two, None, None, [[noise(0, 20)], [noise(0, 30)]])])


def hostile() -> Picture:
    evil = EVIL + "</script><!-- \u2028 \u2029 \udcff & ${alert(3)}"
    given = layer(
        2,
        title=evil,
        what=evil,
        target=evil,
        label=evil,
        own_words=evil,
        second=Second(evil, evil, evil, evil, evil),
        figures=Figures([0, 1], [1.0, 2.0], [0.1, 0.2], [0.1, 0.2], [[(evil, 0.5)], [(evil, 0.6)]]),
    )
    details = Details(evil, evil, evil, facts=[Fact(evil, evil)], layers=[given], problems=[evil])
    return Picture(details, np.zeros((20, 20, 3), np.uint8), None, [[noise(0, 20), noise(1, 20)]])


def test_names_stay_inert() -> None:
    page = panel_page([hostile(), replace(hostile(), details=hostile().details)])
    found = Elements(page)
    assert found.tags() == {
        **dict.fromkeys(("html", "head", "title", "style", "body", "main", "noscript"), 1),
        "meta": 3,
        "script": 2,
    }
    page.encode("utf-8")
    assert "\u2028" not in page
    told = read(page)[0]["details"]
    assert told["name"] == clean(EVIL + "</script><!-- & ${alert(3)}")
    assert told["layers"][0]["target"] == told["name"]


def test_the_policy_allows_this_script_and_this_style_alone() -> None:
    page = panel_page([picture([noise(0, 20)])])
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules.keys() == {"default-src", "img-src", "style-src", "script-src", "base-uri", "form-action"}
    for rule, tag in (("script-src", '<script type="module">'), ("style-src", "<style>")):
        text = page.split(tag, 1)[1].split(tag.split(" ")[0].strip("<>").join(("</", ">")), 1)[0]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
        assert rules[rule] == f"'sha256-{digest}'"
    assert (rules["default-src"], rules["img-src"]) == ("'none'", "data:")


def test_the_page_has_one_module_and_asks_for_nothing() -> None:
    page = panel_page([picture([noise(0, 20)])])
    script = page.split('<script type="module">', 1)[1].split("</script>", 1)[0]
    assert not re.search(r"^\s*(import|export)\b", script, re.MULTILINE)
    assert "<!--" not in script
    names = re.findall(r"^(?:async )?(?:function|class|const|let) (\w+)", script, re.MULTILINE)
    assert len(names) == len(set(names)), "one name for two things"
    addresses = set(re.findall(r"https?://[^\s\"'`]+", page))
    assert addresses <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"@import|url\(", page.split("<style>")[1].split("</style>")[0])


def test_the_frame_holds_the_page_and_lets_it_do_nothing_but_run() -> None:
    page = panel_page([hostile()])
    frame = panel_frame(page, height=500)
    found = Elements(frame)
    [(tag, attributes)] = found.elements
    assert tag == "iframe"
    assert attributes["srcdoc"] == page
    assert attributes["sandbox"] == "allow-scripts"
    assert attributes["title"]
    assert (attributes["width"], attributes["height"]) == ("100%", "500")
    assert "<" not in frame.partition("srcdoc=")[2].removesuffix("></iframe>")
    assert unescape(frame).count(page) == 1


def test_it_loads_without_torch() -> None:
    heavy = "{'torch', 'scipy', 'matplotlib', 'zarr'}"
    code = f"import sys, heatlift.panel; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
