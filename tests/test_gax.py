"""GAX against a plain loop written from the paper's formulas, and what its result promises."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from heatlift import GAX, Classifier, HeatliftError, co_score
from networks import calibrated, classifier, images
from pictures import photographs


@pytest.fixture(scope="module")
def clf() -> Classifier:
    return classifier("resnet18", dtype=torch.float32)


@pytest.fixture(scope="module")
def x() -> Tensor:
    return photographs(8, 64)


def plain_loop(
    clf: Classifier, x: Tensor, label: int, steps: int, bias: float | None, operation: str
) -> tuple[list[float], Tensor]:
    """Tjoa 2022, section 3, as written: one image, `torch.optim.Adam`."""
    w = torch.ones_like(x, requires_grad=True)
    b = torch.full_like(x, 0.0 if bias is None else bias).requires_grad_(bias is not None)
    adam = torch.optim.Adam([w] if bias is None else [w, b], lr=0.1, betas=(0.9, 0.999))
    mean, std = clf.mean, clf.std
    with torch.no_grad():
        before = clf.network((x - mean) / std)
    scores = []
    for step in range(steps + 1):
        h = torch.tanh(w * x + b)
        augmented = x + h if operation == "add" else x * h
        delta = (clf.network((augmented - mean) / std) - before)[0]
        others = [delta[i] for i in range(len(delta)) if i != label]
        s = delta[label] - torch.stack(others).mean()
        scores.append(float(s.detach()))
        if step == steps:
            break
        loss = -s + 100 / ((h - x + 1e-4) ** 2 / (x + 1e-4)).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    return scores, h.detach()


@pytest.mark.parametrize("bias", [None, 0.01])
@pytest.mark.parametrize("operation", ["add", "multiply"])
def test_the_trajectory_is_that_of_the_plain_loop(
    clf: Classifier, x: Tensor, bias: float | None, operation: Any
) -> None:
    scores, heatmap = plain_loop(clf, x[:1], 3, 12, bias, operation)
    found = GAX(precision="fp32", target_co=1e9, max_steps=12, bias=bias, operation=operation)(
        clf, x[:1], torch.tensor([3])
    )
    expected = torch.tensor(scores)
    torch.testing.assert_close(found.history[0], expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))
    assert float((found.heatmaps - heatmap).abs().mean()) < 1e-3
    assert found.steps.tolist() == [12]
    assert not bool(found.reached)


def by_themselves(method: GAX, clf: Classifier, x: Tensor, labels: Tensor) -> list[Any]:
    return [method(clf, x[i : i + 1], labels[i : i + 1]) for i in range(len(x))]


@pytest.mark.parametrize(("bias", "batch_size"), [(None, 3), (0.01, 8)])
def test_a_batch_is_its_images_one_by_one(bias: float | None, batch_size: int) -> None:
    # In float64, and with a target that images reach at different steps: those that are done leave, and
    # what is left goes in other portions.
    clf, x = classifier("resnet18"), photographs(8, 64).double()
    labels = torch.arange(8)
    method = GAX(precision="fp32", target_co=4.0, max_steps=9, bias=bias, batch_size=batch_size)
    together, singles = method(clf, x, labels), by_themselves(method, clf, x, labels)
    assert len(set(together.steps.tolist())) > 2
    assert together.reached.any()
    for i, single in enumerate(singles):
        assert int(together.steps[i]) == int(single.steps)
        assert bool(together.reached[i]) == bool(single.reached)
        torch.testing.assert_close(together.heatmaps[i], single.heatmaps[0], rtol=1e-6, atol=1e-8)
        torch.testing.assert_close(together.score[i], single.score[0], rtol=1e-6, atol=1e-8)
        seen = together.history[i, : int(single.steps) + 1]
        torch.testing.assert_close(seen, single.history[0], rtol=1e-6, atol=1e-8)
        assert together.history[i, int(single.steps) + 1 :].isnan().all()


def test_scores_belong_to_the_heatmaps(clf: Classifier, x: Tensor) -> None:
    labels = torch.arange(8)
    found = GAX(precision="fp32", target_co=3.0, max_steps=6)(clf, x, labels)
    with torch.no_grad():
        before = clf(x)
        after, clipped = clf(x + found.heatmaps), clf((x + found.heatmaps).clamp(0, 1))
    torch.testing.assert_close(found.score, co_score(before, after, labels), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.score_clipped, co_score(before, clipped, labels), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.p_after, after.softmax(1)[torch.arange(8), labels], rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(found.p_before, before.softmax(1)[torch.arange(8), labels])
    assert torch.equal(found.predicted_before, before.argmax(1))
    last = found.history[torch.arange(8), found.steps]
    torch.testing.assert_close(found.score, last, rtol=1e-3, atol=1e-3)
    assert torch.equal(found.reached, found.score >= 3.0)
    assert found.heatmaps.abs().max() <= 1


def test_who_reaches_the_target_stops_at_once(clf: Classifier, x: Tensor) -> None:
    found = GAX(precision="fp32", target_co=20.0, max_steps=12)(clf, x)
    for row, steps, reached in zip(found.history, found.steps.tolist(), found.reached.tolist(), strict=True):
        assert bool((row[:steps] < 20.0).all())
        assert (float(row[steps]) >= 20.0) == reached
        assert reached or steps == 12
    assert 0 < int(found.reached.sum()) < 8
    again = GAX(precision="fp32", target_co=20.0, max_steps=12)(clf, x)
    assert torch.equal(found.heatmaps, again.heatmaps)


def test_the_best_heatmap_is_given_where_asked_for(clf: Classifier, x: Tensor) -> None:
    # A rate at which the score goes up and down.
    settings = {"target_co": 1e9, "max_steps": 8, "lr": 3.0, "similarity": 3000.0}
    last, best = (GAX(**settings, best=b)(clf, x, torch.arange(8)) for b in (False, True))
    assert torch.equal(last.steps, torch.full((8,), 8))
    assert torch.equal(best.steps, last.history.argmax(dim=1))
    assert bool((best.steps < 8).any())
    torch.testing.assert_close(best.score, last.history.amax(dim=1), rtol=1e-3, atol=1e-3)


def test_wrong_predictions_are_raised_to_their_label(clf: Classifier, x: Tensor) -> None:
    with torch.no_grad():
        label = clf(x[:4]).argsort(dim=1)[:, -2]
    found = GAX(precision="fp32", target_co=25.0, max_steps=40)(clf, x[:4], label)
    assert bool((found.predicted_before != label).all())
    assert bool(found.reached.all())
    assert torch.equal(found.predicted_after, label)
    assert bool((found.p_after > found.p_before).all())


def test_the_network_is_left_as_it_was() -> None:
    network = calibrated(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(784, 3)),
        images(4, 16, dtype=torch.float32),
    )
    network.train()
    network[0].weight.requires_grad_(False)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    modes: list[bool] = []
    network[1].register_forward_hook(lambda module, args, output: modes.append(module.training))
    clf = Classifier(network, size=16)
    GAX(precision="fp32", target_co=1e9, max_steps=3)(clf, images(2, 16, dtype=torch.float32))
    assert modes
    assert not any(modes)
    assert all(module.training for module in network.modules())
    assert [p.requires_grad for p in network.parameters()] == [False, True, True, True, True, True]
    assert all(p.grad is None for p in network.parameters())
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


def test_reduced_precision_is_certified_in_float32(clf: Classifier, x: Tensor) -> None:
    labels = torch.arange(8)
    found = GAX(target_co=3.0, max_steps=12, precision="bf16")(clf, x, labels)
    with torch.no_grad():
        exact = co_score(clf(x), clf(x + found.heatmaps), labels)
    torch.testing.assert_close(found.score, exact, rtol=1e-5, atol=1e-5)
    assert torch.equal(found.reached, exact >= 3.0)
    assert bool(found.reached.any())
    # Where the loop stopped early, it had asked in float32.
    assert bool(found.reached[found.steps < 12].all())


def test_out_of_memory_goes_on_with_fewer(x: Tensor) -> None:
    class Small(nn.Module):
        """A network on a machine that holds two images."""

        largest = 0

        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.layer = nn.Conv2d(3, 5, 64)

        def forward(self, x: Tensor) -> Tensor:
            if len(x) > 2 and x.requires_grad:
                raise torch.OutOfMemoryError("CUDA out of memory")
            Small.largest = max(Small.largest, len(x))
            return self.layer(x).flatten(1)

    clf = Classifier(Small(), size=64)
    found = GAX(precision="fp32", target_co=1e9, max_steps=4)(clf, x)
    Small.largest = 0
    fewer = GAX(precision="fp32", target_co=1e9, max_steps=4, batch_size=2)(clf, x)
    assert Small.largest == 2
    torch.testing.assert_close(found.heatmaps, fewer.heatmaps)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"operation": "subtract"}, "unknown operation 'subtract'"),
        ({"max_steps": -1}, "max_steps -1"),
        ({"lr": 0.0}, "lr 0.0"),
        ({"batch_size": 0}, "batch_size 0"),
        ({"precision": "fp8"}, "unknown precision 'fp8'"),
    ],
)
def test_impossible_settings_are_refused(clf: Classifier, x: Tensor, settings: Any, message: str) -> None:
    with pytest.raises(HeatliftError, match=message):
        GAX(**settings)(clf, x[:1])


def test_impossible_images_and_labels_are_refused(clf: Classifier, x: Tensor) -> None:
    with pytest.raises(HeatliftError, match=r"images from 0 to 255: expected pixels in \[0, 1\]"):
        GAX()(clf, torch.linspace(0, 255, 3 * 64 * 64).view(1, 3, 64, 64))
    with pytest.raises(HeatliftError, match="no images"):
        GAX()(clf, x[:0])
    with pytest.raises(HeatliftError, match="classes 0 to"):
        GAX()(clf, x[:1], torch.tensor([10_000]))
    with pytest.raises(HeatliftError, match="give one class per image"):
        GAX()(clf, x[:2], torch.tensor([1, 2, 3]))


def test_a_stop_means_reached_to_the_last_bit(clf: Classifier, x: Tensor) -> None:
    # A target that lies on the way: the network folded may round to the other side of it.
    labels = torch.arange(8)
    way = GAX(target_co=1e9, max_steps=6, precision="fp32")(clf, x, labels).history
    for step in (2, 4, 5):
        for row in range(4):
            method = GAX(target_co=float(way[row, step]), max_steps=8, precision="fp32")
            found = method(clf, x[row : row + 1], labels[row : row + 1])
            assert bool(found.reached) or int(found.steps) == 8


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_networks_in_half_precision(x: Tensor, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 31 * 31, 5)).to(
        dtype
    )
    clf = Classifier(network, size=64)
    found = GAX(target_co=1e9, max_steps=5, best=True)(clf, x[:2])
    assert found.heatmaps.dtype == torch.float32
    assert bool(found.heatmaps.isfinite().all())
    assert bool((found.score > found.history[:, 0]).all())
