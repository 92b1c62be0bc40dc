"""A function run under the rules, beside a run without them: what tests of the rules compare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from heatlift.backward import Call, Rule
from heatlift.graph import uncovered
from heatlift.rules import Rules


@dataclass(frozen=True)
class Outcome:
    """Of each image: the logit explained, its gradients by rule, and the same without any rules."""

    outputs: Tensor
    own_outputs: Tensor
    own_gradient: Tensor
    gradients: dict[str, Tensor]
    differences: Tensor
    rise: Tensor
    uncovered: Counter[str]
    relu_calls: int

    @property
    def shortfall(self) -> Tensor:
        """By how much of its rise each image's sum of contributions misses it."""
        sums = (self.gradients["rescale"] * self.differences).flatten(1).sum(dim=1)
        return (sums - self.rise).abs() / self.rise.abs()


def outcome(
    network: Callable[[Tensor], Tensor],
    inputs: Tensor,
    baseline: Tensor | float = 0.0,
    rules: tuple[Rule, ...] = ("plain", "rescale"),
    target: int = 0,
) -> Outcome:
    """Run a network whose parameters ask for no gradient on inputs (n, ...), and on one baseline for all."""
    start = torch.as_tensor(baseline, dtype=inputs.dtype).expand_as(inputs).contiguous()
    calls: list[Call] = []
    with torch.no_grad(), Rules(record=calls):
        before = network(start)
    own_leaf = inputs.clone().requires_grad_()
    own = network(own_leaf)
    (own_gradient,) = torch.autograd.grad(own[:, target].sum(), own_leaf)
    leaf, block = inputs.clone().requires_grad_(), Rules(reference=calls)
    with block:
        out = network(leaf)
    gradients = {}
    for rule in rules:
        with block.use(rule):
            (gradients[rule],) = torch.autograd.grad(out[:, target].sum(), leaf, retain_graph=True)
    return Outcome(
        outputs=out.detach(),
        own_outputs=own.detach(),
        own_gradient=own_gradient,
        gradients=gradients,
        differences=inputs - start,
        rise=(out - before)[:, target].detach(),
        uncovered=uncovered(out),
        relu_calls=block.relu_calls,
    )
