"""Which layers stand for a network's stages, and heatmaps of all of them from shared passes."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

import heatlift as hl
from heatlift import Classifier, HeatliftError, attribute
from heatlift.attributor import Attribution, Attributor
from heatlift.cli import run as cli
from heatlift.registry import expanded, requested
from heatlift.run.audit import prepare, run
from heatlift.run.plan import configured
from heatlift.stages import stages
from networks import classifier, images, no_convolution, small
from pictures import class_folders


def staged(network: nn.Module, size: int = 64) -> dict[str, tuple[int, int]]:
    clf = Classifier(network, size=size)
    return {name: clf.layers[name][1:] for name in stages(clf.feature_maps, clf.network)}  # type: ignore[misc]


def torchvision_network(name: str) -> nn.Module:
    torch.manual_seed(0)
    network: nn.Module = torchvision.models.get_model(name, weights=None, num_classes=4)
    return network


def transformer(name: str, size: int = 64, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    network: nn.Module = timm.create_model(name, num_classes=4, img_size=size, **options)
    return network


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_of_a_residual_network_the_first_convolution_and_the_end_of_every_size(name: str) -> None:
    # Of ResNet-50 the first convolution of `layer2` has the size of `layer1`, and runs after it.
    assert staged(torchvision_network(name)) == {
        "conv1": (32, 32),
        "relu": (32, 32),
        "layer1": (16, 16),
        "layer2": (8, 8),
        "layer3": (4, 4),
        "layer4": (2, 2),
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "densenet121",
            "features.conv0 features.relu0 features.denseblock1 features.denseblock2 features.denseblock3 "
            "features",
        ),
        ("mobilenet_v2", "features.0.0 features.1 features.3 features.6 features.13 features"),
        # Its average pooling blows maps of 2 x 2 up to 7 x 7 here: no stage of the network.
        ("vgg11", "features.0 features.1 features.4 features.9 features.14 features.19 features"),
        ("swin_t", "features.0.0 features.1 features.3 features.5 norm"),
    ],
)
def test_blocks_count_where_they_begin_a_smaller_size(name: str, expected: str) -> None:
    assert list(staged(torchvision_network(name))) == expected.split()


def test_of_a_transformer_its_blocks() -> None:
    found = staged(transformer("vit_tiny_patch16_224"))
    # The last one's patches have no influence: the class token alone is read.
    assert list(found) == ["patch_embed.proj", *(f"blocks.{i}" for i in range(11))]
    assert set(found.values()) == {(4, 4)}


def test_of_many_blocks_twelve_evenly_chosen() -> None:
    deep = staged(transformer("vit_tiny_patch16_224", depth=24, global_pool="avg"))
    numbers = [int(name.removeprefix("blocks.")) for name in deep if name.startswith("blocks.")]
    assert len(numbers) == 12
    assert (numbers[0], numbers[-1]) == (0, 23)
    assert {b - a for a, b in pairwise(numbers)} == {2, 3}


def test_small_networks_and_none_at_all() -> None:
    assert staged(small().network, 32) == {"conv1": (15, 15), "pool": (7, 7), "conv2": (5, 5)}
    flat = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    assert list(staged(flat, 16)) == ["0", "1"]
    assert staged(no_convolution().network, 32) == {}


def test_one_forward_and_one_backward_pass_serve_all_stages_and_equal_each_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clf, x = classifier("resnet18"), images(2)
    names, of = expanded(clf, ["layer_gradcam@all", "gradcam@all", "gradcam_negative@all"])
    assert list(of) == names
    assert names[:6] == [f"layer_gradcam@{n}" for n in stages(clf.feature_maps, clf.network)]
    alone = {name: attribute(clf, x, name) for name in names}
    forwards: list[int] = []
    backwards: list[int] = []
    call, grad = Classifier.__call__, torch.autograd.grad

    def counted_call(self: Classifier, given: Tensor, space: Any = "pixel") -> Tensor:
        forwards.append(len(given))
        return call(self, given, space)

    def counted_grad(*arguments: Any, **options: Any) -> Any:
        backwards.append(1)
        return grad(*arguments, **options)

    together = Attributor(clf, [requested(clf, name) for name in names])
    monkeypatch.setattr(Classifier, "__call__", counted_call)
    monkeypatch.setattr(torch.autograd, "grad", counted_grad)
    found = together(x)
    assert (forwards, backwards) == ([2], [1])
    for name in names:
        one = found[name]
        assert isinstance(one, Attribution)
        torch.testing.assert_close(one.heatmaps, alone[name])
    # Of the halves one may be empty.
    for one in (found[name] for name in names[:6]):
        assert isinstance(one, Attribution)
        assert float(one.heatmaps.abs().max()) > 0


def test_names_are_expanded_in_place_and_once() -> None:
    names, of = expanded(small(), ["layer_gradcam@conv2", "saliency", "layer_gradcam@all"])
    assert names == ["layer_gradcam@conv2", "saliency", "layer_gradcam@conv1", "layer_gradcam@pool"]
    assert of == {f"layer_gradcam@{layer}": "layer_gradcam" for layer in ("conv1", "pool", "conv2")}
    assert expanded(small(), ["saliency@all"]) == (["saliency@all"], {})
    assert expanded(no_convolution(), ["gradcam@all"]) == (["gradcam@all"], {})


def audit(folder: Path, **settings: Any) -> Any:
    data = class_folders(folder / "photos", each=2)
    settings = {"model": "networks:small", "controls": ("zero",)} | settings
    run(prepare(configured(data=str(data), **settings)), folder / "run", lambda done, total, step: None)
    return hl.read(folder / "run")


def test_the_record_lists_the_stages_in_their_order(tmp_path: Path) -> None:
    found = audit(tmp_path, methods=("layer_gradcam@conv2", "layer_gradcam@all", "gradcam@all"))
    sizes = {"conv1": [15, 15], "pool": [7, 7], "conv2": [5, 5]}
    assert found.record["stages"] == [
        {"method": f"{base}@{layer}", "base": base, "layer": layer, "size": size}
        for base in ("layer_gradcam", "gradcam")
        for layer, size in sizes.items()
    ]
    assert found.record["config"]["methods"] == ["layer_gradcam@conv2", "layer_gradcam@all", "gradcam@all"]
    methods = {stage["method"] for stage in found.record["stages"]}
    assert set(found.record["methods"]) == methods
    assert set(found.scores["method"].to_pylist()) == methods | {"zero"}
    assert found.record["methods"]["gradcam@pool"]["layer"] == "pool"


def test_without_a_layer_the_request_is_left_out_with_its_reason(tmp_path: Path) -> None:
    found = audit(tmp_path, model="networks:no_convolution", methods=("saliency", "layer_gradcam@all"))
    assert found.record["stages"] == []
    assert "the network runs no convolution" in found.record["refused"]["layer_gradcam@all"]


def test_a_single_heatmap_can_t_be_of_all_stages() -> None:
    with pytest.raises(HeatliftError, match="layer_gradcam@all is one heatmap for each stage"):
        attribute(small(), images(1, 32, torch.float32), "layer_gradcam@all")


def test_the_command_line_takes_all_stages_or_says_why_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli(["check", "networks:small", "--methods", "gradcam@all"]) == 0
    said = capsys.readouterr().out
    assert all(f"gradcam@{layer} " in said for layer in ("conv1", "pool", "conv2"))
    data = class_folders(tmp_path / "photos", each=1)
    out = tmp_path / "run"
    assert cli(["audit", str(data), "-m", "networks:small", "-o", str(out), "--methods", "saliency@all"]) == 2
    error = capsys.readouterr().err
    assert error == "heatlift: saliency takes no layer, but 'all' was given\n"
    assert not out.exists()
