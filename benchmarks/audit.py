"""Pace of an audit against the published loop: one image and one method at a time, each with its own passes.

    python benchmarks/audit.py --images 32 --loop-images 8

Both do the audit of Tjoa 2022 on real photographs at 256 x 256: six attribution methods, two operations, CO
scores of the predicted class, on torchvision's ResNet-34 with two outputs (random weights, calibrated). The
loop is how it is usually written: a Captum object per method on a network with one ReLU module per call
(Captum refuses reused ones), and for every method and operation a forward pass of the image and one of the
augmented image. Ours is the code that `heatlift audit` runs for a shard. Both decode the files themselves.

Where other programs use the machine as well, only the processor time with `--threads 1` says much: threads
that wait for each other count as busy.

Captum's DeepLift passes over its rule for max-pooling where a ReLU stands right before it, and does not add
up where windows overlap, as ResNet's do. The loop has both mended, so that all scores can be compared.

A rounding error can switch a ReLU's gradient on or off: in float32 the loop itself gives other scores in
another memory layout. So they are compared in float64, where both must agree (the exit status says whether
they do), and in float32 beside that difference of the loop's own.
"""

from __future__ import annotations

import argparse
import copy
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from statistics import median

import torch
from captum.attr import (
    Deconvolution,
    DeepLift,
    GuidedBackprop,
    InputXGradient,
    LayerAttribution,
    LayerGradCam,
    Saliency,
)
from captum.attr._core import deep_lift
from scipy.stats import spearmanr
from torch import Tensor, nn

import heatlift as hl
from heatlift.allocation import keep_freed_memory
from heatlift.data import Item
from heatlift.demo import PHOTOGRAPHS, variants
from heatlift.images import decode
from heatlift.portions import Portions
from heatlift.registry import TJOA_2022, requested
from heatlift.run.plan import configured, shards
from heatlift.run.shard import ShardAudit

SIZE = 256
TOLERANCE = 1e-8
"""Of scores in float64, relative to max(1, |score|)."""

OPERATIONS = {"add": torch.add, "multiply": torch.mul}

Scores = dict[tuple[str, str, str], float]
"""(image, method, operation) -> CO score of the predicted class."""


def write_images(folder: Path, count: int) -> list[Item]:
    """Real photographs, clean ones first and then their degraded variants."""
    each = -(-count // len(PHOTOGRAPHS))
    named = [list(islice(variants(photograph), each)) for photograph in PHOTOGRAPHS]
    items = []
    for name, picture in [pair for pairs in zip(*named, strict=True) for pair in pairs][:count]:
        items.append(Item(name, folder / f"{name}.jpg", None))
        picture.save(items[-1].path, quality=92)
    return items


def pixels(item: Item, classifier: hl.Classifier) -> Tensor:
    """One decoded image (1, 3, h, w) in [0, 1]."""
    return decode(item.path, classifier.framing).unsqueeze(0).float() / 255


def calibrate(classifier: hl.Classifier, images: Tensor) -> None:
    """Give every batch norm the statistics of some images, so that random weights do not fade out."""
    norms = [module for module in classifier.network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None
        norm.reset_running_stats()
    classifier.network.train()
    with torch.no_grad():
        classifier.network(classifier.normalise(images))
    classifier.network.eval()


def in_float64(classifier: hl.Classifier) -> hl.Classifier:
    """A copy of a classifier that computes in float64."""
    mean, std = classifier.mean.flatten().tolist(), classifier.std.flatten().tolist()
    network = copy.deepcopy(classifier.network).double()
    return hl.Classifier(network, mean=mean, std=std, framing=classifier.framing)


class Loop:
    """The published loop."""

    def __init__(
        self, classifier: hl.Classifier, layout: torch.memory_format = torch.contiguous_format
    ) -> None:
        self.classifier, self.layout = classifier, layout
        self.network = one_relu_per_call(classifier.network)
        gradcam = LayerGradCam(self.network, self.network.conv1)

        def layer_gradcam(inputs: Tensor, target: Tensor) -> Tensor:
            coarse = gradcam.attribute(inputs, target)
            return LayerAttribution.interpolate(coarse, inputs.shape[2:], "bilinear").expand_as(inputs)

        self.methods: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
            "saliency": lambda x, c: Saliency(self.network).attribute(x, c, abs=False),
            "input_x_gradient": lambda x, c: InputXGradient(self.network).attribute(x, c),
            "layer_gradcam": layer_gradcam,
            "deconvolution": lambda x, c: Deconvolution(self.network).attribute(x, target=c),
            "guided_backprop": lambda x, c: GuidedBackprop(self.network).attribute(x, target=c),
            "deeplift": lambda x, c: DeepLift(self.network).attribute(x, target=c),
        }

    def __call__(self, items: Sequence[Item]) -> Scores:
        """Scores of all images, methods and operations."""
        scores: Scores = {}
        for item in items:
            x = self.classifier.normalise(pixels(item, self.classifier)).contiguous(memory_format=self.layout)
            with torch.no_grad():
                target = self.network(x).argmax(dim=1)
            for name, method in self.methods.items():
                heatmap = method(x.clone().requires_grad_(), target).detach()
                heatmap = heatmap / heatmap.abs().max()
                for operation, combine in OPERATIONS.items():
                    with torch.no_grad():
                        before, after = self.network(x), self.network(combine(x, heatmap))
                    delta = (after - before).double()[0]
                    others = delta.sum() - delta[target]
                    scores[item.name, name, operation] = float(delta[target] - others / (len(delta) - 1))
        return scores


def one_relu_per_call(network: nn.Module) -> nn.Module:
    """A copy of a network in which every ReLU call is a module of its own; its weights are shared."""
    graph_module = torch.fx.symbolic_trace(network)
    graph, modules = graph_module.graph, dict(graph_module.named_modules())
    for number, node in enumerate(list(graph.nodes)):
        module = modules[node.target] if node.op == "call_module" else None
        if isinstance(module, nn.ReLU):
            graph_module.add_submodule(f"relu_{number}", nn.ReLU())
            node.target = f"relu_{number}"
        if isinstance(module, nn.MaxPool2d):
            # On one tensor Captum's hook of the ReLU would run before that of the pooling.
            with graph.inserting_before(node):
                node.args = (graph.call_method("clone", node.args),)
    graph_module.recompile()
    return graph_module.eval()


def max_pool_added_up(
    module: nn.Module,
    inputs: Tensor,
    outputs: Tensor,
    grad_input: Tensor,
    grad_output: Tensor,
    eps: float = 1e-10,
) -> Tensor:
    """Captum's rule for max-pooling, but what overlapping windows give one cell is added, not overwritten."""
    (x, x0), (y, y0) = inputs.chunk(2), outputs.chunk(2)
    top = torch.maximum(y, y0)
    _, cells = nn.functional.max_pool2d_with_indices(
        module.input, module.kernel_size, module.stride, module.padding, module.dilation, module.ceil_mode
    )
    given = (grad_output * torch.cat([top - y0, y - top])).flatten(2)
    flat = torch.zeros_like(module.input).flatten(2).scatter_add_(2, cells.flatten(2), given)
    contributions = sum(flat.view_as(module.input).chunk(2)).repeat(2, 1, 1, 1)
    delta = (x - x0).repeat(2, 1, 1, 1)
    return torch.where(delta.abs() < eps, grad_input, contributions / delta)


class Ours:
    """What `heatlift audit` does for its shards."""

    def __init__(self, classifier: hl.Classifier, batch_size: int, precision: str) -> None:
        options = {} if precision == "fp32" else {"precision": precision}
        self.config = configured(
            data="-", model="torchvision:resnet34", size=SIZE, controls=(), batch_size=batch_size, **options
        )
        requests = [requested(classifier, name) for name in TJOA_2022]
        self.audit = ShardAudit(classifier, requests, self.config, Portions(batch_size))

    def __call__(self, items: Sequence[Item]) -> Scores:
        """Scores of all images, methods and operations."""
        rows = [row for shard in shards(items, self.config.shard_size) for row in self.audit(shard)["scores"]]
        failed = {row["status"] for row in rows} - {"ok"}
        if failed:
            sys.exit(f"not all could be scored: {', '.join(failed)}")
        return {(row["image"], row["method"], row["operation"]): row["co_predicted"] for row in rows}


@contextmanager
def counted(network: nn.Module) -> Iterator[Counter[str]]:
    """Count images on their way through a network, forwards and backwards."""
    passes: Counter[str] = Counter()

    def forwards(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        passes["forward"] += len(args[0])

    def backwards(gradient: Tensor) -> None:
        passes["backward"] += len(gradient)

    def first_convolution(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        if output.requires_grad:
            output.register_hook(backwards)

    hooks = [
        network.register_forward_hook(forwards),
        network.conv1.register_forward_hook(first_convolution),
    ]
    try:
        yield passes
    finally:
        for hook in hooks:
            hook.remove()


def timed(work: Callable[[Sequence[Item]], Scores], items: Sequence[Item]) -> tuple[float, float, Scores]:
    """Seconds per image by the clock and on the processor, and the scores."""
    clock, processor = time.perf_counter(), time.process_time()
    scores = work(items)
    return (time.perf_counter() - clock) / len(items), (time.process_time() - processor) / len(items), scores


def report_pace(
    loop: Loop, ours: Ours, few: Sequence[Item], items: Sequence[Item], rounds: int
) -> tuple[Scores, ...]:
    """Print how long both take, in turns; returns the scores of both."""
    print(f"\n{'images per second':<22}{'the loop':>10}{'heatlift':>10}{'ratio':>8}{'of processor time':>20}")
    ratios, busy = [], []
    for number in range(rounds):
        slow, slow_busy, theirs = timed(loop, few)
        fast, fast_busy, scores = timed(ours, items)
        ratios.append(slow / fast)
        busy.append(slow_busy / fast_busy)
        paces = f"{1 / slow:>10.3f}{1 / fast:>10.3f}"
        print(f"{f'  round {number + 1}':<22}{paces}{ratios[-1]:>8.2f}{busy[-1]:>20.2f}", flush=True)
    for what, found in (("ratio", ratios), ("ratio of processor time", busy)):
        print(f"  median {what} {median(found):.2f}, from {min(found):.2f} to {max(found):.2f}")
    return theirs, scores


def report_passes(loop: Loop, ours: Ours, items: Sequence[Item]) -> None:
    """Print how many images went through the network for each image audited."""
    methods, operations = len(TJOA_2022), len(OPERATIONS)
    print(f"\n{'passes per image':<22}{'forward':>10}{'backward':>10}")
    with counted(loop.network) as passes:
        loop(items[:1])
    print(f"{'  the loop':<22}{passes['forward']:>10.2f}{passes['backward']:>10.2f}")
    with counted(ours.audit.classifier.network) as passes:
        # Anew, so that DeepLift's baseline is counted: once in a run.
        Ours(ours.audit.classifier, ours.config.batch_size, "fp32")(items)
    forward, backward = passes["forward"] / len(items), passes["backward"] / len(items)
    print(f"{'  heatlift':<22}{forward:>10.2f}{backward:>10.2f}   with {len(items)} images in a run")
    # Of the six methods three read the plain gradient; one pass of the baseline serves the run.
    fewest = 1 + methods * operations + 1 / len(items)
    print(f"{'  fewest':<22}{fewest:>10.2f}{4:>10.2f}")


def differences(theirs: Scores, ours: Scores) -> dict[tuple[str, str], float]:
    """(method, operation) -> largest difference of the scores, relative to max(1, |score|)."""
    largest: dict[tuple[str, str], float] = {}
    for (image, *row), score in theirs.items():
        difference = abs(score - ours[image, *row]) / max(1.0, abs(score))
        largest[*row] = max(difference, largest.get((*row,), 0.0))
    return largest


def report_agreement(
    theirs: Scores, reordered: Scores, ours: Scores, exact: dict[tuple[str, str], float]
) -> None:
    """Print how the scores of both compare."""
    found, own = differences(theirs, ours), differences(theirs, reordered)
    print(
        "\nCO scores: differences from the loop's, relative to max(1, |score|)\n"
        f"{'':<28}{'scores from':>12}{'to':>8}{'in float64':>12}{'measured':>10}{'its own':>10}"
        f"{'rank corr.':>12}"
    )
    for row in exact:
        keys = [key for key in theirs if key[1:] == row]
        a, b = [theirs[key] for key in keys], [ours[key] for key in keys]
        rank = f"{spearmanr(a, b).statistic:.4f}" if len(keys) > 2 else "-"
        print(
            f"{'  ' + ' '.join(row):<28}{min(a):>12.3f}{max(a):>8.3f}{exact[row]:>12.1e}{found[row]:>10.1e}"
            f"{own[row]:>10.1e}{rank:>12}"
        )
    print("  measured: as timed; its own: of the loop in the channels-last layout, in float32")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--loop-images", type=int, default=8, help="how many of them the slow loop audits")
    parser.add_argument("--exact-images", type=int, default=2, help="how many are compared in float64")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=["fp32", "bf16", "auto"], default="fp32")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()  # as the command line does; the loop has it, too
    # Captum says of every object that it sets hooks.
    warnings.filterwarnings("ignore", module="captum")
    deep_lift.SUPPORTED_NON_LINEAR[nn.MaxPool2d] = max_pool_added_up
    chosen = {} if options.precision == "fp32" else {"precision": options.precision}
    classifier = hl.load("torchvision:resnet34", weights="random", num_classes=2, size=SIZE, **chosen)
    with tempfile.TemporaryDirectory() as place:
        items = write_images(Path(place), options.images)
        few, fewer = items[: options.loop_images], items[: options.exact_images]
        calibrate(classifier, torch.cat([pixels(item, classifier) for item in items[:8]]))
        loop, ours = Loop(classifier), Ours(classifier, options.batch_size, options.precision)
        loop(items[:1])
        ours(items[: options.batch_size])
        print(
            f"ResNet-34, two outputs, {SIZE} x {SIZE}; {len(TJOA_2022)} methods, "
            f"{len(OPERATIONS)} operations\n"
            f"{len(items)} photographs in batches of {options.batch_size}, the loop on {len(few)} of them; "
            f"{options.threads} threads, {options.precision}"
        )
        theirs, scores = report_pace(loop, ours, few, items, options.rounds)
        report_passes(loop, ours, items)
        exactly = in_float64(classifier)
        exact = differences(Loop(exactly)(fewer), Ours(exactly, options.batch_size, "fp32")(fewer))
        report_agreement(theirs, Loop(classifier, torch.channels_last)(few), scores, exact)
    if max(exact.values()) > TOLERANCE:
        sys.exit(f"the scores in float64 differ by more than {TOLERANCE:g}")


if __name__ == "__main__":
    main()
