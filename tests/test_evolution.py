"""The steps that results keep of their first images, and what notebooks show of them."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import heatlift as hl
from heatlift.evolution import FILMED, FRAMES, SIDE, Film


@pytest.fixture(scope="module")
def clf() -> hl.Classifier:
    return hl.load("networks:small")


@pytest.fixture(scope="module")
def x(clf: hl.Classifier) -> Tensor:
    height, width = clf.framing.crop
    return torch.rand(FILMED + 2, 3, height, width, generator=torch.Generator().manual_seed(5))


def film(steps: int, size: tuple[int, int] = (8, 6), n: int = 2) -> tuple[Film, dict[int, Tensor]]:
    """A film of invented steps, and what was shown to it."""
    found, shown = Film(torch.arange(n), size), {}
    for step in range(steps):
        shown[step] = torch.full((n, 1, *size), float(step)) + torch.arange(n).view(n, 1, 1, 1) / 4
        found(step, torch.arange(n), shown[step], torch.randn(n, 7))
    return found, shown


@pytest.mark.parametrize("steps", [1, 2, FRAMES - 1, FRAMES, FRAMES + 1, 200, 501])
def test_few_steps_are_kept_evenly_and_the_result_last(steps: int) -> None:
    found, shown = film(steps)
    result = torch.full((2, 1, 8, 6), -7.0)
    for place, one in enumerate(found.evolutions(result, [steps - 1] * 2)):
        assert len(one.steps) <= FRAMES
        assert one.steps[-1] == steps - 1
        gaps = {b - a for a, b in zip(one.steps[:-2], one.steps[1:-1], strict=True)}
        assert len(gaps) <= 1
        for step, heatmap in zip(one.steps[:-1], one.heatmaps[:-1], strict=True):
            assert torch.equal(heatmap.float(), shown[step][place])
        assert torch.equal(one.heatmaps[-1].float(), result[place])
        assert sorted(one.p_target) == list(range(steps))


def test_steps_after_the_best_are_not_the_way_to_it() -> None:
    found, _ = film(10)
    first, second = found.evolutions(torch.zeros(2, 1, 8, 6), [4, 0])
    assert first.steps == (0, 1, 2, 3, 4)
    assert second.steps == (0,)


def test_images_that_are_done_leave_the_film() -> None:
    found = Film(torch.tensor([0, 1]), (4, 4))
    for step, rows in enumerate(([0, 1], [0, 1], [1], [1])):
        logits = torch.randn(len(rows), 3)
        found(step, torch.tensor(rows), torch.ones(len(rows), 3, 4, 4) * step, logits)
        for place, row in enumerate(rows):
            expected = logits[place].double().softmax(0)
            assert found._p[row][step] == pytest.approx(float(expected[row]))
            assert [c for c, _ in found._top[row][step]] == expected.argsort(descending=True).tolist()
    first, second = found.evolutions(torch.zeros(2, 3, 4, 4), [1, 3])
    assert first.steps == (0, 1)
    assert second.steps == (0, 1, 2, 3)


def test_large_heatmaps_are_averaged_and_coarse_ones_enlarged() -> None:
    large = torch.rand(1, 3, 400, 200)
    found = Film(torch.tensor([0]), (400, 200))
    coarse = torch.rand(1, 3, 10, 5)
    found(0, torch.tensor([0]), coarse, torch.zeros(1, 2))
    (one,) = found.evolutions(large, [1])
    assert one.heatmaps.shape == (2, 3, SIDE, SIDE // 2)
    assert torch.allclose(one.heatmaps[1].float(), F.adaptive_avg_pool2d(large[0], (160, 80)), atol=1e-3)
    smooth = F.interpolate(coarse, size=(160, 80), mode="bilinear")[0]
    assert torch.allclose(one.heatmaps[0].float(), smooth, atol=1e-3)


def methods() -> dict[str, Any]:
    return {
        "gax": hl.GAX(target_co=50.0, max_steps=5),
        "multiplied": hl.GAX(target_co=50.0, max_steps=5, operation="multiply"),
        "spotlight": hl.Spotlight(steps=5, resolution=4, shift=2),
        "masks": hl.UndesirablePixels(steps=5, resolution=8, kernel=5, sigma=2.0),
        "stable": hl.UndesirablePixels.stable(steps=4, restarts=2, kernel=5, sigma=2.0, shift=2),
    }


@pytest.mark.parametrize("name", methods())
def test_results_keep_the_first_images_steps(clf: hl.Classifier, x: Tensor, name: str) -> None:
    method, seen = methods()[name], {}

    def watch(step: int, rows: Tensor, decoded: Tensor, logits: Tensor) -> None:
        for row, each, said in zip(rows.tolist(), decoded, logits, strict=True):
            seen[row, step] = (each.clone(), said.double().softmax(0))

    watched, found = method(clf, x, 1, observe=watch), method(clf, x, 1)
    assert len(watched.evolutions) == 0
    assert len(found.evolutions) == FILMED
    masks = name in ("masks", "stable")
    results = 1 - found.masks if masks else found.heatmaps
    for place, one in enumerate(found.evolutions):
        assert torch.allclose(one.heatmaps[-1].float(), results[place], atol=2e-3)
        for step, heatmap in list(zip(one.steps, one.heatmaps, strict=True))[:-1]:
            decoded, p = seen[place, step]
            expected = F.interpolate(decoded[None], size=x.shape[2:], mode="bilinear")[0]
            assert torch.allclose(heatmap.float(), 1 - expected if masks else expected, atol=2e-3)
            assert one.p_target[step] == pytest.approx(float(p[1]), abs=1e-6)
    # Watching changes nothing.
    assert torch.equal(found.p_after, watched.p_after)
    assert torch.equal(found.images, x)


@pytest.mark.parametrize("name", methods())
def test_notebooks_show_the_panel(clf: hl.Classifier, x: Tensor, name: str) -> None:
    classes = ["<b>ant</b>", *(f"class {i}" for i in range(1, clf.num_classes))]
    named = hl.load("networks:small", classes=classes)
    shown = methods()[name](named, x[:2], 0)._repr_html_()
    assert shown.startswith("<iframe ")
    assert 'sandbox="allow-scripts"' in shown
    page = unescape(re.search(r'srcdoc="([^"]*)"', shown)[1])
    assert "<b>ant" not in page
    data = json.loads(re.search(r'id="heatlift-data">(.*?)</script>', page, re.DOTALL)[1])
    assert len(data["images"]) == 2
    for image in data["images"]:
        (layer,) = image["details"]["layers"]
        assert layer["target"] == "<b>ant</b>"
        assert len(layer["steps"]) >= 5
        assert len(layer["figures"]["p_target"]) >= 5
        assert (image["reference"] is None) == (name not in ("masks", "stable"))


def test_a_result_that_somebody_watched_shows_its_end(clf: hl.Classifier, x: Tensor) -> None:
    found = hl.GAX(target_co=50.0, max_steps=3)(clf, x[:1], 1, observe=lambda *_: None)
    page = unescape(found._repr_html_())
    data = json.loads(re.search(r'id="heatlift-data">(.*?)</script>', page, re.DOTALL)[1])
    (layer,) = data["images"][0]["details"]["layers"]
    assert layer["steps"] == [3]
    assert layer["figures"]["co"] == pytest.approx(found.history[0].tolist())
