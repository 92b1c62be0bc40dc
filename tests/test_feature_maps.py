"""Which layers give a feature map, and how tokens and channels-last outputs are read as planes."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import Tensor, nn

from heatlift import Classifier, HeatliftError, attribute
from heatlift.feature_maps import FeatureMap, first_map, last_map
from networks import classifier, images


def transformer(name: str, size: int = 64, **options: object) -> Classifier:
    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=10, img_size=size, **options).double()
    return Classifier(network, size=size, name=name)


def test_convolutional_networks_give_planes() -> None:
    maps = classifier("resnet18").feature_maps
    assert maps["conv1"] == FeatureMap(64, 32, 32)
    assert maps["layer4"] == FeatureMap(512, 2, 2)
    assert maps["layer1.0.relu"].reason == "runs more than once in a forward pass"
    assert "avgpool" not in maps  # one place only
    assert "fc" not in maps


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("vit_tiny_patch16_224", 1),
        ("deit_tiny_distilled_patch16_224", 2),
        ("vit_little_patch16_reg4_gap_256", 4),
    ],
)
def test_tokens_are_told_from_those_that_stand_for_no_place(name: str, prefix: int) -> None:
    clf = transformer(name, 96)
    fmap = clf.feature_maps["blocks.0.norm1"]
    assert (fmap.arrangement, fmap.prefix, fmap.height, fmap.width) == ("tokens", prefix, 6, 6)


def test_what_only_the_class_token_reads_has_no_influence() -> None:
    clf = transformer("vit_tiny_patch16_224")
    assert clf.feature_maps["blocks.11.norm2"].reason == "has no influence on the output through its map"
    assert clf.feature_maps["blocks.11.norm1"].reason is None
    assert last_map(clf.feature_maps, clf.network) == "blocks.11.norm1"
    assert first_map(clf.feature_maps, clf.network) == "patch_embed.proj"
    with pytest.raises(HeatliftError, match=r"'blocks\.11\.norm2' has no influence on the output"):
        attribute(clf, images(1), "layer_gradcam@blocks.11.norm2")


def test_attention_of_tokens_to_tokens_is_no_feature_map() -> None:
    clf = transformer("vit_tiny_patch16_224")
    for module in clf.network.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = False  # the attention itself becomes a module's output, (1, 3, 17, 17)
    assert "blocks.0.attn.attn_drop" not in clf.feature_maps
    assert "blocks.0.norm1" in clf.feature_maps


def test_channels_last_and_windows() -> None:
    clf = transformer("swin_tiny_patch4_window7_224", 56)
    first = clf.feature_maps["layers.0"]
    assert (first.arrangement, first.shape) == ("places", (96, 14, 14))
    # Inside the windows of the first stage there are four times as many images as given: no map of one.
    assert "layers.0.blocks.0.attn.qkv" not in clf.feature_maps


def test_maps_of_images_that_are_not_square() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), Last(), nn.Flatten(1, 2), Pooled())
    clf = Classifier(network, size=32)
    from dataclasses import replace

    clf = Classifier(network, framing=replace(clf.framing, crop=(32, 64)))
    maps = clf.feature_maps
    assert maps["0"] == FeatureMap(8, 16, 32)
    assert maps["1"] == FeatureMap(8, 16, 32, "places")
    assert maps["2"] == FeatureMap(8, 16, 32, "tokens")


class Last(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1)


class Pooled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.square().mean(dim=1)


def test_planes_puts_every_place_where_it_was() -> None:
    planes = torch.rand(2, 5, 3, 4)
    assert torch.equal(FeatureMap(5, 3, 4).planes(planes), planes)
    assert torch.equal(FeatureMap(5, 3, 4, "places").planes(planes.permute(0, 2, 3, 1)), planes)
    tokens = torch.cat([torch.rand(2, 2, 5), planes.flatten(2).transpose(1, 2)], dim=1)
    assert torch.equal(FeatureMap(5, 3, 4, "tokens", prefix=2).planes(tokens), planes)


@pytest.mark.parametrize("layer", ["blocks.5.norm1", "blocks.10"])
def test_layer_gradcam_on_tokens_against_a_computation_by_hand(layer: str) -> None:
    clf, x = transformer("vit_tiny_patch16_224"), images(2)
    kept: list[Tensor] = []
    module = clf.network.get_submodule(layer)
    hook = module.register_forward_hook(lambda module, args, output: kept.append(output))
    inputs = clf.normalise(x).requires_grad_()
    logits = clf(inputs, "model")
    hook.remove()
    (gradient,) = torch.autograd.grad(logits.amax(dim=1).sum(), kept)
    coarse = torch.zeros(2, 1, 4, 4, dtype=torch.float64)
    for row in range(4):
        for column in range(4):
            token = 1 + 4 * row + column
            weights = gradient[:, 1:].mean(dim=1)
            coarse[:, 0, row, column] = (weights * kept[0][:, token]).sum(dim=1).detach()
    expected = nn.functional.interpolate(coarse, size=(64, 64), mode="bilinear").expand(-1, 3, -1, -1)
    torch.testing.assert_close(attribute(clf, x, f"layer_gradcam@{layer}"), expected)


def test_gradcam_and_its_negative_are_the_two_halves() -> None:
    clf, x = classifier("resnet18"), images(2)
    coarse = attribute(clf, x, "layer_gradcam@last")
    positive, negative = attribute(clf, x, "gradcam"), attribute(clf, x, "gradcam_negative")
    assert float(positive.min()) >= 0
    assert float(negative.min()) >= 0
    assert float(positive.max()) > 0
    # Interpolation is linear, so the halves' difference is the whole.
    torch.testing.assert_close(positive - negative, coarse)


def test_an_untrained_head_of_zeros_says_nothing_against_a_layer() -> None:
    clf = transformer("vit_tiny_patch16_224")
    nn.init.zeros_(clf.network.head.weight)  # type: ignore[union-attr, arg-type]
    assert all(fmap.reason is None for fmap in clf.feature_maps.values())
