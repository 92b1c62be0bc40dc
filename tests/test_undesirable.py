"""Undesirable pixels against plain loops from the paper's formulas, and what their result promises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional as F

from heatlift import Classifier, HeatliftError, Undesirable, UndesirablePixels
from heatlift.regularise import non_target_factor, target_factor
from heatlift.views import drawn_views
from networks import calibrated, classifier, images, small
from pictures import photographs

Objective = Callable[[Tensor, Tensor, int], Tensor]

TENSORS = [f.name for f in fields(Undesirable) if f.name not in ("classes", "evolutions")]
"""What a result has of each image."""


@pytest.fixture(scope="module")
def clf() -> Classifier:
    return classifier("resnet18", dtype=torch.float32)


@pytest.fixture(scope="module")
def x() -> Tensor:
    return photographs(4, 64)


def method(**settings: Any) -> UndesirablePixels:
    """A few steps, and weights at which masks of small images do something."""
    quick: dict[str, Any] = {"precision": "fp32", "steps": 5, "resolution": 8, "tv_weight": 0.1}
    return UndesirablePixels(**{**quick, "l1_weight": 0.2, **settings})


def quick(n: int) -> tuple[Classifier, Tensor]:
    """A small network, and images, in float64."""
    return small(torch.float64), photographs(n, 32).double()


def blurred(x: Tensor) -> Tensor:
    offsets = np.arange(11) - 5
    weights = np.exp(-(offsets**2) / (2 * 5.0**2))
    found = x.numpy()
    for axis in (2, 3):
        found = ndimage.correlate1d(found, weights / weights.sum(), axis=axis, mode="mirror")
    return torch.from_numpy(found)


def equation_3(before: Tensor, after: Tensor, k: int) -> Tensor:
    p: Tensor = after.softmax(0)
    return -p[k]


def equation_5(before: Tensor, after: Tensor, k: int) -> Tensor:
    others = [after[i] - before[i] for i in range(len(after)) if i != k]
    return equation_3(before, after, k) + 0.3 * torch.stack(others).mean().square().sqrt()


def equation_7(before: Tensor, after: Tensor, k: int) -> Tensor:
    others = [after.softmax(0)[i] for i in range(len(after)) if i != k]
    return torch.stack(others).sum() + 0.3 * (after[k] - before[k]).square().sqrt()


def bilinear(m: Tensor, side: int = 64) -> Tensor:
    return F.interpolate(m, size=(side, side), mode="bilinear", align_corners=False)


def plain_loop(
    networks: Sequence[Classifier],
    x: Tensor,
    k: int,
    start: Tensor,
    steps: int,
    objective: Objective,
    penalty: Callable[[Tensor], Tensor],
    decode: Callable[[Tensor], Tensor] | None = None,
    clamp: bool = True,
) -> tuple[list[float], Tensor]:
    """Kang 2019, section 3: one image, `torch.optim.Adam`. The first network's probabilities, and M'."""
    m, g = start.clone().requires_grad_(), blurred(x)
    adam = torch.optim.Adam([m], lr=0.1)

    def logits(pixels: Tensor) -> list[Tensor]:
        return [one.network((pixels - one.mean) / one.std)[0] for one in networks]

    with torch.no_grad():
        before = logits(x)
    probabilities = []
    for step in range(steps + 1):
        fine = decode(m) if decode else bilinear(m, x.shape[-1])
        after = logits(x * fine + g * (1 - fine))
        probabilities.append(float(after[0].softmax(0)[k].detach()))
        if step == steps:
            break
        mean = torch.stack([objective(b, a, k) for b, a in zip(before, after, strict=True)]).mean()
        (m.grad,) = torch.autograd.grad(mean + penalty(m), m)
        adam.step()
        if clamp:
            with torch.no_grad():
                m.clamp_(0, 1)
    return probabilities, fine.detach()


def drawn(mask: UndesirablePixels, clf: Classifier, x: Tensor) -> Tensor:
    """Where a mask starts."""
    seen: list[Tensor] = []
    replace(mask, steps=0)(clf, x, observe=lambda step, rows, decoded, logits: seen.append(decoded))
    return seen[0]


def weighed(tv_weight: float, l1_weight: float, cells: int) -> Callable[[Tensor], Tensor]:
    """R_M; one cell for sums."""

    def penalty(m: Tensor) -> Tensor:
        m = m[0, 0]
        down, right = torch.zeros_like(m), torch.zeros_like(m)
        down[:-1], right[:, :-1] = m[1:] - m[:-1], m[:, 1:] - m[:, :-1]
        tv = torch.sqrt(down**2 + right**2 + 1e-8).sum()
        return (tv_weight * tv + l1_weight * (1 - m).abs().sum()) / cells

    return penalty


def same(found: Undesirable, probabilities: list[float], masks: Tensor) -> None:
    assert found.history[0].tolist() == pytest.approx(probabilities, rel=1e-5)
    torch.testing.assert_close(found.masks, masks, rtol=0, atol=1e-6)
    # That something happened.
    assert float(masks.min()) < 0.9
    assert abs(probabilities[-1] - probabilities[0]) > 1e-3


@pytest.mark.parametrize(
    ("factor", "objective", "init"),
    [(None, equation_3, "ones"), ("target", equation_5, "random"), ("non_target", equation_7, "random")],
)
def test_the_trajectory_is_that_of_the_plain_loop(factor: Any, objective: Objective, init: Any) -> None:
    # With a factor not from ones: there it is at its kink, where rounding says which way is down.
    clf, x = classifier("resnet18"), photographs(1, 64).double()
    mask = UndesirablePixels(factor, 12, precision="fp32", init=init)
    start = torch.ones(1, 1, 28, 28, dtype=torch.float64) if init == "ones" else drawn(mask, clf, x)
    expected = plain_loop([clf], x, 3, start, 12, objective, weighed(1.7, 3.0, 784))
    found = mask(clf, x, 3)
    same(found, *expected)
    assert found.history.shape == (1, 13)


def test_the_paper_s_settings_are_the_defaults() -> None:
    default = UndesirablePixels()
    assert (default.tv_weight, default.l1_weight, default.beta, default.gamma) == (1.7, 3.0, 2.0, 0.3)
    assert (default.lr, default.steps, default.resolution) == (0.1, 200, 28)
    assert (default.kernel, default.sigma, default.reference) == (11, 5.0, "blur")
    assert (default.game, default.loss, default.bounds, default.views) == (
        "improve",
        "probability",
        "clamp",
        0,
    )


def test_the_printed_sums() -> None:
    clf, x = quick(1)
    start = torch.ones(1, 1, 8, 8, dtype=torch.float64)
    expected = plain_loop([clf], x, 1, start, 8, equation_3, weighed(1e-3, 2e-3, 1))
    found = method(
        factor=None, steps=8, init="ones", tv_weight=1e-3, l1_weight=2e-3, reduction="sum", batch_size=1
    )(clf, x, 1)
    same(found, *expected)


@pytest.mark.parametrize("beta", [1.0, 2.0])
def test_the_other_form_of_total_variation(beta: float) -> None:
    def penalty(m: Tensor) -> Tensor:
        m = m[0, 0]
        tv = ((m[1:] - m[:-1]).abs() ** beta).sum() + ((m[:, 1:] - m[:, :-1]).abs() ** beta).sum()
        return (0.5 * tv + 0.2 * (1 - m).abs().sum()) / 64

    clf, x = quick(1)
    start = torch.ones(1, 1, 8, 8, dtype=torch.float64)
    expected = plain_loop([clf], x, 1, start, 8, equation_3, penalty)
    found = method(factor=None, steps=8, init="ones", tv="power", beta=beta, tv_weight=0.5)(clf, x, 1)
    same(found, *expected)


def test_sigmoid_masks_of_the_log_probability() -> None:
    def decode(w: Tensor) -> Tensor:
        return torch.sigmoid(F.interpolate(w, size=(32, 32), mode="bicubic", align_corners=False) + 2)

    def surprise(before: Tensor, after: Tensor, k: int) -> Tensor:
        return -torch.log(after.softmax(0)[k])

    clf, x = quick(1)
    start = torch.zeros(1, 1, 14, 14, dtype=torch.float64)
    expected = plain_loop(
        [clf], x, 1, start, 12, surprise, lambda w: 2 * (1 - decode(w)).mean(), decode, clamp=False
    )
    mask = method(
        factor=None, steps=12, loss="log_probability", bounds="sigmoid", init="ones", resolution=14,
        tv_weight=0.0, l1_weight=2.0,
    )  # fmt: skip
    same(mask(clf, x, 1), *expected)


@pytest.mark.parametrize(
    ("game", "loss", "objective"),
    [
        ("delete", "probability", lambda before, after, k: after.softmax(0)[k]),
        ("delete", "log_probability", lambda before, after, k: -torch.log(1 - after.softmax(0)[k])),
        ("preserve", "probability", equation_3),
        ("preserve", "log_probability", lambda before, after, k: -torch.log(after.softmax(0)[k])),
    ],
)
def test_the_other_games_are_plain_loops_too(game: Any, loss: Any, objective: Objective) -> None:
    def penalty(m: Tensor) -> Tensor:
        kept = 0.3 * m.abs().mean() if game == "preserve" else 0.3 * (1 - m).abs().mean()
        return kept + weighed(0.1, 0.0, 64)(m)

    clf, x = quick(1)
    k = int(clf(x).argmax())
    start = torch.ones(1, 1, 8, 8, dtype=torch.float64)
    expected = plain_loop([clf], x, k, start, 8, objective, penalty)
    found = method(factor=None, steps=8, game=game, loss=loss, init="ones", l1_weight=0.3)(clf, x)
    same(found, *expected)


def test_further_networks_count_as_much_as_the_first() -> None:
    (clf, x), other = quick(1), shuffled(32)
    mask = method(steps=8)
    expected = plain_loop([clf, other], x, 1, drawn(mask, clf, x), 8, equation_5, weighed(0.1, 0.2, 64))
    found = mask(clf, x, 1, others=[other])
    same(found, *expected)


@pytest.mark.parametrize("factor", ["target", "non_target"])
def test_rounding_does_not_decide_where_a_factor_points(clf: Classifier, x: Tensor, factor: Any) -> None:
    # At Q = x nothing has moved but for rounding, which is another one in another batch.
    mask = method(steps=1, init="ones", factor=factor, gamma=5.0)
    together = mask(clf, x).p_after
    alone = torch.cat([mask(clf, image[None]).p_after for image in x])
    torch.testing.assert_close(together, alone, rtol=0, atol=5e-3)


def test_cells_share_one_second_moment() -> None:
    clf, x = quick(1)
    mask = method(steps=6, factor=None, init="ones", bounds="sigmoid", shared=True, tv_weight=0.0)
    w = torch.zeros(1, 1, 8, 8, dtype=torch.float64, requires_grad=True)
    first, second = torch.zeros_like(w), torch.zeros_like(w)

    def masked(w: Tensor) -> Tensor:
        return torch.sigmoid(F.interpolate(w, size=(32, 32), mode="bicubic", align_corners=False) + 2)

    for step in range(1, 7):
        fine = masked(w)
        q = x * fine + blurred(x) * (1 - fine)
        loss = -clf(q).softmax(1)[0, 1] + 0.2 * (1 - fine).mean()
        (gradient,) = torch.autograd.grad(loss, w)
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        scale = (second.mean() / (1 - 0.999**step)).sqrt() + 1e-8
        w = (w - 0.1 * first / (1 - 0.9**step) / scale).detach().requires_grad_()
    torch.testing.assert_close(mask(clf, x, 1).masks, masked(w).detach(), rtol=0, atol=1e-7)


def test_every_other_view_is_mirrored(x: Tensor) -> None:
    drawn = drawn_views(x, (7, 2), 3, True, 0, alternating=True)[..., 2].flatten(1)
    assert bool((drawn.diff(dim=1).abs() == 1).all())
    assert not bool(drawn_views(x, (7, 2), 3, False, 0, alternating=True)[..., 2].any())


def test_at_gamma_zero_the_three_factors_coincide() -> None:
    clf, x = quick(3)
    none, target, non_target = (
        method(steps=10, factor=f, gamma=0.0)(clf, x, 1) for f in (None, "target", "non_target")
    )
    assert torch.equal(target.masks, none.masks)
    assert torch.equal(non_target.masks, none.masks)
    with_gamma = [method(steps=10, factor=f, gamma=0.3)(clf, x, 1).masks for f in ("target", "non_target")]
    assert not torch.allclose(with_gamma[0], none.masks, atol=1e-3)
    assert not torch.allclose(with_gamma[1], none.masks, atol=1e-3)
    assert not torch.allclose(with_gamma[0], with_gamma[1], atol=1e-3)


@pytest.mark.parametrize(("factor", "moved"), [("target", target_factor), ("non_target", non_target_factor)])
def test_a_factor_keeps_what_it_is_to_keep(clf: Classifier, x: Tensor, factor: Any, moved: Any) -> None:
    free, bound = (method(factor=f, gamma=3.0, steps=12)(clf, x[:2], 3) for f in (None, factor))
    by_free, by_bound = (moved(f.logits_before, f.logits_after, f.target).mean() for f in (free, bound))
    assert float(by_bound) < 0.5 * float(by_free)


def test_centred_factors_do_not_see_a_network_s_common_offset() -> None:
    class Offset(nn.Module):
        """Adds to all logits what depends on the image alone: no probability changes."""

        def __init__(self, network: nn.Module) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.network(x) + 40 * x.diff(dim=3).abs().mean(dim=(1, 2, 3)).unsqueeze(1)
            return out

    plain, x = quick(2)
    shifted = Classifier(
        Offset(plain.network), mean=plain.mean.flatten().tolist(), std=plain.std.flatten().tolist(), size=32
    )
    for factor in ("target", "non_target"):
        one, other = (method(factor=factor, centred=True, gamma=1.0)(c, x, 1).masks for c in (plain, shifted))
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
        one, other = (method(factor=factor, gamma=1.0)(c, x, 1).masks for c in (plain, shifted))
        assert not torch.allclose(one, other, atol=1e-2)


class Planted(nn.Module):
    """Class 2 is fine texture in one square, class 1 its absence; elsewhere texture means nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[[[0.0, -1, 0], [-1, 4, -1], [0, -1, 0]]]]) / 4)

    def forward(self, x: Tensor) -> Tensor:
        rough = F.conv2d(x.mean(dim=1, keepdim=True), self.weight, padding=1)
        z = 1 - 6 * rough[:, 0, 16:40, 24:48].abs().mean(dim=(1, 2))
        return torch.stack([torch.zeros_like(z), z, -z], dim=1)


def planted() -> tuple[Classifier, Tensor, Tensor]:
    """The network, an image with texture everywhere, and where the network looks."""
    i, j = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    shade = 0.5 + 0.2 * torch.sin(i / 9) * torch.cos(j / 7) + 0.3 * (2 * ((i + j) % 2) - 1)
    square = torch.zeros(64, 64, dtype=torch.bool)
    square[16:40, 24:48] = True
    return Classifier(Planted(), size=64, name="planted"), shade.clamp(0, 1).expand(1, 3, 64, 64), square


@pytest.mark.parametrize("bounds", ["clamp", "sigmoid"])
@pytest.mark.parametrize(
    ("game", "loss", "target", "l1_weight"),
    [
        ("improve", "log_probability", 1, 5.0),
        ("delete", "probability", 2, 1.5),
        ("delete", "log_probability", 2, 2.0),
        ("preserve", "probability", 2, 1.0),
        ("preserve", "log_probability", 2, 1.0),
    ],
)
def test_what_was_planted_is_found(game: Any, loss: Any, target: int, l1_weight: float, bounds: Any) -> None:
    clf, x, square = planted()
    settings = {"game": game, "loss": loss, "l1_weight": l1_weight, "bounds": bounds, "tv_weight": 0.05}
    found = method(factor=None, steps=60, resolution=16, **settings)(clf, x, target)
    kept = found.masks[0, 0]
    chosen = (kept if game == "preserve" else 1 - kept) > 0.6
    assert float((chosen & square).sum() / (chosen | square).sum()) >= 0.8
    if game == "improve":
        assert float(found.p_before) < 0.01
        assert float(found.p_after) > 0.5
        assert found.predicted_after.tolist() == [1]
        assert 50 < float(found.phi) < 100
    elif game == "delete":
        assert float(found.p_before) > 0.9
        assert float(found.p_after) < 0.2
        assert float(found.phi) < -100
    else:
        assert float(found.p_after) > float(found.p_before) - 0.05
        assert float(found.area) > 0.8


def test_the_paper_s_loss_finds_what_was_planted() -> None:
    clf, x, square = planted()
    found = UndesirablePixels(None, 60, precision="fp32", resolution=16, tv_weight=0.05)(clf, x, 1)
    chosen = found.masks[0, 0] < 0.4
    assert float((chosen & square).sum() / (chosen | square).sum()) >= 0.8
    assert float(found.p_after) > 0.5


def test_the_games_on_a_real_network(clf: Classifier, x: Tensor) -> None:
    better = method(factor=None, loss="log_probability", steps=12)(clf, x, "runner-up")
    assert bool((better.p_after > better.p_before).all())
    assert bool((better.phi > 0).all())
    worse = method(factor=None, steps=12, loss="log_probability", game="delete")(clf, x)
    assert bool((worse.p_after < worse.p_before).all())
    assert bool((worse.phi < 0).all())
    kept = method(factor=None, steps=15, game="preserve", l1_weight=0.5)(clf, x)
    assert bool((kept.p_after > kept.p_before - 0.1).all())
    assert float(kept.masks.mean()) < 0.5


def test_dearer_masks_are_smaller(clf: Classifier, x: Tensor) -> None:
    taken = [1 - method(steps=12, l1_weight=weight)(clf, x[:1], 3).masks for weight in (0.0, 0.5, 50.0)]
    assert float(taken[0].mean()) > float(taken[1].mean()) > float(taken[2].mean())
    rough, smooth = (method(steps=12, tv_weight=weight)(clf, x[:1], 3).masks for weight in (0.0, 5.0))
    assert float(smooth.diff(dim=3).abs().mean()) < 0.5 * float(rough.diff(dim=3).abs().mean())


SETTINGS: list[dict[str, Any]] = [
    {},
    {"factor": None, "game": "delete", "loss": "log_probability", "averaged": 0.6},
    {"factor": "non_target", "bounds": "sigmoid", "views": 2, "restarts": 2, "averaged": 0.5, "steps": 3},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_batch_is_its_images_one_by_one(settings: Any) -> None:
    (clf, x), target = quick(4), torch.tensor([0, 1, 2, 1])
    together = method(batch_size=3, **settings)(clf, x, target)
    other = method(batch_size=16, **settings)(clf, x, target)
    singles = [method(**settings)(clf, x[i : i + 1], target[i : i + 1]) for i in range(4)]
    for name in TENSORS:
        expected = torch.cat([getattr(single, name) for single in singles])
        torch.testing.assert_close(getattr(together, name), expected, rtol=1e-6, atol=1e-8)
        torch.testing.assert_close(getattr(other, name), expected, rtol=1e-6, atol=1e-8)
    assert float((together.masks[1] - together.masks[3]).abs().max()) > 1e-2


def test_a_batch_of_a_real_network_is_its_images_one_by_one() -> None:
    clf, x = classifier("resnet18"), photographs(3, 64).double()
    together = method(batch_size=2, steps=4)(clf, x, 3)
    for i in range(3):
        single = method(steps=4)(clf, x[i : i + 1], 3)
        torch.testing.assert_close(together.masks[i], single.masks[0], rtol=1e-6, atol=1e-8)
        torch.testing.assert_close(together.phi[i], single.phi[0], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("offset", [-100.0, 100.0])
@pytest.mark.parametrize("factor", ["target", "non_target"])
def test_further_networks_are_held_to_their_own_logits(factor: Any, offset: float) -> None:
    class Higher(nn.Module):
        def __init__(self, network: nn.Module) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.network(x) + offset
            return out

    clf, x = quick(2)
    higher = Classifier(Higher(clf.network), mean=(0.5,) * 3, std=(0.25,) * 3, size=32)
    mask = method(factor=factor, gamma=1.0)
    same, offset_too = (mask(clf, x, 1, others=[other]).masks for other in (clf, higher))
    torch.testing.assert_close(offset_too, same, rtol=0, atol=1e-6)


def shuffled(size: int) -> Classifier:
    """Another network with three classes."""
    torch.manual_seed(5)
    cells = (size - 2) // 3
    network = nn.Sequential(nn.Conv2d(3, 6, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * cells**2, 3))
    return Classifier(network.double(), size=size)


def test_further_networks_see_the_images_of_every_portion() -> None:
    (clf, x), other = quick(3), shuffled(40)
    target = torch.tensor([0, 1, 2])
    together = method(batch_size=2, views=2, steps=3).trials(clf, x, target, count=2, others=[other])
    for t, found in enumerate(together):
        for i in range(3):
            single = method(views=2, steps=3)(clf, x[i : i + 1], target[i : i + 1], trial=t, others=[other])
            torch.testing.assert_close(found.masks[i], single.masks[0], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("settings", [{}, {"restarts": 2, "views": 1, "bounds": "sigmoid", "averaged": 0.5}])
def test_trials_are_the_single_ones_by_their_number(settings: Any) -> None:
    clf, x = quick(2)
    found = method(**settings).trials(clf, x, 1, count=3, first=1)
    assert len(found) == 3
    for number, trial in enumerate(found, start=1):
        single = method(**settings)(clf, x, 1, trial=number)
        for name in TENSORS:
            torch.testing.assert_close(getattr(trial, name), getattr(single, name), rtol=1e-6, atol=1e-8)
    assert float((found[0].masks - found[1].masks).abs().max()) > 1e-2
    assert float((found[0].masks - found[2].masks).abs().max()) > 1e-2


def test_trials_differ_by_their_starts_and_views_alone(clf: Classifier, x: Tensor) -> None:
    one, other = method(init="ones").trials(clf, x[:2], 3, count=2)
    assert torch.equal(one.masks, other.masks)
    one, other = method(init="ones", views=1).trials(clf, x[:2], 3, count=2)
    assert float((one.masks - other.masks).abs().max()) > 1e-2
    start, again = method(steps=0).trials(clf, x[:2], 3, count=2)
    assert float((start.masks - again.masks).abs().max()) > 0.1


@pytest.mark.parametrize("settings", [{}, {"init": "ones", "views": 1}])
def test_a_seed_gives_the_same_again(clf: Classifier, x: Tensor, settings: Any) -> None:
    one = method(seed=5, **settings)(clf, x[:2], 3)
    torch.manual_seed(1)
    assert torch.equal(method(seed=5, **settings)(clf, x[:2], 3).masks, one.masks)
    assert float((method(seed=6, **settings)(clf, x[:2], 3).masks - one.masks).abs().max()) > 1e-2


def test_starts(clf: Classifier, x: Tensor) -> None:
    seen: dict[str, Tensor] = {}
    for init in ("random", "ones"):
        for bounds in ("clamp", "sigmoid"):

            def keep(
                step: int, rows: Tensor, decoded: Tensor, logits: Tensor, name: str = f"{init} {bounds}"
            ) -> None:
                seen[name] = decoded

            found = method(steps=0, init=init, bounds=bounds, resolution=16)(clf, x, 3, observe=keep)
            assert found.history.shape == (4, 1)
    assert torch.equal(seen["ones clamp"], torch.ones(4, 1, 16, 16))
    torch.testing.assert_close(
        seen["ones sigmoid"], torch.full((4, 1, 64, 64), 1 / (1 + np.exp(-2.0))).float()
    )
    # Uniform on [0, 1]: 1024 numbers.
    drawn = seen["random clamp"]
    assert 0 <= float(drawn.min()) < 0.01
    assert 0.99 < float(drawn.max()) <= 1
    assert abs(float(drawn.mean()) - 0.5) < 0.05
    assert abs(float(drawn.std()) - 12**-0.5) < 0.02
    assert not torch.equal(drawn[0], drawn[1])
    assert float(seen["random sigmoid"].std()) > 0.01


@pytest.mark.parametrize("settings", [{}, {"bounds": "sigmoid", "averaged": 0.4}])
def test_restarts_are_the_mean_of_their_masks(settings: Any) -> None:
    clf, x = quick(2)
    found = method(restarts=3, **settings)(clf, x, 1, trial=1)
    singles = [method(**settings)(clf, x, 1, trial=trial) for trial in (3, 4, 5)]
    mean = torch.stack([single.masks for single in singles]).mean(dim=0)
    torch.testing.assert_close(found.masks, mean, rtol=1e-6, atol=1e-8)
    history = torch.stack([single.history for single in singles]).mean(dim=0)
    torch.testing.assert_close(found.history, history, rtol=1e-6, atol=1e-8)
    measured_as_promised(clf, x, found)


@pytest.mark.parametrize("bounds", ["clamp", "sigmoid"])
@pytest.mark.parametrize(
    ("steps", "averaged", "last"),
    [
        (8, 0.5, 4),
        (10, 0.3, 3),
        (5, 1.0, 5),
        (4, 0.01, 1),
        (8, 0.0, 1),
        (0, 0.5, 1),
        (10, 0.9, 9),
    ],
)
def test_the_mask_is_the_mean_over_the_last_steps(
    steps: int, averaged: float, last: int, bounds: Any
) -> None:
    clf, x = quick(3)
    # In portions of two, and of trials only the first is seen.
    seen = torch.full(
        (steps + 1, 3, 1, *([32, 32] if bounds == "sigmoid" else [8, 8])), torch.nan, dtype=torch.float64
    )

    def keep(step: int, rows: Tensor, decoded: Tensor, logits: Tensor) -> None:
        seen[step, rows] = decoded

    mask = method(steps=steps, averaged=averaged, bounds=bounds, batch_size=2)
    found, second = mask.trials(clf, x, 1, count=2, observe=keep)
    mean = seen[-last:].mean(dim=0)
    assert bool(mean.isfinite().all())
    torch.testing.assert_close(found.masks, bilinear(mean, 32), rtol=0, atol=1e-12)
    torch.testing.assert_close(second.masks, mask(clf, x, 1, trial=1).masks, rtol=1e-6, atol=1e-8)


def measured_as_promised(clf: Classifier, x: Tensor, found: Undesirable) -> None:
    n = len(x)
    with torch.no_grad():
        before, after = clf(x), clf(found.perturbed)
    rows = torch.arange(n)
    torch.testing.assert_close(found.logits_before, before, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.logits_after, after, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.p_before, before.softmax(1)[rows, found.target], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found.p_after, after.softmax(1)[rows, found.target], rtol=1e-4, atol=1e-6)
    assert torch.equal(found.predicted_before, before.argmax(1))
    assert torch.equal(found.predicted_after, after.argmax(1))
    p, q = (z.double().softmax(1)[rows, found.target] for z in (found.logits_before, found.logits_after))
    torch.testing.assert_close(found.phi.double(), 100 * (q - p) / (1 - p), rtol=1e-4, atol=1e-3)
    g = blurred(x)
    expected = x * found.masks + g * (1 - found.masks)
    torch.testing.assert_close(found.perturbed, expected, rtol=0, atol=5e-6)
    assert found.masks.shape == (n, 1, *x.shape[2:])
    for i, mask in enumerate(found.masks.double().numpy()):
        assert found.area[i].item() == pytest.approx(float(np.mean(1 - mask > 0.6)), abs=1e-6)
        assert found.max_magnitude[i].item() == pytest.approx(float((1 - mask).max()), abs=1e-6)
        assert mask.min() >= 0
        assert mask.max() <= 1
    assert not any(getattr(found, name).requires_grad for name in TENSORS)


@pytest.mark.parametrize("settings", [*SETTINGS, {"game": "preserve"}, {"batch_size": 4, "centred": True}])
def test_the_numbers_belong_together(clf: Classifier, x: Tensor, settings: Any) -> None:
    target, untouched = torch.tensor([0, 1, 2, 3]), x.clone()
    found = method(**settings)(clf, x, target)
    measured_as_promised(clf, x, found)
    assert torch.equal(found.target, target)
    assert found.history.shape == (4, settings.get("steps", 5) + 1)
    assert torch.equal(x, untouched)
    if not settings:
        torch.testing.assert_close(found.history[:, -1], found.p_after, rtol=1e-2, atol=1e-4)
        assert 0 < float(found.area.mean()) < 1


def test_classes_to_choose(clf: Classifier, x: Tensor) -> None:
    with torch.no_grad():
        order = clf(x).argsort(dim=1, descending=True)
    assert torch.equal(method(steps=0)(clf, x).target, order[:, 0])
    assert torch.equal(method(steps=0)(clf, x, "predicted").target, order[:, 0])
    assert torch.equal(method(steps=0)(clf, x, "runner-up").target, order[:, 1])
    assert method(steps=0)(clf, x, 7).target.tolist() == [7] * 4


def test_phi_starts_at_zero(clf: Classifier, x: Tensor) -> None:
    start = method(steps=0, init="ones")(clf, x)
    assert torch.equal(start.perturbed, x)
    assert torch.equal(start.masks, torch.ones(4, 1, 64, 64))
    assert torch.equal(start.phi, torch.zeros(4))
    assert torch.equal(start.area, torch.zeros(4))
    assert torch.equal(start.max_magnitude, torch.zeros(4))
    torch.testing.assert_close(start.history[:, 0], start.p_before, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("reference", "g"),
    [
        ("mean", lambda x: x.mean(dim=(2, 3), keepdim=True).expand_as(x)),
        (torch.zeros_like, torch.zeros_like),
        (lambda x: 1 - x, lambda x: 1 - x),
    ],
)
def test_other_references(clf: Classifier, x: Tensor, reference: Any, g: Any) -> None:
    found = method(reference=reference)(clf, x, 3)
    expected = x * found.masks + g(x) * (1 - found.masks)
    torch.testing.assert_close(found.perturbed, expected, rtol=0, atol=1e-6)
    assert float((found.masks - method()(clf, x, 3).masks).abs().max()) > 1e-2


def test_masks_as_fine_as_the_image(clf: Classifier, x: Tensor) -> None:
    seen = {}

    def keep(step: int, rows: Tensor, decoded: Tensor, logits: Tensor) -> None:
        seen[step] = decoded

    found = method(resolution=64)(clf, x[:2], 3, observe=keep)
    assert torch.equal(found.masks, seen[5])


def test_views_that_do_not_move_are_none() -> None:
    clf, x = quick(2)
    plain = method()(clf, x, 1)
    still = method(views=2, shift=0, mirror=False)(clf, x, 1)
    torch.testing.assert_close(still.masks, plain.masks, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(still.history, plain.history, rtol=1e-6, atol=1e-8)
    moved = method(views=2, shift=0)(clf, x, 1)
    assert float((moved.masks - plain.masks).abs().max()) > 1e-2


def test_every_step_sees_views_of_q() -> None:
    shown: list[Tensor] = []

    class Seeing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.layer = nn.Linear(3 * 16 * 16, 4)

        def forward(self, x: Tensor) -> Tensor:
            shown.append(x.detach())
            out: Tensor = self.layer(x.flatten(1))
            return out

    clf, x = Classifier(Seeing(), size=16), images(2, 16, dtype=torch.float32)
    seen: list[Tensor] = []
    mask = method(steps=6, views=2, shift=1, resolution=4)
    shown.clear()
    mask(clf, x, 1, observe=lambda step, rows, decoded, logits: seen.append(decoded))
    steps = [batch for batch in shown if len(batch) == 4]
    assert len(steps) == len(seen) == 7
    g, which = blurred(x), []
    for coarse, batch in zip(seen, steps, strict=True):
        fine = F.interpolate(coarse, size=(16, 16), mode="bilinear", align_corners=False)
        q = x * fine + g * (1 - fine)
        for i, view in enumerate(batch):
            padded = F.pad(q[i % 2], (1, 1, 1, 1), mode="replicate")
            views = [padded[:, a : a + 16, b : b + 16] for a in range(3) for b in range(3)]
            views += [one.flip(2) for one in views]
            matches = [torch.allclose(view, one, atol=1e-5) for one in views]
            assert sum(matches) == 1
            which.append(matches.index(True))
    assert len(set(which)) > 5
    assert any(number >= 9 for number in which)
    assert any(number < 9 for number in which)


def test_stable_is_a_preset() -> None:
    stable = UndesirablePixels.stable()
    assert stable.factor is None
    assert (stable.loss, stable.bounds, stable.views, stable.shared) == (
        "log_probability",
        "sigmoid",
        1,
        True,
    )
    changed = UndesirablePixels.stable("target", steps=3, l1_weight=0.5)
    assert (changed.factor, changed.steps, changed.l1_weight) == ("target", 3, 0.5)
    assert (changed.resolution, changed.tv_weight) == (stable.resolution, 0.0)
    with pytest.raises(HeatliftError, match="steps -3"):
        UndesirablePixels.stable(steps=-3)


def test_stable_masks_find_what_was_planted() -> None:
    clf, x, square = planted()
    stable = UndesirablePixels.stable(precision="fp32", resolution=16, shift=1, l1_weight=5.0)
    one, other = stable.trials(clf, x, 1, count=2)
    for found in (one, other):
        assert float(found.p_after) > 0.4
        assert float(found.p_before) < 0.01
        chosen = found.masks[0, 0] < 0.4
        # Shifted by a pixel it must still be covered.
        assert float((chosen & square).sum() / square.sum()) >= 0.85
        assert float((chosen & square).sum() / (chosen | square).sum()) >= 0.6
    taken = torch.stack([1 - one.masks.flatten(), 1 - other.masks.flatten()])
    assert float(torch.corrcoef(taken)[0, 1]) > 0.9


def test_other_networks_can_take_part(clf: Classifier, x: Tensor) -> None:
    # One of another input size: images are scaled to it.
    other = classifier("squeezenet1_1", size=96, dtype=torch.float32)
    mask = method(factor=None, steps=12, loss="log_probability")

    def believed(found: Undesirable) -> float:
        with torch.no_grad():
            return float(other(other.resized(found.perturbed)).softmax(1)[:, 3].mean())

    alone, both = mask(clf, x, 3), mask(clf, x, 3, others=[other])
    assert believed(both) > believed(alone)
    measured_as_promised(clf, x, both)


def test_networks_of_other_classes_are_refused(clf: Classifier, x: Tensor) -> None:
    other = Classifier(nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 4)), size=64)
    with pytest.raises(HeatliftError, match="Sequential has 4 classes, resnet18 10: they must be the same"):
        method()(clf, x, others=[other])
    with pytest.raises(HeatliftError, match="has 4 classes"):
        method().trials(clf, x, count=2, others=[clf, other])


def test_progress_and_observers_hear_of_every_step(clf: Classifier, x: Tensor) -> None:
    heard: list[tuple[int, int]] = []
    rows: list[tuple[int, list[int]]] = []
    method(steps=2, batch_size=3).trials(
        clf,
        x,
        3,
        count=2,
        observe=lambda step, which, decoded, logits: rows.append((step, which.tolist())),
        progress=lambda step, left: heard.append((step, left)),
    )
    # Trials go one after the other where one fills the passes.
    assert [step for step, _ in heard] == [0, 0, 1, 1, 1, 2]
    assert rows == [(step, part) for step in range(3) for part in ([0, 1, 2], [3])]


def test_the_networks_are_left_as_they_were() -> None:
    def network(seed: int) -> nn.Sequential:
        torch.manual_seed(seed)
        layers = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(784, 3)
        )
        calibrated(layers, images(4, 16, dtype=torch.float32))
        return layers.train()

    both = [network(0), network(1)]
    modes: list[bool] = []
    for one in both:
        one[0].weight.requires_grad_(False)
        one[2].eval()
        one[1].register_forward_hook(lambda module, args, output: modes.append(module.training))
    states = [{name: value.clone() for name, value in one.state_dict().items()} for one in both]
    first, second = (Classifier(one, size=16) for one in both)
    modes.clear()
    method(averaged=0.5, resolution=4)(first, images(2, 16, dtype=torch.float32), others=[second])
    assert modes
    assert not any(modes)
    for one, state in zip(both, states, strict=True):
        assert [module.training for module in one] == [True, True, False, True, True]
        assert [p.requires_grad for p in one.parameters()] == [False, True, True, True, True, True]
        assert all(p.grad is None for p in one.parameters())
        assert all(torch.equal(value, state[name]) for name, value in one.state_dict().items())


@pytest.mark.parametrize("settings", [{"averaged": 0.5}, {"views": 1}])
def test_out_of_memory_goes_on_with_fewer(x: Tensor, settings: Any) -> None:
    class Small(nn.Module):
        """A network on a machine that holds two images."""

        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.layer = nn.Conv2d(3, 5, 64)

        def forward(self, x: Tensor) -> Tensor:
            if len(x) > 2 and x.requires_grad:
                raise torch.OutOfMemoryError("CUDA out of memory")
            out: Tensor = self.layer(x)
            return out.flatten(1)

    clf = Classifier(Small(), size=64)
    found = method(**settings)(clf, x, 3)
    fewer = method(batch_size=2, **settings)(clf, x, 3)
    torch.testing.assert_close(found.masks, fewer.masks)
    torch.testing.assert_close(found.phi, fewer.phi)


def test_reduced_precision_is_measured_in_float32(clf: Classifier, x: Tensor) -> None:
    found = method(precision="bf16")(clf, x, 3)
    measured_as_promised(clf, x, found)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_networks_in_half_precision(x: Tensor, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 31 * 31, 5))
    clf = Classifier(network.to(dtype), size=64)
    found = method(factor=None, l1_weight=0.0, tv_weight=0.0, steps=20)(clf, x[:2], 3)
    assert found.masks.dtype == found.perturbed.dtype == torch.float32
    assert bool(found.phi.isfinite().all())
    assert bool((found.p_after > found.history[:, 0]).all())


@pytest.mark.parametrize(
    "settings", [{}, {"factor": "non_target", "game": "delete", "loss": "log_probability"}]
)
def test_networks_of_one_output_have_two_classes(x: Tensor, settings: Any) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 5, 4), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 15 * 15, 1))
    clf = Classifier(network, size=64)
    found = method(**settings)(clf, x, 1)
    measured_as_promised(clf, x, found)
    torch.testing.assert_close(found.p_after, torch.sigmoid(found.logits_after[:, 1]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"factor": "others"}, "factor 'others': choose from target, non_target, None"),
        ({"game": "win"}, "game 'win': choose from improve, delete, preserve"),
        ({"loss": "hinge"}, "loss 'hinge': choose from probability, log_probability"),
        ({"tv": "smooth"}, "tv 'smooth': choose from isotropic, power"),
        ({"reduction": "max"}, "reduction 'max': choose from mean, sum"),
        ({"bounds": "tanh"}, "bounds 'tanh': choose from clamp, sigmoid"),
        ({"init": "zeros"}, "init 'zeros': choose from random, ones"),
        ({"reference": "noise"}, "reference 'noise': choose from blur, mean, local_mean"),
        ({"steps": -1}, "steps -1: give a number from 0"),
        ({"batch_size": 0}, "batch_size 0: give a number from 1"),
        ({"resolution": 0}, "resolution 0"),
        ({"views": -1}, "views -1"),
        ({"shift": -1}, "shift -1"),
        ({"restarts": 0}, "restarts 0"),
        ({"kernel": -11}, "kernel -11"),
        ({"kernel": 10}, "kernel 10.*odd"),
        ({"gamma": -0.1}, "gamma -0.1"),
        ({"gamma": float("nan")}, "gamma nan"),
        ({"tv_weight": -1.0}, "tv_weight -1.0"),
        ({"l1_weight": float("inf")}, "l1_weight inf"),
        ({"beta": 0.5}, "beta 0.5: give a number from 1"),
        ({"averaged": -0.1}, "averaged -0.1"),
        ({"averaged": 1.1}, "averaged 1.1.*at most 1"),
        ({"lr": 0.0}, "lr 0.0"),
        ({"lr": float("nan")}, "lr nan"),
        ({"sigma": 0.0}, "sigma 0.0"),
        ({"sigma": float("inf")}, "sigma inf"),
    ],
)
def test_impossible_settings_are_refused(settings: Any, message: str) -> None:
    with pytest.raises(HeatliftError, match=message):
        UndesirablePixels(**settings)


def test_impossible_images_classes_and_trials_are_refused(clf: Classifier, x: Tensor) -> None:
    with pytest.raises(HeatliftError, match=r"images from 0 to 255: expected pixels in \[0, 1\]"):
        method()(clf, torch.linspace(0, 255, 3 * 64 * 64).view(1, 3, 64, 64))
    with pytest.raises(HeatliftError, match="no images"):
        method()(clf, x[:0])
    with pytest.raises(HeatliftError, match="classes 0 to 9"):
        method()(clf, x[:1], 10)
    with pytest.raises(HeatliftError, match="give one class per image"):
        method()(clf, x[:2], torch.tensor([1, 2, 3]))
    with pytest.raises(HeatliftError, match="64 x 64 pixels are too small for a window of 129"):
        method(kernel=129)(clf, x[:1])
    with pytest.raises(HeatliftError, match="the reference must give images in"):
        method(reference=lambda images: images[:, :1])(clf, x[:1])
    with pytest.raises(HeatliftError, match="unknown precision 'fp8'"):
        method(precision="fp8")(clf, x[:1])
    with pytest.raises(HeatliftError, match="0 trials from number 0: give at least 1, from 0"):
        method().trials(clf, x[:1], count=0)
    with pytest.raises(HeatliftError, match="from number -1"):
        method()(clf, x[:1], trial=-1)
