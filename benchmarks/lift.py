"""Pace of GAX against the published loop, and of its step against the network's bare passes.

    python benchmarks/lift.py --images 16 --steps 6

The loop is how it is usually written: one image at a time in float32, a module whose parameters are the
heatmap's, the network's own parameters with gradients left on, `torch.optim.Adam`, and the heatmap copied
out at every step. Ours is `heatlift.GAX` on a batch. Both optimise real photographs on torchvision's
ResNet-34 with two outputs (random weights, calibrated) for the same number of steps, towards a score that
no image reaches.

The bare step is the network's forward pass and the gradient with respect to its input, on a batch of the
same size and type, in the layout that is fastest, with batch norms folded or not.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from audit import calibrate, pixels, write_images
from torch import Tensor, nn

import heatlift as hl
from heatlift.allocation import keep_freed_memory
from heatlift.folding import folded

SIZE = 256
NEVER = 1e9
"""A score that no image reaches, so that all take every step."""


class Published(nn.Module):
    """The heatmap's generator as it is usually written."""

    def __init__(self, x: Tensor) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones_like(x))

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.w * x)


def loop(classifier: hl.Classifier, images: Tensor, labels: Tensor, steps: int) -> list[list[float]]:
    """The published loop: the CO score at every step of every image."""
    network, found = classifier.network, []
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    for x, label in zip(images.split(1), labels.tolist(), strict=True):
        generator = Published(x)
        adam = torch.optim.Adam(generator.parameters(), lr=0.1, betas=(0.9, 0.999))
        before = network(classifier.normalise(x)).detach()
        scores, kept = [], []
        for _ in range(steps):
            adam.zero_grad()
            h = generator(x)
            delta = (network(classifier.normalise(x + h)) - before)[0]
            others = (delta.sum() - delta[label]) / (len(delta) - 1)
            s = delta[label] - others
            loss = -s + 100 / ((h - x + 1e-4) ** 2 / (x + 1e-4)).mean()
            loss.backward()
            adam.step()
            scores.append(float(s.detach()))
            kept.append(h.detach().clone().numpy())
        found.append(scores)
    return found


def bare(classifier: hl.Classifier, images: Tensor, steps: int) -> None:
    """Forward pass and input gradient, nothing else."""
    images = images.contiguous(memory_format=torch.channels_last)
    for _ in range(steps):
        inputs = classifier.normalise(images).detach().requires_grad_()
        torch.autograd.grad(classifier(inputs, space="model").sum(), inputs)


def seconds(work: Callable[[], object], count: int) -> float:
    """Seconds per image and step by the clock."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--loop-images", type=int, default=3, help="how many of them the slow loop takes")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()  # as the command line does; the loop has it, too
    classifier = hl.load("torchvision:resnet34", weights="random", num_classes=2, size=SIZE)
    with tempfile.TemporaryDirectory() as place:
        items = write_images(Path(place), options.images)
        images = torch.cat([pixels(item, classifier) for item in items])
    calibrate(classifier, images[:8])
    labels = torch.zeros(len(images), dtype=torch.long)
    few, steps = images[: options.loop_images], options.steps
    fast = classifier.in_precision(options.precision)
    quick = folded(fast)
    method = hl.GAX(target_co=NEVER, max_steps=steps, precision=options.precision, batch_size=len(images))
    unfolded, inside = fast, quick
    print(
        f"GAX on ResNet-34, {SIZE} x {SIZE}: {len(images)} photographs, {steps} steps, {options.precision}, "
        f"{options.threads} threads; the loop on {len(few)}\n"
    )
    print(f"{'ms per image and step':<12}{'loop':>10}{'bare':>10}{'bare, folded':>14}{'GAX':>10}", end="")
    print(f"{'loop/GAX':>12}{'GAX/bare':>12}{'GAX/folded':>12}")
    ratios: list[tuple[float, float, float]] = []
    for _ in range(options.rounds):
        slow = seconds(lambda: loop(classifier, few, labels[: len(few)], steps), len(few) * steps)
        for parameter in classifier.network.parameters():
            parameter.requires_grad_(False)
        plain = seconds(lambda: bare(unfolded, images, steps), len(images) * steps)
        swift = seconds(lambda: bare(inside, images, steps), len(images) * steps)
        # With the passes before and after, on which every result rests.
        ours = seconds(lambda: method(quick, images, labels), len(images) * steps)
        ratios.append((slow / ours, ours / plain, ours / swift))
        paces = "".join(
            f"{1000 * value:>{width}.1f}"
            for value, width in ((slow, 31), (plain, 10), (swift, 14), (ours, 10))
        )
        print(paces + "".join(f"{ratio:>12.2f}" for ratio in ratios[-1]), flush=True)
    for place, name in enumerate(("loop / GAX", "GAX / bare", "GAX / bare, folded")):
        values = [ratio[place] for ratio in ratios]
        print(f"  median {name} {median(values):.2f}, from {min(values):.2f} to {max(values):.2f}")
    print(f"  peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB")
    theirs = torch.tensor(loop(classifier, few, labels[: len(few)], steps))
    found = hl.GAX(target_co=NEVER, max_steps=steps, precision="fp32")(classifier, few, labels[: len(few)])
    difference = (found.history[:, :steps] - theirs).abs().max() / theirs.abs().max()
    print(f"  scores of the two, float32: relative difference at most {float(difference):.1e}")


if __name__ == "__main__":
    main()
