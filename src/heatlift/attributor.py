"""Several methods on one network: what they have in common is computed once.

All methods explain one class per image on one forward pass, and each reads from it what it needs, or
runs the network itself. A method that would be wrong on the network at hand is refused, and what is not
refused comes with a certificate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from heatlift.classifier import Classifier
from heatlift.errors import HeatliftError, Refused, RunEnds, first_line, let_through
from heatlift.gradients import gradients
from heatlift.imports import raised
from heatlift.method import Request
from heatlift.passes import Baseline, Passes
from heatlift.subject import COMPLETENESS_TOLERANCE, Subject
from heatlift.types import Space, Target
from heatlift.untouched import hooks_restored, untouched


@dataclass(frozen=True)
class Attribution:
    """Heatmaps of one method for a batch of images, with what proves them.

    Attributes:
        heatmaps: (n, 3, h, w), raw and detached.
        target: the class explained, (n,).
        completeness: ``|sum(h) - (f(x) - f(baseline))|`` relative to the difference explained, (n,), for
            methods that promise such a sum (DeepLift, integrated gradients); None for others.
        relu_calls: how many ReLU calls the method's rule was applied to; None for other methods.
        calls: the calls of non-linear functions that the method's rule was applied to, by name, counted;
            None for methods without a rule.
    """

    heatmaps: Tensor
    target: Tensor
    completeness: Tensor | None = None
    relu_calls: int | None = None
    calls: Mapping[str, int] | None = None

    @property
    def complete(self) -> bool:
        """Whether every heatmap adds up to what it explains, where the method promises that."""
        return self.completeness is None or bool((self.completeness <= COMPLETENESS_TOLERANCE).all())


@dataclass(frozen=True)
class Explanations:
    """What several methods say of a batch of images.

    Attributes:
        logits: (n, C), of the forward pass that the methods share.
        found: by request name the method's heatmaps, or why it does not apply.
    """

    logits: Tensor
    found: Mapping[str, Attribution | Refused]


@dataclass
class Attributor:
    """Several methods on one network, from shared passes: call it with a batch of images.

    The methods of Tjoa 2022 take one forward and four backward passes together, and one more forward
    pass for DeepLift's baseline, which is kept for the batches that follow. Of a classifier in bfloat16
    the methods whose heatmaps must add up have a forward pass of their own, in float32.

    Args:
        classifier: the network.
        requests: the methods, from `requested`.
        space: the space of the heatmaps.
        baseline: the baseline of DeepLift and integrated gradients in model space, broadcastable to
            (n, 3, h, w).
    """

    classifier: Classifier
    requests: Sequence[Request]
    space: Space = "model"
    baseline: Tensor | float = 0.0
    _baselines: dict[torch.Size, Baseline] = field(default_factory=dict, repr=False)
    _whole: bool = field(default=False, repr=False)
    _exact: Attributor | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # In bfloat16 nothing adds up to its certificate: such methods have passes of their own.
        exact = [request for request in self.requests if request.method.complete]
        reduced = self.classifier.precision == "bf16" and exact
        self._exact = (
            Attributor(self.classifier.in_float32(), exact, self.space, self.baseline) if reduced else None
        )

    def __call__(self, images: Tensor, target: Target = None) -> dict[str, Attribution | Refused]:
        """Heatmaps of images (n, 3, h, w) in [0, 1], or why a method does not apply, by request name."""
        return dict(self.explain(images, target).found)

    def explain(self, images: Tensor, target: Target = None) -> Explanations:
        """The same with the logits that were met on the way."""
        here = [r for r in self.requests if self._exact is None or not r.method.complete]
        reading = [request for request in here if request.method.reads is not None]
        with gradients():
            try:
                subject, found = self._shared(images, target, reading)
            except RuntimeError as error:
                let_through(error)
                if all(request.method.rule == "plain" for request in reading):
                    raise
                subject, found = self._without_rules(images, target, reading, error)
            except Refused as refusal:
                with torch.no_grad():
                    logits = self.classifier(self.classifier.inputs(images, self.space), self.space)
                return Explanations(logits, dict.fromkeys((r.name for r in self.requests), refusal))
            for request in here:
                if request.method.runs is not None:
                    found[request.name] = self._run(subject, request)
            if self._exact is not None:
                found |= self._exact(images, subject.target)
        return Explanations(subject.logits, {request.name: found[request.name] for request in self.requests})

    def _shared(
        self, images: Tensor, target: Target, requests: Sequence[Request]
    ) -> tuple[Subject, dict[str, Attribution | Refused]]:
        """The methods that read from shared passes; raises Refused where no method at all can apply."""
        inputs = self.classifier.inputs(images, self.space)
        passes = self._passes(inputs, target, requests)
        if passes.baseline is not None and not passes.followed and not self._whole:
            # A network that folds the batch into other dimensions needs a baseline for each image.
            self._whole = True
            self._baselines.clear()
            passes = self._passes(inputs, target, requests)
        start, before = self._start(inputs), None
        if passes.baseline is not None:
            start, before = passes.baseline.inputs, passes.baseline.logits
        subject = Subject(
            self.classifier, images, inputs, passes.target, passes.logits.detach(), self.space, start, before
        )
        return subject, {request.name: _read(passes, subject, request) for request in requests}

    def _without_rules(
        self, images: Tensor, target: Target, requests: Sequence[Request], error: RuntimeError
    ) -> tuple[Subject, dict[str, Attribution | Refused]]:
        """The plain methods alone, after something that the rules met: the others must not suffer from it."""
        # Raises where it is the network's own failure.
        plain = [request for request in requests if request.method.rule == "plain"]
        subject, found = self._shared(images, target, plain)
        reason = _refused(f"its rule can't be applied to this network: {first_line(error)}", error)
        return subject, {request.name: found.get(request.name, reason) for request in requests}

    def _passes(self, inputs: Tensor, target: Target, requests: Sequence[Request]) -> Passes:
        wanted = {request.method.rule for request in requests}
        return Passes(
            self.classifier,
            inputs,
            target,
            space=self.space,
            layers=dict.fromkeys(request.layer for request in requests if request.layer is not None),
            rules=not wanted <= {"plain"},
            baseline=self._baseline(inputs) if "rescale" in wanted else None,
        )

    def _run(self, subject: Subject, request: Request) -> Attribution | Refused:
        """A method that runs the network itself; its own failures are its own."""
        method, network = request.method, self.classifier.network
        assert method.runs is not None
        # Foreign code may change weights for a while, which prepared ones would hide.
        subject = replace(subject, classifier=self.classifier.unfolded())
        try:
            with untouched(network), hooks_restored(network):
                heatmaps = method.runs(subject, request.layer, **request.options).detach()
            if heatmaps.shape != subject.inputs.shape:
                raise HeatliftError(f"it gave heatmaps of shape {tuple(heatmaps.shape)}")
        except RunEnds:
            raise
        except HeatliftError as error:
            return Refused(str(error))
        except Exception as error:
            let_through(error)
            return _refused(f"it raised {raised(error)}", error)
        return _certified(subject, request, heatmaps)

    def _start(self, inputs: Tensor) -> Tensor:
        """The baseline in the heatmaps' space: one image for all of a batch, where that will do."""
        try:
            values = torch.as_tensor(self.baseline, dtype=inputs.dtype, device=inputs.device)
            values.expand_as(inputs)
        except (RuntimeError, TypeError, ValueError) as error:
            raise HeatliftError(
                f"baseline {_described(self.baseline)} for images {tuple(inputs.shape)}: give a number, or a "
                "tensor that broadcasts to their shape"
            ) from error
        each = self._whole or (values.ndim == inputs.ndim and len(values) > 1)
        shape = inputs.shape if each else torch.Size((1, *inputs.shape[1:]))
        start = values.expand(shape).clone()
        return self.classifier.denormalise(start) if self.space == "pixel" else start

    def _baseline(self, inputs: Tensor) -> Baseline:
        """The baseline's own pass."""
        start = self._start(inputs)
        if start.shape not in self._baselines:
            # One shape at a time: the calls of a whole pass are kept.
            self._baselines.clear()
            self._baselines[start.shape] = Baseline.run(self.classifier, start, self.space)
        return self._baselines[start.shape]


def _refused(reason: str, error: Exception) -> Refused:
    """A refusal with its cause, but not with all that was being computed."""
    refusal = Refused(reason)
    refusal.__cause__ = error.with_traceback(None)
    return refusal


def _read(passes: Passes, subject: Subject, request: Request) -> Attribution | Refused:
    """A method's heatmaps from the shared passes."""
    method = request.method
    assert method.reads is not None
    try:
        heatmaps = method.reads(passes, request.layer).detach()
    except Refused as refusal:
        return refusal
    relus = passes.relu_calls() if method.rule in ("guided", "deconvolution") else None
    calls = passes.calls if method.rule == "rescale" else None
    return _certified(subject, request, heatmaps, relu_calls=relus, calls=calls)


def _certified(subject: Subject, request: Request, heatmaps: Tensor, **certificates: Any) -> Attribution:
    completeness = subject.completeness(heatmaps) if request.method.complete else None
    return Attribution(heatmaps, subject.target, completeness, **certificates)


def _described(baseline: object) -> str:
    return f"of shape {tuple(baseline.shape)}" if isinstance(baseline, Tensor) else repr(baseline)
