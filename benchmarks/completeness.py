"""How well DeepLift's heatmaps add up on real architectures, in both precisions and from two baselines.

    python benchmarks/completeness.py resnet18 convnext_tiny vit_b_16

Random weights, with batch norms calibrated to the images; each figure is the worst of two smooth random
images at 224 x 224, |sum(h) - (f(x) - f(x0))| relative to the rise. The baselines are 0 and 0.7 in model
space.
"""

from __future__ import annotations

import argparse
import warnings

import torch
import torchvision
from torch import Tensor, nn

import heatlift as hl

NETWORKS = (
    "resnet18 resnet34 vgg11 alexnet squeezenet1_0 densenet121 googlenet shufflenet_v2_x0_5 regnet_x_400mf "
    "mobilenet_v2 mobilenet_v3_small efficientnet_b0 convnext_tiny vit_b_16 swin_t swin_v2_t"
).split()

SIZE = 224


def images(dtype: torch.dtype) -> Tensor:
    coarse = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return nn.functional.interpolate(coarse, size=(SIZE, SIZE), mode="bicubic").clamp(0, 1).to(dtype)


def network(name: str) -> nn.Module:
    """Random weights that give lively activations and logits that differ."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # GoogLeNet's about its own initialisation
        made: nn.Module = torchvision.models.get_model(name, weights=None, num_classes=10)
    norms = [m for m in made.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None
        norm.reset_running_stats()
    with torch.no_grad():
        made.train()(images(torch.float32))
    if name == "vit_b_16":  # whose last layer starts at zero
        nn.init.normal_(made.heads.head.weight, std=0.1)  # type: ignore[union-attr, arg-type]
    return made.eval()


def worst(classifier: hl.Classifier, baseline: float) -> str:
    try:
        found = hl.attribute(
            classifier, images(classifier.dtype), "deeplift", baseline=baseline, certificate=True
        )
    except hl.Refused as refusal:
        return str(refusal)
    assert found.completeness is not None
    return f"{float(found.completeness.max()):.1e}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    options = parser.parse_args()
    torch.set_num_threads(2)
    print("| network | float64, from 0 | from 0.7 | float32, from 0 | from 0.7 |\n|---|---|---|---|---|")
    for name in options.networks:
        made = network(name)
        figures = []
        for dtype in (torch.float64, torch.float32):
            classifier = hl.Classifier(
                made.to(dtype), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), size=SIZE, name=name
            )
            figures += [worst(classifier, baseline) for baseline in (0.0, 0.7)]
        print(f"| {name} | {' | '.join(figures)} |", flush=True)


if __name__ == "__main__":
    main()
