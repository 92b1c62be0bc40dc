"""Figures of lifts: what they count, what they draw, and what they refuse."""

from __future__ import annotations

import io
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import heatlift as hl
from heatlift.figures import BLUE, ORANGE, co_per_step, heatmap_panel
from networks import images, small

NAN = float("nan")
HISTORY = [[0.0, 30.0, 50.0, NAN], [0.0, 20.0, 30.0, 40.0], [1.0, 48.0, NAN, NAN]]


def png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def curves(axes: Any) -> list[Any]:
    """The curves of a panel; their ends and the target are lines as well."""
    return [line for line in axes.lines if line.get_linestyle() == "-" and line.get_marker() == "None"]


def test_one_curve_per_image_ends_where_the_image_stopped() -> None:
    (axes,) = co_per_step({"net": HISTORY}, target_co=48).axes
    drawn = {tuple(line.get_ydata()): to_hex(line.get_color()) for line in curves(axes)}
    assert drawn == {(0.0, 30.0, 50.0): BLUE, (0.0, 20.0, 30.0, 40.0): ORANGE, (1.0, 48.0): BLUE}
    assert [line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == "--"] == [48]
    assert axes.get_title() == "net\nreached 0.67 (2 of 3), n = 3"


def test_panels_share_their_axes_and_say_what_they_show() -> None:
    found = {f"net {i}": np.array(HISTORY) + i for i in range(4)}
    figure = co_per_step(found, target_co=48)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title().split("\n")[0] for axes in shown] == list(found)
    assert len({(axes.get_xlim(), axes.get_ylim()) for axes in shown}) == 1
    assert figure.get_supxlabel() == "Optimisation step"
    assert "logits" in figure.get_supylabel()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "reached",
        "not reached",
        "target 48",
    ]


def test_without_a_target_nothing_is_reached_or_missed() -> None:
    figure = co_per_step({"net": HISTORY})
    assert figure.axes[0].get_title() == "net\nn = 3"
    assert {to_hex(line.get_color()) for line in curves(figure.axes[0])} == {BLUE}
    assert not figure.legends


def test_an_image_without_any_score_counts_and_is_not_drawn() -> None:
    (axes,) = co_per_step({"net": [[NAN, NAN], [0.0, 60.0]]}, target_co=48).axes
    assert axes.get_title() == "net\nreached 0.50 (1 of 2), n = 2"
    assert sorted(len(line.get_ydata()) for line in curves(axes)) == [0, 2]


def test_the_history_of_a_lift_is_drawn_as_it_comes() -> None:
    found = hl.GAX(target_co=2.0, max_steps=4, similarity=0.0)(
        small(), images(3, 32, torch.float32), torch.tensor([0, 1, 2])
    )
    figure = co_per_step({"small": found.history.requires_grad_()}, target_co=2.0)
    reached = int(found.reached.sum())
    assert f"({reached} of 3)" in figure.axes[0].get_title()
    assert png(figure)


def test_names_are_no_mathematics() -> None:
    figure = co_per_step({"$x^2$ and $": HISTORY})
    assert not figure.axes[0].title.get_parse_math()
    assert png(figure)


@pytest.mark.parametrize(("neutral", "words"), [(0.0, "largest |h| 0.9"), (1.0, "largest |h − 1| 0.9")])
def test_colours_are_symmetric_about_what_changes_nothing(neutral: float, words: str) -> None:
    heatmap = neutral + np.random.default_rng(3).uniform(-0.2, 0.6, (3, 20, 30))
    heatmap[1, 4, 5] = neutral - 0.9
    figure = heatmap_panel(np.full((3, 20, 30), 0.5), heatmap, step=12, score=-3.456, neutral=neutral)
    shown = [axes.images[0] for axes in figure.axes[1:4]]
    limits = {image.get_clim() for image in shown}
    assert len(limits) == 1
    low, high = limits.pop()
    assert neutral - low == pytest.approx(high - neutral)
    assert high - neutral == pytest.approx(np.percentile(np.abs(heatmap - neutral), 99))
    for image, channel in zip(shown, heatmap, strict=True):
        assert np.array_equal(image.get_array(), channel)
    assert figure.axes[1].get_xlabel() == words
    assert figure.get_suptitle() == "Step 12, CO score −3.46"
    assert "blue lowers, red raises" in figure.axes[4].get_ylabel()


def test_blue_lies_below_and_red_above() -> None:
    heatmap = np.stack([np.full((4, 4), value) for value in (-1.0, 0.0, 1.0)])
    figure = heatmap_panel(np.zeros((3, 4, 4)), heatmap)
    colours = [axes.images[0].to_rgba(axes.images[0].get_array())[0, 0] for axes in figure.axes[1:4]]
    assert colours[0][2] > colours[0][0]
    assert min(colours[1][:3]) > 0.95
    assert colours[2][0] > colours[2][2]


def test_a_heatmap_that_changes_nothing_is_drawn() -> None:
    figure = heatmap_panel(torch.zeros(3, 5, 5), torch.ones(3, 5, 5, requires_grad=True), neutral=1.0)
    assert figure.axes[1].get_xlabel() == "largest |h − 1| 0"
    assert figure.get_suptitle() == ""
    assert png(figure)


def test_the_same_input_gives_the_same_picture_and_pyplot_never_hears_of_it() -> None:
    before = plt.get_fignums()
    assert png(co_per_step({"net": HISTORY}, 48)) == png(co_per_step({"net": HISTORY}, 48))
    first, second = (png(heatmap_panel(np.zeros((3, 4, 4)), np.ones((3, 4, 4)), 1, 2.0)) for _ in range(2))
    assert first == second
    assert plt.get_fignums() == before


@pytest.mark.parametrize(
    ("histories", "target", "words"),
    [
        ({}, None, "no histories"),
        ({"net": [1.0, 2.0]}, None, r"'net' has shape \(2,\)"),
        ({"net": np.zeros((0, 4))}, None, r"shape \(0, 4\)"),
        ({"net": np.zeros((2, 3, 4))}, None, r"shape \(2, 3, 4\)"),
        ({"net": [["a"]]}, None, "no array of numbers"),
        ({"net": HISTORY}, NAN, "target_co nan"),
    ],
)
def test_histories_that_are_none_are_refused(histories: Any, target: float | None, words: str) -> None:
    with pytest.raises(hl.HeatliftError, match=words) as caught:
        co_per_step(histories, target)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("image", "heatmap", "words"),
    [
        ((3, 4, 4), (3, 4, 5), "one shape"),
        ((4, 4), (4, 4), r"image has shape \(4, 4\)"),
        ((3, 4, 4), (1, 3, 4, 4), "heatmap has shape"),
        ((1, 4, 4), (3, 4, 4), "image has shape"),
        ((3, 0, 4), (3, 0, 4), "image has shape"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(image: Any, heatmap: Any, words: str) -> None:
    with pytest.raises(hl.HeatliftError, match=words):
        heatmap_panel(np.zeros(image), np.zeros(heatmap))


def test_a_heatmap_that_is_not_finite_is_refused() -> None:
    with pytest.raises(hl.HeatliftError, match="not finite"):
        heatmap_panel(np.zeros((3, 4, 4)), np.full((3, 4, 4), NAN))
