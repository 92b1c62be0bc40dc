"""Pace of undesirable-pixel masks against a plain loop.

    python benchmarks/undesirable.py --images 16 --steps 20

The loop is how it is usually written: one image at a time in float32, the network's own parameters with
gradients left on, `torch.optim.Adam`, the mask clamped after each step. Ours is `heatlift.UndesirablePixels`
on a batch. Both find masks with the paper's settings (F-TC) for real photographs on torchvision's ResNet-18
(random weights, calibrated) from a mask of ones, for the same number of steps: the ratio hardly depends on
how many.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from pathlib import Path
from statistics import median

import torch
from audit import calibrate, pixels, write_images
from lift import seconds
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2.functional import gaussian_blur

import heatlift as hl
from heatlift.allocation import keep_freed_memory

SIZE = 224


def loop(classifier: hl.Classifier, images: Tensor, targets: Tensor, steps: int) -> Tensor:
    """Masks M, (n, 1, 28, 28)."""
    network, found = classifier.network, []
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    for x, k in zip(images.split(1), targets.tolist(), strict=True):
        blurred = gaussian_blur(x, [11, 11], [5.0, 5.0])
        before = network(classifier.normalise(x)).detach()
        mask = torch.ones(1, 1, 28, 28, requires_grad=True)
        adam = torch.optim.Adam([mask], lr=0.1)
        others = [i for i in range(before.shape[1]) if i != k]
        for _ in range(steps):
            adam.zero_grad()
            fine = F.interpolate(mask, size=(SIZE, SIZE), mode="bilinear")
            after = network(classifier.normalise(x * fine + blurred * (1 - fine)))
            down = F.pad(mask.diff(dim=2), (0, 0, 0, 1))
            right = F.pad(mask.diff(dim=3), (0, 1))
            variation = (down**2 + right**2 + 1e-8).sqrt().mean()
            factor = (after - before)[0, others].mean().abs()
            loss = -after.softmax(1)[0, k] + 1.7 * variation + 3 * (1 - mask).abs().mean() + 0.3 * factor
            loss.backward()
            adam.step()
            with torch.no_grad():
                mask.clamp_(0, 1)
        found.append(mask.detach())
    return torch.cat(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--loop-images", type=int, default=3, help="how many of them the slow loop takes")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()  # as the command line does; the loop has it, too
    classifier = hl.load("torchvision:resnet18", weights="random", num_classes=10, size=SIZE)
    with tempfile.TemporaryDirectory() as place:
        items = write_images(Path(place), options.images)
        images = torch.cat([pixels(item, classifier) for item in items])
    calibrate(classifier, images[:8])
    targets = classifier(images).argmax(dim=1)
    few, steps = images[: options.loop_images], options.steps
    method = hl.UndesirablePixels(
        steps=steps, init="ones", precision=options.precision, batch_size=len(images)
    )
    print(
        f"masks on ResNet-18, {SIZE} x {SIZE}: {len(images)} photographs, {steps} steps, "
        f"{options.precision}, {options.threads} threads; the loop on {len(few)}\n"
    )
    print(f"{'ms per image and step':<22}{'loop':>10}{'heatlift':>10}{'ratio':>10}")
    ratios: list[float] = []
    for _ in range(options.rounds):
        slow = seconds(lambda: loop(classifier, few, targets[: len(few)], steps), len(few) * steps)
        for parameter in classifier.network.parameters():
            parameter.requires_grad_(False)
        # With the passes before and after, on which every result rests.
        ours = seconds(lambda: method(classifier, images, targets), len(images) * steps)
        ratios.append(slow / ours)
        print(f"{1000 * slow:>32.1f}{1000 * ours:>10.1f}{ratios[-1]:>10.2f}", flush=True)
    print(f"  median {median(ratios):.2f}, from {min(ratios):.2f} to {max(ratios):.2f}")
    print(f"  peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB")
    theirs = loop(classifier, few, targets[: len(few)], steps)
    fine = F.interpolate(theirs, size=(SIZE, SIZE), mode="bilinear")
    exact = hl.UndesirablePixels(steps=steps, init="ones", precision="fp32")
    found = exact(classifier, few, targets[: len(few)]).masks
    print(f"  masks of the two, float32: mean difference {float((found - fine).abs().mean()):.1e}")


if __name__ == "__main__":
    main()
