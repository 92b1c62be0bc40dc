"""The networks of a run that optimises: its own, those that take part as well, and one that takes none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Self

import torch
from torch import Tensor

from heatlift.applicability import noise
from heatlift.classifier import Classifier
from heatlift.errors import HeatliftError, first_line, let_through
from heatlift.folding import folded
from heatlift.lift import logits_of
from heatlift.portions import Portions
from heatlift.run import plan
from heatlift.run.plan import OptimisingConfig
from heatlift.score import class_probability, logit_gain
from heatlift.weights import weights_digest
from heatlift.zoo import load


@dataclass(frozen=True)
class Networks:
    """All networks of a run.

    Attributes:
        classifier: the one that the run is about.
        others: those that are convinced along with it.
        verifier: the one that takes no part and says what it thinks of the result.
    """

    classifier: Classifier
    others: Sequence[Classifier] = ()
    verifier: Classifier | None = None

    @classmethod
    def load(cls, config: OptimisingConfig) -> Self:
        """Load what a configuration names.

        Raises:
            HeatliftError: a network can't be loaded, has other classes or no gradient, or takes part though
                it must not.
        """
        classifier = _with_gradient(plan.loaded(config))
        pairs = zip_longest(config.also, config.also_weights, fillvalue="default")
        others = [
            _with_gradient(_another("--also", spec, weights, config, classifier)) for spec, weights in pairs
        ]
        if config.verify_on is None:
            return cls(classifier, others)
        verifier = _another("--verify-on", config.verify_on, config.verify_weights, config, classifier)
        if any(_same(verifier, network) for network in (classifier, *others)):
            raise HeatliftError(
                f"--verify-on {config.verify_on} is a network that takes part: give one that does not"
            )
        return cls(classifier, others, verifier)

    @property
    def all(self) -> Sequence[Classifier]:
        """Every one of them, in the order in which `described` has them."""
        return [self.classifier, *self.others, *([] if self.verifier is None else [self.verifier])]

    def ready(self) -> Self:
        """The same with those folded that take part, once for all shards."""
        return type(self)(folded(self.classifier), [folded(other) for other in self.others], self.verifier)

    def opinion(
        self, images: Tensor, changed: Tensor, target: Tensor, portions: Portions
    ) -> dict[str, list[Any]]:
        """What the network that takes no part thinks of images before and after; nothing without one.

        Args:
            images: (n, 3, h, w) in [0, 1].
            changed: the same after what was found.
            target: the class of each, (n,).
            portions: how many go at a time.

        Returns:
            Columns with None where the network gives no numbers.

        Raises:
            HeatliftError: a single image does not fit into memory.
        """
        if self.verifier is None:
            return {}
        before, after = (
            logits_of(self.verifier, self.verifier.resized(each.to(self.verifier.device)), portions)
            for each in (images, changed)
        )
        target = target.to(before.device)
        columns = {
            "co_verify": logit_gain(before, after, target),
            "p_verify_before": class_probability(before, target),
            "p_verify_after": class_probability(after, target),
            "predicted_verify_before": before.argmax(dim=1),
            "predicted_verify_after": after.argmax(dim=1),
        }
        said = torch.cat([before, after], dim=1).isfinite().all(dim=1).tolist()
        return {
            name: [value if ok else None for value, ok in zip(column.tolist(), said, strict=True)]
            for name, column in columns.items()
        }

    def described(self, config: OptimisingConfig) -> dict[str, Any]:
        """What run.json says of them."""
        return {
            "model": _described(config.model, self.classifier),
            "also": [_described(*each) for each in zip(config.also, self.others, strict=True)],
            "verify": None if self.verifier is None else _described(str(config.verify_on), self.verifier),
        }


def _with_gradient(classifier: Classifier) -> Classifier:
    """A classifier, once it is known that what is shown to it can be optimised."""
    inputs = noise(classifier, 1).to(classifier.device, classifier.dtype).requires_grad_()
    reason = "its output carries no gradient back to the image"
    with torch.enable_grad():
        logits = classifier(inputs)
        try:
            if (
                logits.requires_grad
                and torch.autograd.grad(logits.sum(), inputs, allow_unused=True)[0] is not None
            ):
                return classifier
        except RuntimeError as error:
            let_through(error)
            reason = f"its gradient can't be computed: {first_line(error)}"
    raise HeatliftError(f"nothing can be optimised on {classifier.name}: {reason}")


def _another(
    option: str, spec: str, weights: str, config: OptimisingConfig, classifier: Classifier
) -> Classifier:
    # Weights of one's own do not say how many classes they are for.
    classes = config.num_classes or classifier.num_classes if weights != "default" else None
    network = load(spec, weights, num_classes=classes, seed=config.seed)
    if network.num_classes != classifier.num_classes:
        raise HeatliftError(
            f"{option} {spec} has {network.num_classes} classes, {classifier.name} "
            f"{classifier.num_classes}: they must be the same"
        )
    return network


def _same(one: Classifier, other: Classifier) -> bool:
    """Whether two classifiers are one network: of the same layers and weights, or alike on noise."""
    networks = one.network, other.network
    if len(set(map(str, networks))) == len(set(map(weights_digest, networks))) == 1:
        return True
    one, other = one.in_float32(), other.in_float32()
    images = noise(one, 2, seed=0)
    with torch.no_grad():
        return torch.equal(one(images).cpu(), other(other.resized(images)).cpu())


def _described(spec: str, classifier: Classifier) -> Mapping[str, Any]:
    return {"spec": spec, "weights_digest": weights_digest(classifier.network), **classifier.describe()}
