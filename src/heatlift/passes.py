"""The passes through a network that attribution methods share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from heatlift.backward import Call, Rule
from heatlift.classifier import Classifier
from heatlift.errors import Refused, first_line, let_through
from heatlift.graph import SMOOTH_NODES, uncovered
from heatlift.rules import Rules
from heatlift.subject import chosen_class
from heatlift.types import Space, Target


class Passes:
    """One forward pass of a batch, and the backward passes that methods ask of it, each done once.

    Raises:
        Refused: no gradient comes back from the network's output.

    Args:
        classifier: the network.
        inputs: (n, 3, h, w) in the space in which heatmaps are wanted.
        target: the class explained.
        space: the space of ``inputs``.
        layers: modules whose feature maps are kept.
        rules: whether backward rules other than the plain gradient will be asked for.
        baseline: the baseline's own pass, for the rescale rule.
    """

    def __init__(
        self,
        classifier: Classifier,
        inputs: Tensor,
        target: Target,
        *,
        space: Space = "model",
        layers: Iterable[str] = (),
        rules: bool = False,
        baseline: Baseline | None = None,
    ) -> None:
        self.classifier = classifier
        self.baseline = baseline
        self.inputs = inputs.detach().clone().requires_grad_()
        self.activations: dict[str, Tensor] = {}
        self._repeated: set[str] = set()
        self._gradients: dict[Rule, tuple[Tensor, ...]] = {}
        self._rules = Rules(reference=baseline.calls if baseline is not None else None) if rules else None
        with ExitStack() as stack:
            for name in layers:
                stack.enter_context(self._kept(name))
            if self._rules is not None:
                stack.enter_context(self._rules)
            self.logits = classifier(self.inputs, space)
        if self.logits.grad_fn is None:
            raise Refused("the network's output carries no gradient back to the image")
        self.target = chosen_class(target, self.logits.detach())

    @property
    def followed(self) -> bool:
        """Whether the images took the baseline's path through the network, so that they can be compared."""
        return self._rules is not None and self._rules.followed

    def gradient(self, rule: Rule = "plain", layer: str | None = None) -> Tensor:
        """Gradient of the target's logit under a rule, for the input or for a kept layer.

        Raises:
            Refused: the rule can't be applied.
        """
        if rule not in self._gradients:
            names = list(self.activations) if rule == "plain" else []
            of = [self.inputs, *(self.activations[name] for name in names)]
            try:
                with self._rules.use(rule) if self._rules is not None else ExitStack():
                    found = torch.autograd.grad(
                        self._explained().sum(),
                        of,
                        retain_graph=True,
                        allow_unused=True,
                        materialize_grads=True,
                    )
            except RuntimeError as error:
                let_through(error)
                # Of other rules the caller says why they can't be applied.
                if rule != "plain":
                    raise
                raise Refused(f"the network's gradient can't be computed: {first_line(error)}") from error
            self._gradients[rule] = found
        gradients = self._gradients[rule]
        return gradients[0] if layer is None else gradients[1 + list(self.activations).index(layer)]

    def planes(self, layer: str) -> tuple[Tensor, Tensor]:
        """A kept layer's feature map and the logit's gradient with respect to it, both (n, c, h, w).

        Raises:
            Refused: the layer ran more than once.
        """
        if layer in self._repeated:
            raise Refused(f"layer '{layer}' runs more than once in a forward pass: choose another layer")
        fmap = self.classifier.feature_maps[layer]
        return fmap.planes(self.activations[layer].detach()), fmap.planes(self.gradient(layer=layer))

    def relu_calls(self) -> int:
        """How many ReLU calls the rules cover.

        Raises:
            Refused: the network has none, or some may be where the rules do not reach.
        """
        assert self._rules is not None
        missed = [f"{kind} ({count})" for kind, count in self.uncovered.items() if kind not in SMOOTH_NODES]
        if missed:
            raise Refused(
                "its rule would have to reach every ReLU, and these steps of the network, out of its reach, "
                f"are or may hide one: {', '.join(missed)}"
            )
        if not self._rules.relu_calls:
            met = ", ".join(sorted(self._rules.calls)) or "none"
            raise Refused(
                f"its rule is defined at ReLUs, and the network calls none (non-linearities met: {met})"
            )
        return self._rules.relu_calls

    @property
    def calls(self) -> Mapping[str, int]:
        """The non-linear functions that rules were applied to, by name, counted."""
        return dict(self._rules.calls) if self._rules is not None else {}

    @cached_property
    def uncovered(self) -> Mapping[str, int]:
        """Non-linear steps that no rule was applied to, by autograd's name, counted."""
        return uncovered(self.logits)

    def _explained(self) -> Tensor:
        return self.classifier.explained(self.logits, self.target)

    def _kept(self, name: str) -> Any:
        """A forward hook that keeps a layer's feature map, as a context manager."""

        def keep(module: nn.Module, args: Any, output: Any) -> Tensor:
            if name in self.activations:
                self._repeated.add(name)
            self.activations[name] = output
            # The network goes on with a copy: a ReLU in place would write into the kept map.
            copy: Tensor = output.clone()
            return copy

        return self.classifier.network.get_submodule(name).register_forward_hook(keep)


@dataclass(frozen=True)
class Baseline:
    """A network's pass on baseline inputs, from which DeepLift takes differences."""

    inputs: Tensor
    logits: Tensor
    calls: list[Call]

    @classmethod
    def run(cls, classifier: Classifier, inputs: Tensor, space: Space) -> Baseline:
        """Run the network on baseline inputs (n, 3, h, w), or (1, 3, h, w) for all, given in a space."""
        calls: list[Call] = []
        with torch.no_grad(), Rules(record=calls):
            logits = classifier(inputs, space)
        return cls(inputs, logits, calls)
