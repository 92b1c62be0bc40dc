"""Downloads of the viewer: pictures and animations, decoded and compared with what they are made from."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageSequence

from heatlift.errors import HeatliftError
from heatlift.panel import colours
from heatlift.report import heatmaps
from heatlift.viewer.pictures import MOST_FRAMES, View, animation, colour_limit, picture
from heatlift.viewer.sheets import GAP, LINE, MARGIN, cut

HIGH, WIDE, FACTOR = 45, 60, 4
"""Of the images here, which are enlarged by a whole factor to at least 224 pixels."""

BLUE_WHITE_RED = ["#053061", "#4393c3", "#d1e5f0", "#ffffff", "#fddbc7", "#d6604d", "#67001f"]
WHITE_BROWN = ["#ffffff", "#fee6ce", "#fdae6b", "#e6550d", "#7f2704"]

Array = np.ndarray[Any, Any]


def original(seed: int = 0) -> Array:
    """Smooth colours, as a photograph has them."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
    return np.asarray(coarse.resize((WIDE, HIGH), Image.Resampling.BICUBIC))


def view(**options: Any) -> View:
    heatmap = np.random.default_rng(1).normal(0, 0.2, (3, HIGH, WIDE)).astype(np.float32)
    usual: dict[str, Any] = {"original": original(), "heatmap": heatmap, "neutral": 0.0, "kind": "signed"}
    return View(**usual | {"operation": "add"} | options)


def decoded(data: bytes) -> Array:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def frames(data: bytes) -> list[Array]:
    return [
        np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(Image.open(io.BytesIO(data)))
    ]


def pane(sheet: Array, place: int, titled: bool = False, factor: int = FACTOR) -> Array:
    """What a pane shows, every pixel of it once."""
    top = MARGIN + (LINE + 10 if titled else 0) + LINE + 4
    left = MARGIN + place * (WIDE * FACTOR + GAP)
    return sheet[top : top + HIGH * FACTOR : factor, left : left + WIDE * FACTOR : factor].astype(int)


def mixed(stops: Sequence[str], share: float) -> list[float]:
    """The colour at a share of the way through a map, worked out channel by channel."""
    place = share * (len(stops) - 1)
    below = min(int(place), len(stops) - 2)
    ends = [[int(stops[n][at : at + 2], 16) for at in (1, 3, 5)] for n in (below, below + 1)]
    return [a + (b - a) * (place - below) for a, b in zip(*ends, strict=True)]


def by_hand(operation: str, x: float, h: float, g: float) -> int:
    """A pixel of the changed image."""
    found = {"add": x + h, "multiply": x * h, "blur": x * (1 - h) + g * h}[operation]
    return round(min(1.0, max(0.0, found)) * 255)


# Values and colours


@pytest.mark.parametrize(
    ("operation", "kind", "neutral"),
    [("add", "signed", 0.0), ("multiply", "signed", 1.0), ("blur", "taken", 0.0)],
)
def test_the_changed_image_is_what_the_formula_says(operation: str, kind: str, neutral: float) -> None:
    rng = np.random.default_rng(5)
    channels = 1 if operation == "blur" else 3
    heatmap = (
        rng.random((channels, HIGH, WIDE))
        if operation == "blur"
        else neutral + rng.normal(0, 0.4, (3, HIGH, WIDE))
    )
    image, instead = original(), original(3)
    shown = view(heatmap=heatmap, operation=operation, kind=kind, neutral=neutral, reference=instead)
    sheet = decoded(picture(shown))
    assert np.array_equal(pane(sheet, 0), image)
    after = pane(sheet, 2)
    for y in range(0, HIGH, 7):
        for x in range(0, WIDE, 7):
            for channel in range(3):
                h = float(heatmap[min(channel, channels - 1), y, x])
                expected = by_hand(operation, image[y, x, channel] / 255, h, instead[y, x, channel] / 255)
                assert abs(after[y, x, channel] - expected) <= 1


@pytest.mark.parametrize(("channel", "neutral"), [("sum", 0.0), ("red", 0.0), ("blue", 1.0), ("sum", 1.0)])
def test_colours_diverge_around_what_changes_nothing(channel: str, neutral: float) -> None:
    heatmap = neutral + np.random.default_rng(2).normal(0, 0.1, (3, HIGH, WIDE))
    heatmap[:, 0, 0] = neutral
    sheet = pane(decoded(picture(view(heatmap=heatmap, neutral=neutral, channel=channel, limit=0.25))), 1)
    assert sheet[0, 0].tolist() == [255, 255, 255]
    index = {"red": 0, "green": 1, "blue": 2}.get(channel)
    for y in range(0, HIGH, 4):
        for x in range(0, WIDE, 4):
            given = heatmap[:, y, x] - neutral
            value = sum(given) if index is None else given[index]
            share = (min(max(value / 0.25, -1), 1) + 1) / 2
            assert np.abs(sheet[y, x] - mixed(BLUE_WHITE_RED, share)).max() <= 10  # of 63 levels


def test_a_mask_is_sequential_from_nothing_to_all() -> None:
    mask = np.linspace(0, 1, HIGH * WIDE).reshape(1, HIGH, WIDE)
    shown = view(heatmap=mask, kind="taken", operation="blur", reference=original(1))
    sheet = pane(decoded(picture(shown)), 1)
    assert colour_limit(mask * 0.2, 0, "taken") == 1
    for y in range(0, HIGH, 4):
        assert np.abs(sheet[y, 5] - mixed(WHITE_BROWN, mask[0, y, 5])).max() <= 4
    brightness = sheet.sum(axis=2).ravel()
    assert (np.diff(brightness) <= 0).all()


def test_one_pixel_in_a_hundred_is_beyond_the_limit() -> None:
    heatmap = np.random.default_rng(4).normal(1, 0.3, (3, 100, 100))
    limit = colour_limit(heatmap, 1, "signed")
    assert (np.abs((heatmap - 1).sum(axis=0)) > limit).sum() == 100
    assert (np.abs(heatmap[1] - 1) > colour_limit(heatmap, 1, "signed", "green")).sum() == 100
    assert colour_limit(np.zeros((3, 4, 4)), 0, "signed") == 1
    lonely = np.zeros((1, 100, 100))
    lonely[0, 3, 3] = -7
    assert colour_limit(lonely, 0, "signed") == 7


def test_colours_are_those_of_the_report_and_of_the_page() -> None:
    ramp = np.linspace(-2, 2, 999)
    report = np.asarray(heatmaps.diverging(ramp[None], 1.5).convert("RGB"))[0]
    assert np.array_equal(report, colours.palette("signed")[colours.levels(ramp, "signed", 1.5)])
    script = (files("heatlift.panel") / "static" / "colours.js").read_text(encoding="utf-8")
    for kind, stops in colours.STOPS.items():
        [line] = re.findall(rf"^\s*{kind}: \[(\[.*\])\],$", script, flags=re.MULTILINE)
        assert [tuple(map(int, re.findall(r"\d+", stop))) for stop in line.split("],")] == list(stops)


# Pictures


def test_small_images_have_square_pixels_and_large_ones_fit() -> None:
    tiny = view(original=original()[:3, :5], heatmap=np.zeros((1, 3, 5)))
    sheet = decoded(picture(tiny))
    corner = sheet[MARGIN + LINE + 4 :, MARGIN:][: 3 * 45, : 5 * 45].reshape(3, 45, 5, 45, 3)
    assert (corner == original()[:3, None, :5, None]).all()
    rng = np.random.default_rng(0)
    large = view(
        original=rng.integers(0, 256, (900, 1200, 3), dtype=np.uint8), heatmap=np.ones((3, 900, 1200))
    )
    assert decoded(picture(large)).shape[1] == 2 * MARGIN + 2 * GAP + 3 * 640
    tall = view(original=np.zeros((2000, 10, 3), np.uint8), heatmap=np.ones((1, 2000, 10)))
    assert max(decoded(picture(tall)).shape) < 800


def test_without_an_operation_there_is_no_changed_image() -> None:
    two, three = (Image.open(io.BytesIO(picture(view(operation=how)))).width for how in (None, "add"))
    assert three - two == WIDE * FACTOR + GAP


def test_captions_stand_below_and_a_title_above_and_both_stay_inside() -> None:
    plain = decoded(picture(view()))
    long = "n01440764/tench and a very long name " * 40
    told = decoded(picture(view(title=long, captions=[long, "Step 3 · CO −1.2"])))
    assert told.shape == (plain.shape[0] + LINE + 10 + 2 * LINE, plain.shape[1], 3)
    for place in range(3):
        assert np.array_equal(pane(told, place, titled=True), pane(plain, place))
    assert (told[:, -MARGIN + 2 :] == 255).all()
    assert (told[-2 * LINE - MARGIN : -MARGIN] < 128).any()


@pytest.mark.parametrize(
    "text", ["two\nlines", "\udcff half", "漢字 🙂", "\x00\x1b[31m", "", "$x^2$ & <b>", "a" * 10**6]
)
def test_any_text_can_be_written(text: str) -> None:
    shape = decoded(picture(view(title="x", captions=["x"]))).shape
    assert decoded(picture(view(title=text or "x", captions=[text]))).shape == shape


def test_a_text_is_cut_in_the_middle_to_what_fits() -> None:
    assert cut("fits", 200) == "fits"
    shorter = cut("beginning " + "x" * 500 + " end", 200)
    assert shorter.startswith("beginning")
    assert shorter.endswith("end")
    assert "…" in shorter
    assert len(cut("i" * 5000, 400)) > len(cut("W" * 5000, 400))


def test_values_beyond_what_a_picture_holds_are_only_clipped() -> None:
    heatmap = np.zeros((1, HIGH, WIDE), np.float32)
    heatmap[0, 0, :2] = 3e38, -3e38
    sheet = pane(decoded(picture(view(heatmap=heatmap, limit=1e-9))), 1)
    assert sheet[0, :3].tolist() == [
        list(colours.STOPS["signed"][-1]),
        list(colours.STOPS["signed"][0]),
        [255] * 3,
    ]


# Animations


def evolution(steps: int) -> list[View]:
    """The same image with a heatmap that grows."""
    first = view()
    return [
        replace(first, heatmap=first.heatmap * (step + 1) / steps, captions=[f"Step {step}"], limit=0.8)
        for step in range(steps)
    ]


def test_a_gif_shows_the_heatmap_in_its_own_colours() -> None:
    views = evolution(6)
    found = frames(animation(views, "gif"))
    assert len(found) == 6
    for frame, one in zip(found, views, strict=True):
        exact = decoded(picture(one))
        assert frame.shape == exact.shape
        assert np.array_equal(pane(frame, 1, factor=1), pane(exact, 1, factor=1))
        for place in (0, 2):
            # Dithered, so that it is the mean over a few pixels that is right.
            blocks = (pane(frame, place, factor=1) - pane(exact, place, factor=1)).reshape(
                HIGH, 4, WIDE, 4, 3
            )
            assert np.abs(blocks.mean(axis=(1, 3))).mean() < 6
        words = np.abs(frame[-MARGIN - LINE :].astype(int) - exact[-MARGIN - LINE :])
        assert words.max() <= 9
    assert np.array_equal(pane(found[0], 0), pane(found[-1], 0)), "an original that flickers"


def test_a_webp_looks_like_its_pictures() -> None:
    views = evolution(6)
    for frame, one in zip(frames(animation(views, "webp")), views, strict=True):
        exact = decoded(picture(one))
        assert frame.shape == exact.shape
        assert np.abs(frame.astype(int) - exact).mean() < 4
        assert np.abs(pane(frame, 1) - pane(exact, 1)).mean() < 12  # single pixels of noise are the hardest


@pytest.mark.parametrize("form", ["gif", "webp"])
def test_an_animation_goes_on_for_ever_and_rests_at_its_end(form: str) -> None:
    moving = Image.open(io.BytesIO(animation(evolution(5), form, milliseconds=80)))
    assert moving.info["loop"] == 0
    times = []
    for place in range(moving.n_frames):
        moving.seek(place)
        moving.load()
        times.append(moving.info["duration"])
    assert times == [80, 80, 80, 80, 2000]


@pytest.mark.parametrize("form", ["gif", "webp"])
def test_a_long_evolution_is_thinned_evenly_and_keeps_its_ends(form: str) -> None:
    image = np.full((8, 8, 3), 128, np.uint8)
    steps = 200
    views = [
        View(image, np.full((1, 8, 8), step / steps - 0.5), 0, "signed", "add", limit=0.5)
        for step in range(steps)
    ]
    found = frames(animation(views, form))
    assert len(found) == MOST_FRAMES
    top, left = MARGIN + LINE + 4, MARGIN + 2 * (224 + GAP)
    greys = [float(frame[top : top + 224, left : left + 224].mean()) for frame in found]
    expected = [by_hand("add", 128 / 255, round(place * 199 / 59) / steps - 0.5, 0) for place in range(60)]
    assert np.abs(np.subtract(greys, expected)).max() <= 8
    assert abs(greys[0] - expected[0]) <= 2
    assert abs(greys[-1] - expected[-1]) <= 2


@pytest.mark.parametrize("strongest", [0, 2])
def test_frames_without_a_limit_share_the_largest(strongest: int) -> None:
    views = [replace(one, limit=None) for one in evolution(3)][:: 1 if strongest else -1]
    limit = colour_limit(views[strongest].heatmap, 0, "signed")
    for frame, one in zip(frames(animation(views, "gif")), views, strict=True):
        assert np.array_equal(pane(frame, 1), pane(decoded(picture(replace(one, limit=limit))), 1))
    weakest = views[2 - strongest]
    assert not np.array_equal(
        pane(decoded(picture(weakest)), 1), pane(decoded(picture(replace(weakest, limit=limit))), 1)
    )


def test_captions_of_different_length_leave_the_frames_of_one_size() -> None:
    views = evolution(3)
    views[1] = replace(views[1], captions=["Step 1", "CO 3", "p 0.2"])
    found = frames(animation(views, "gif"))
    assert len({frame.shape for frame in found}) == 1
    assert np.array_equal(pane(found[1], 1), pane(decoded(picture(views[1])), 1))


def test_masks_can_be_animated() -> None:
    mask = np.linspace(0, 1, HIGH * WIDE).reshape(1, HIGH, WIDE)
    made = {"kind": "taken", "operation": "blur", "reference": original(9)}
    views = [view(heatmap=mask * share, **made) for share in (0.2, 0.6, 1.0)]
    for frame, one in zip(frames(animation(views, "gif")), views, strict=True):
        assert np.array_equal(pane(frame, 1), pane(decoded(picture(one)), 1))


# What is refused


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"heatmap": np.zeros((3, 4, 4))}, r"original \(45, 60, 3\), heatmap \(3, 4, 4\)"),
        ({"reference": np.zeros((4, 4, 3), np.uint8)}, r"give \(h, w, 3\)"),
        ({"channel": "alpha"}, "channel 'alpha'"),
        ({"channel": "red", "heatmap": np.zeros((1, HIGH, WIDE))}, "channel 'red'"),
        ({"operation": "blur"}, "give the reference"),
        ({"heatmap": np.full((1, HIGH, WIDE), np.nan)}, "not finite"),
    ],
)
def test_a_view_that_does_not_fit_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(HeatliftError, match=words):
        view(**options)


def test_unknown_forms_and_mixed_sizes_are_refused() -> None:
    with pytest.raises(HeatliftError, match="'jpeg' is no form of a picture"):
        picture(view(), "jpeg")
    with pytest.raises(HeatliftError, match="'mp4' is no form of an animation"):
        animation([view()], "mp4")
    with pytest.raises(HeatliftError, match="0 views"):
        animation([], "gif")
    other = view(original=np.zeros((4, 4, 3), np.uint8), heatmap=np.zeros((1, 4, 4)))
    with pytest.raises(HeatliftError, match="not of one size"):
        animation([view(), other], "webp")
