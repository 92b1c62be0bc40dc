"""One behavioural test for the whole registry of attribution methods."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from heatlift import Classifier, HeatliftError, attribute, methods
from heatlift.attributor import Attributor
from heatlift.registry import METHODS, requested
from networks import classifier, images, small


@pytest.fixture(params=sorted(METHODS))
def method(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def clf(method: str) -> Classifier:
    """ResNet-18; a small network for the methods that take many passes."""
    return small(torch.float64) if METHODS[method].runs is not None else classifier("resnet18")


@pytest.mark.parametrize("space", ["model", "pixel"])
def test_shape_finite_detached_and_not_empty(method: str, clf: Classifier, space: str) -> None:
    x = images(3, clf.framing.crop[0])
    h = attribute(clf, x, method, space=space)  # type: ignore[arg-type]
    assert h.shape == x.shape
    assert h.isfinite().all()
    assert not h.requires_grad
    assert (h.abs().amax(dim=(1, 2, 3)) > 0).all()


def test_a_batch_equals_single_images(method: str, clf: Classifier) -> None:
    x = images(3, clf.framing.crop[0])
    batch = attribute(clf, x, method)
    for i in range(3):
        torch.testing.assert_close(attribute(clf, x[i : i + 1], method)[0], batch[i], rtol=1e-9, atol=1e-12)


def test_repeatable(method: str, clf: Classifier) -> None:
    x = images(2, clf.framing.crop[0])
    assert torch.equal(attribute(clf, x, method), attribute(clf, x, method))


def test_explains_the_class_asked_for(method: str, clf: Classifier) -> None:
    x = images(2, clf.framing.crop[0])
    order = clf(x).argsort(dim=1, descending=True)
    assert torch.equal(attribute(clf, x, method), attribute(clf, x, method, target=order[:, 0]))
    assert torch.equal(
        attribute(clf, x, method, target="runner-up"), attribute(clf, x, method, target=order[:, 1])
    )
    assert torch.equal(
        attribute(clf, x, method, target=2), attribute(clf, x, method, target=torch.tensor([2, 2]))
    )
    assert not torch.equal(attribute(clf, x, method, target=1), attribute(clf, x, method, target=2))


class Interrupted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True))
        self.broken = False

    def forward(self, inputs: Tensor) -> Tensor:
        out = self.features(inputs)
        if self.broken:
            raise RuntimeError("half-way")
        return out.mean(dim=(2, 3))


@pytest.mark.parametrize("broken", [False, True])
def test_the_network_is_left_as_it_was(method: str, broken: bool) -> None:
    network = Interrupted()
    clf = Classifier(network, size=8)
    requested(clf, method)
    network.train()
    state = {k: v.clone() for k, v in network.state_dict().items()}
    network.broken = broken
    if broken:
        with pytest.raises(RuntimeError, match="half-way"):
            attribute(clf, torch.rand(2, 3, 8, 8), method)
    else:
        attribute(clf, torch.rand(2, 3, 8, 8), method)
    assert all(m.training and not m._forward_hooks and not m._backward_hooks for m in network.modules())
    assert all(p.requires_grad and p.grad is None for p in network.parameters())
    assert all(torch.equal(v, state[k]) for k, v in network.state_dict().items())
    # Nothing stays intercepted either.
    assert torch.relu(torch.ones(1, requires_grad=True)).grad_fn.name() == "ReluBackward0"


def test_together_equals_alone(method: str, clf: Classifier) -> None:
    x = images(2, clf.framing.crop[0])
    names = dict.fromkeys(("saliency", "deeplift", "gradcam", method))
    together = Attributor(clf, [requested(clf, name) for name in names])(x)
    torch.testing.assert_close(together[method].heatmaps, attribute(clf, x, method), rtol=1e-12, atol=1e-15)


def test_the_registry_tells_about_every_method(method: str) -> None:
    assert set(methods()[method]) == {"title", "source", "needs"}
    assert all(methods()[method].values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "grad"}, "unknown method 'grad': choose from saliency"),
        ({"method": "saliency@conv1"}, "takes no layer"),
        ({"method": "layer_gradcam@nowhere"}, "unknown layer 'nowhere': choose first, last"),
        ({"method": "layer_gradcam@fc"}, "gives no feature map"),
        ({"method": "saliency", "target": 10}, "classes 0 to 9"),
        ({"method": "saliency", "target": -1}, "classes 0 to 9"),
        ({"method": "saliency", "target": "best"}, "unknown target 'best'"),
        ({"method": "saliency", "target": torch.tensor([0, 1, 2])}, "one class per image"),
        ({"method": "saliency", "space": "frequency"}, "unknown space 'frequency'"),
    ],
)
def test_bad_arguments_are_said(options: dict[str, object], message: str) -> None:
    with pytest.raises(HeatliftError, match=message):
        attribute(classifier("resnet18"), images(2), **options)  # type: ignore[arg-type]
