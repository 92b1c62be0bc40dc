"""Our methods as Captum attributions, beside Captum's own and inside what Captum builds on them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import captum.attr
import captum.metrics
import pytest
import torch
from torch import Tensor, nn

from heatlift import Classifier, HeatliftError, Refused, attribute
from heatlift.adapters.captum import Explainer
from networks import images, small

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


@pytest.fixture(autouse=True)
def _captum_warns_of_its_hooks() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


pytestmark = pytest.mark.usefixtures("one_thread")


def simple() -> nn.Module:
    """What Captum is right on: a fresh ReLU module for each call, and no pooling windows that overlap."""
    torch.manual_seed(3)
    layers = (nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 8, 3, stride=2), nn.ReLU(), nn.Flatten())
    return nn.Sequential(*layers, nn.Linear(8 * 6 * 6, 10), nn.ReLU(), nn.Linear(10, 4)).double().eval()


def given(n: int = 3) -> tuple[nn.Module, Classifier, Tensor]:
    """A network, a classifier with preprocessing around it, and what the network itself takes."""
    network = simple()
    clf = Classifier(network, mean=MEAN, std=STD, size=16)
    return network, clf, torch.randn(n, 3, 16, 16, dtype=torch.float64, generator=torch.manual_seed(1))


@pytest.mark.parametrize(
    ("method", "theirs", "options"),
    [
        ("saliency", "Saliency", {"abs": False}),
        ("input_x_gradient", "InputXGradient", {}),
        ("guided_backprop", "GuidedBackprop", {}),
        ("deconvolution", "Deconvolution", {}),
        ("deeplift", "DeepLift", {}),
        ("deeplift", "DeepLift", {"baselines": 0.7}),
        ("deeplift", "DeepLift", {"baselines": torch.linspace(-1, 1, 768).double().view(1, 3, 16, 16)}),
    ],
)
def test_one_line_of_a_captum_script_is_swapped(method: str, theirs: str, options: dict[str, object]) -> None:
    network, clf, inputs = given()
    ours = {key: value for key, value in options.items() if key != "abs"}
    for target in (2, [0, 3, 1], torch.tensor([1, 1, 2]), torch.tensor([3])):
        # A copy: Captum asks what it is given for gradients.
        expected = getattr(captum.attr, theirs)(network).attribute(inputs.clone(), target=target, **options)
        found = Explainer(clf, method).attribute(inputs, target=target, **ours)
        torch.testing.assert_close(found, expected.detach(), rtol=1e-9, atol=1e-12)


def test_heatmaps_are_those_of_heatlift_in_either_space() -> None:
    clf, x = small(torch.float64), images(2, 32)
    target = torch.tensor([2, 0])
    for method in ("saliency", "layer_gradcam", "deeplift"):
        seen = Explainer(clf, method).attribute(clf.normalise(x), target=target)
        torch.testing.assert_close(seen, attribute(clf, x, method, target))
        pixels = Explainer(clf, method, space="pixel")
        # Captum's baseline is 0 where the inputs are: black, while heatlift's is 0 for the network.
        black = clf.normalise(torch.zeros(1, 3, 1, 1, dtype=torch.float64))
        expected = attribute(clf, x, method, target, "pixel", baseline=black)
        torch.testing.assert_close(pixels.attribute(x, target=target), expected)
    chosen = Explainer(clf, "layer_gradcam", layer="conv2").attribute(clf.normalise(x), target=target)
    torch.testing.assert_close(chosen, attribute(clf, x, "layer_gradcam", target, layer="conv2"))


def test_without_a_target_it_is_the_predicted_class() -> None:
    network, clf, inputs = given()
    explainer = Explainer(clf, "deeplift")
    found = explainer.attribute(inputs, return_convergence_delta=True)
    expected = explainer.attribute(
        inputs, target=network(inputs).argmax(dim=1), return_convergence_delta=True
    )
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])


def test_the_convergence_delta_is_the_sum_less_the_logit_s_rise() -> None:
    network, clf, inputs = given()
    explainer = Explainer(clf, "deeplift")
    assert explainer.has_convergence_delta()
    heatmaps, delta = explainer.attribute(inputs, target=1, baselines=0.3, return_convergence_delta=True)
    with torch.no_grad():
        rise = network(inputs)[:, 1] - network(torch.full_like(inputs, 0.3))[:, 1]
    torch.testing.assert_close(delta, heatmaps.sum(dim=(1, 2, 3)) - rise, rtol=0, atol=1e-12)
    assert float(delta.abs().max()) < 1e-12
    wrong = explainer.compute_convergence_delta(2 * heatmaps, 0.3, inputs, target=1)
    torch.testing.assert_close(wrong, rise)
    assert not Explainer(clf, "saliency").has_convergence_delta()


def test_works_inside_noise_tunnel() -> None:
    network, clf, inputs = given()
    torch.manual_seed(0)
    ours = captum.attr.NoiseTunnel(Explainer(clf, "saliency")).attribute(
        inputs, nt_samples=5, stdevs=0.2, target=torch.tensor([0, 1, 2])
    )
    torch.manual_seed(0)
    theirs = captum.attr.NoiseTunnel(captum.attr.Saliency(network)).attribute(
        inputs, nt_samples=5, stdevs=0.2, target=torch.tensor([0, 1, 2]), abs=False
    )
    torch.testing.assert_close(ours, theirs.detach(), rtol=1e-9, atol=1e-12)
    smoothed, delta = captum.attr.NoiseTunnel(Explainer(clf, "deeplift")).attribute(
        inputs, nt_samples=2, target=1, baselines=torch.zeros_like(inputs), return_convergence_delta=True
    )
    assert smoothed.shape == inputs.shape
    assert delta.shape == (6,)
    assert float(delta.abs().max()) < 1e-9


def test_works_inside_captum_s_metrics() -> None:
    network, clf, inputs = given()
    ours, theirs = Explainer(clf, "deeplift"), captum.attr.DeepLift(network)

    def noisy(given: Tensor) -> tuple[Tensor, Tensor]:
        noise = 0.05 * torch.randn_like(given)
        return noise, given - noise

    found = []
    for forward, explain in ((ours.forward_func, ours.attribute), (network, theirs.attribute)):
        torch.manual_seed(0)
        heatmaps = explain(inputs.clone(), target=2)
        infidelity = captum.metrics.infidelity(
            forward, noisy, inputs, heatmaps, target=2, n_perturb_samples=4
        )
        sensitivity = captum.metrics.sensitivity_max(explain, inputs, target=2, n_perturb_samples=4)
        found.append(torch.stack([infidelity, sensitivity]).detach())
    torch.testing.assert_close(found[0], found[1], rtol=1e-6, atol=1e-9)
    assert bool((found[0] > 0).all())


def test_tuples_go_in_and_come_out() -> None:
    _, clf, inputs = given(1)
    (found,) = Explainer(clf, "saliency").attribute((inputs,), target=0)
    assert torch.equal(found, Explainer(clf, "saliency").attribute(inputs, target=0))
    assert isinstance(Explainer(clf, "saliency"), captum.attr.Attribution)
    assert [Explainer(clf, m).multiplies_by_inputs for m in ("saliency", "deeplift")] == [False, True]
    for name in ("InputXGradient", "Occlusion", "FeatureAblation", "GradientShap", "Saliency", "DeepLift"):
        ours = Explainer(clf, f"captum:{name}")
        assert ours.multiplies_by_inputs == getattr(captum.attr, name)(ours.forward_func).multiplies_by_inputs
    assert not Explainer(clf, "captum:LayerGradCam", layer="last").multiplies_by_inputs


def test_what_can_t_be_right_is_refused() -> None:
    _, clf, inputs = given(1)
    explainer = Explainer(clf, "saliency")
    with pytest.raises(HeatliftError, match="Sequential is no Classifier: wrap the network"):
        Explainer(clf.network, "saliency")  # type: ignore[arg-type]
    with pytest.raises(HeatliftError, match="unknown method 'salience'"):
        Explainer(clf, "salience")
    with pytest.raises(HeatliftError, match="unknown space 'latent': choose model or pixel"):
        Explainer(clf, "saliency", space="latent")  # type: ignore[arg-type]
    with pytest.raises(HeatliftError, match="saliency takes no option 'abs'"):
        Explainer(clf, "saliency", abs=False)
    with pytest.raises(HeatliftError, match="2 inputs: a Classifier takes one tensor"):
        explainer.attribute((inputs, inputs), target=0)
    with pytest.raises(HeatliftError, match="takes images and nothing else"):
        explainer.attribute(inputs, target=0, additional_forward_args=3)
    with pytest.raises(HeatliftError, match="saliency promises no sum"):
        explainer.attribute(inputs, target=0, return_convergence_delta=True)
    linear = Classifier(nn.Sequential(nn.Flatten(), nn.Linear(768, 4)).double(), size=16)
    with pytest.raises(Refused, match="calls none"):
        Explainer(linear, "guided_backprop").attribute(inputs, target=0)
