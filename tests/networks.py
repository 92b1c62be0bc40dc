"""Real architectures with weights that give them lively activations, for tests."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from functools import cache

import timm
import torch
import torchvision
from torch import Tensor, nn

from heatlift import Classifier


def calibrated(network: nn.Module, images: Tensor) -> nn.Module:
    """Set every batch norm to the statistics of the images, so that random weights do not fade out."""
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None
        norm.reset_running_stats()
    network.train()
    with torch.no_grad():
        network(images)
    return network.eval()


@cache
def classifier(name: str, size: int = 64, dtype: torch.dtype = torch.float64) -> Classifier:
    """A real network with calibrated random weights, made once for all tests."""
    torch.manual_seed(0)
    options = {"init_weights": True} if name == "googlenet" else {}
    if name == "vit_tiny":
        network = timm.create_model("vit_tiny_patch16_224", num_classes=10, img_size=size).to(dtype)
    else:
        network = torchvision.models.get_model(name, weights=None, num_classes=10, **options).to(dtype)
    calibrated(network, torch.rand(4, 3, size, size, dtype=dtype))
    return Classifier(network, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), size=size, name=name)


def images(n: int, size: int = 64, dtype: torch.dtype = torch.float64, seed: int = 1) -> Tensor:
    """Smooth random images in [0, 1], (n, 3, size, size)."""
    coarse = torch.rand(n, 3, 8, 8, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    return nn.functional.interpolate(coarse, size=(size, size), mode="bicubic").clamp(0, 1)


class OneReLUPerCall(nn.Module):
    """A network in which every ReLU call, however it is written, has a module of its own.

    What Captum's guided backprop and deconvolution need to be right: an oracle for ours.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        graph_module = torch.fx.symbolic_trace(network)
        modules = dict(graph_module.named_modules())
        calls = (torch.relu, torch.relu_, nn.functional.relu, "relu", "relu_")
        for number, node in enumerate(list(graph_module.graph.nodes)):
            is_module = node.op == "call_module" and isinstance(modules[node.target], nn.ReLU)
            if is_module or (node.op in ("call_function", "call_method") and node.target in calls):
                fresh = f"fresh_relu_{number}"
                graph_module.add_submodule(fresh, nn.ReLU())
                with graph_module.graph.inserting_after(node):
                    new = graph_module.graph.call_module(fresh, (node.args[0],))
                node.replace_all_uses_with(new)
                graph_module.graph.erase_node(node)
        graph_module.recompile()
        self.network = graph_module.eval()

    def forward(self, inputs: Tensor) -> Tensor:
        out: Tensor = self.network(inputs)
        return out


def small(dtype: torch.dtype = torch.float32) -> Classifier:
    """A quick network for whole runs: convolutions, a reused ReLU in place, pooling, 3 classes."""
    return Classifier(_Small().to(dtype), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), size=32, name="small")


class _Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(11)
        self.relu = nn.ReLU(inplace=True)
        self.conv1, self.conv2 = nn.Conv2d(3, 8, 3, stride=2), nn.Conv2d(8, 12, 3)
        self.pool = nn.MaxPool2d(3, stride=2)
        self.head = nn.Linear(12, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.relu(self.conv2(self.pool(self.relu(self.conv1(inputs)))))
        out: Tensor = self.head(hidden.mean(dim=(2, 3))) * 8
        return out


def small_with_a_norm() -> Classifier:
    """Divides by a norm for which there is no rule."""
    return Classifier(_Normed(), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), size=32)


class _Normed(_Small):
    def forward(self, inputs: Tensor) -> Tensor:
        out = super().forward(inputs)
        return out / torch.linalg.vector_norm(out, ord=3, dim=1, keepdim=True)


def masked() -> Classifier:
    """Writes its ReLU as a product with a mask, which leaves no trace that could be read."""
    network = _Small()
    network.relu = _Masked()  # type: ignore[assignment]
    return Classifier(network, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), size=32)


class _Masked(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs * (inputs > 0).to(inputs.dtype)


def constant() -> Classifier:
    """A network that gives every image the same logits, as one whose last layer was never trained may."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 3))
    nn.init.zeros_(network[1].weight)
    return Classifier(network, size=32)


def no_convolution() -> Classifier:
    """A linear network, on which layer_gradcam has nothing to stand."""
    return Classifier(
        nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 3), nn.ReLU(), nn.Linear(3, 3)), size=32
    )


def not_a_network() -> int:
    return 3


def leaves() -> nn.Module:
    raise SystemExit(7)


def torn() -> Classifier:
    """Weights that are not numbers."""
    network = _Small()
    network.head.weight.data.fill_(float("nan"))
    return Classifier(network, size=32)


def fails() -> nn.Module:
    raise ValueError("no luck\nat all")


def returns_nan_for_dark_images() -> Classifier:
    """Logits that are not finite for some images only."""
    network = _Small()
    plain = network.forward
    network.forward = lambda inputs: plain(inputs) / (inputs.mean(dim=(1, 2, 3)) > -1.0)[:, None]  # type: ignore[method-assign]
    return Classifier(network, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), size=32)


def has_no_slope_in_the_dark() -> Classifier:
    """Gives dark images logits like any others, and gradients that are NaN."""
    return Classifier(_Slopeless(), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), size=32)


class _Slopeless(_Small):
    def forward(self, inputs: Tensor) -> Tensor:
        dark = (inputs.mean(dim=(1, 2, 3), keepdim=True) < -1.6).to(inputs)
        # The slope of a root at 0 is infinite, and 0 times that is NaN.
        nothing = ((inputs - inputs.detach()) * dark + 1 - dark).flatten(1).sum(dim=1, keepdim=True)
        return super().forward(inputs) + 0 * nothing.sqrt()


def dies_of_white_images() -> Classifier:
    """Ends its process where it is a Dask worker's and sees a white image, as a crash in native code does."""
    return Classifier(_Deadly(), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), size=32)


class _Deadly(_Small):
    def __init__(self, most: int = 1) -> None:
        super().__init__()
        self.most = most

    def forward(self, inputs: Tensor) -> Tensor:
        if int((inputs.flatten(1).amin(dim=1) > 1.95).sum()) >= self.most:
            with suppress(ImportError, ValueError):
                from distributed import get_worker

                get_worker()
                os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(inputs)


def dies_of_four_white_images() -> Classifier:
    """The same where four of them are in a batch, as memory runs out by a shard and not by any image."""
    return Classifier(_Deadly(4), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), size=32)


def learner() -> Classifier:
    """Three classes to be learnt: batch norms and dropout, which behave otherwise in training."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 3),
    )
    return Classifier(network, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), size=32, name="learner")
