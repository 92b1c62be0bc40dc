"""The one loop: a batch of independent problems, each with its own images, stopping rule and Adam.

It knows nothing of heatmaps or masks. A problem says what its parameters look like decoded, what the network
is shown of them, and what is to become small; the loop owns the network's passes, Adam, who is done, and
what happened on the way. Every update is elementwise and every loss one image's own, so that a batch gives
what its images give one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

from heatlift.classifier import Classifier
from heatlift.errors import HeatliftError, NetworkFailed, Refused, first_line, let_through
from heatlift.folding import folded
from heatlift.portions import Portions

Given: TypeAlias = Mapping[str, Tensor]
"""What the problems are given, (n, ...) each: images, classes, logits before, random numbers."""

Parameters: TypeAlias = "tuple[Tensor, ...]"
"""What is optimised, (n, ...) each."""

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
"""Adam's own (Kingma and Ba 2015)."""


@dataclass(frozen=True)
class Problem:
    """What is optimised, as functions of n images at once.

    Attributes:
        decode: ``(parameters, given)`` -> what they stand for, such as heatmaps.
        show: ``(decoded, given, step)`` -> images in pixel space, (n, 3, h, w), for the network; the step
            is for those that see another view each time.
        loss: ``(logits of every network, decoded, given)`` -> what is to become small, and the score on
            record, (n,) each.
        project: brings parameters back to what they may be after an update, in place.
    """

    decode: Callable[[Parameters, Given], Tensor]
    show: Callable[[Tensor, Given, int], Tensor]
    loss: Callable[[Sequence[Tensor], Tensor, Given], tuple[Tensor, Tensor]]
    project: Callable[[Parameters], None] | None = None


class Observer(Protocol):
    """Sees what every step makes of the images that are still being optimised."""

    def __call__(self, step: int, rows: Tensor, decoded: Tensor, logits: Tensor) -> None:
        """What ``step`` updates made of some images.

        Args:
            step: from 0.
            rows: which images, (m,).
            decoded: what their parameters stand for, (m, ...).
            logits: what the first network says of it, (m, C); of several views, of the first.
        """


class Progress(Protocol):
    """Hears how far an optimisation is."""

    def __call__(self, step: int, left: int) -> None:
        """After ``step`` updates ``left`` images are not done yet."""


@dataclass(frozen=True)
class Optimised:
    """What came out, one row per image.

    Attributes:
        parameters: of the image's last step on record, or of its best where that was asked for.
        steps: how many updates they had, (n,).
        reached: whether the score got to the target, (n,).
        history: the score after 0, 1, 2... updates, (n, T); NaN after an image stopped.
    """

    parameters: Parameters
    steps: Tensor
    reached: Tensor
    history: Tensor


@dataclass
class _State:
    """The images that are not done: which they are, their problems, parameters, and Adam's moments."""

    rows: Tensor
    given: Given
    parameters: Parameters
    gradients: Parameters
    first: Parameters
    second: Parameters

    def of(self, part: Tensor | slice) -> _State:
        """Some of them; views where the part is a slice."""
        groups = (self.parameters, self.gradients, self.first, self.second)
        given = {name: values[part] for name, values in self.given.items()}
        return _State(self.rows[part], given, *(tuple(t[part] for t in group) for group in groups))


@dataclass
class Optimiser:
    """The loop with its settings.

    Attributes:
        problem: what is optimised.
        classifiers: the networks whose logits the problem's loss is made of; mostly one. The first is shown
            images as they are, the others scaled to their own size.
        max_steps: updates after which an image is done in any case.
        lr: Adam's learning rate.
        target: the score at which an image is done; without one it takes all steps.
        shared: whether one second moment, their mean, scales all parameters of an image. Those that hardly
            matter then hardly move, where each one's own would make steps of their noise.
        best: whether an image that did not get to the target gives its best step instead of its last.
        exact: the networks that say whether the target is reached, where ``classifiers`` round otherwise.
        portions: how many images go through the networks at a time.
    """

    problem: Problem
    classifiers: Sequence[Classifier]
    max_steps: int
    lr: float
    target: float | None = None
    shared: bool = False
    best: bool = False
    exact: Sequence[Classifier] = ()
    portions: Portions = field(default_factory=lambda: Portions(16))

    def __post_init__(self) -> None:
        self.classifiers = [folded(one) for one in self.classifiers]

    def __call__(
        self,
        start: Parameters,
        given: Given,
        observe: Observer | None = None,
        progress: Progress | None = None,
    ) -> Optimised:
        """Optimise images until each is done; those that are leave, so that the others' passes stay full.

        Args:
            start: the parameters to begin with.
            given: the problems.
            observe: sees every step.
            progress: hears of every step.

        Raises:
            HeatliftError: a single image does not fit into memory.
            Refused: the network has no gradient.
            NetworkFailed: it raised an error on one of the images.
        """
        n, device = len(start[0]), start[0].device
        kept = tuple(t.detach().clone() for t in start)
        parameters = tuple(t.clone() for t in kept)
        gradients, first, second = (tuple(map(torch.zeros_like, kept)) for _ in range(3))
        state = _State(torch.arange(n, device=device), given, parameters, gradients, first, second)
        steps = torch.zeros(n, dtype=torch.long, device=device)
        reached = torch.zeros(n, dtype=torch.bool, device=device)
        best = torch.full((n,), -torch.inf, device=device, dtype=torch.float64)
        history: list[Tensor] = []
        for step in range(self.max_steps + 1):
            scores = self._evaluated(state, step, observe)
            history.append(scores.new_full((n,), torch.nan).index_copy_(0, state.rows, scores))
            there = torch.zeros_like(state.rows, dtype=torch.bool)
            if self.target is not None:
                there = scores >= self.target
            # A score that is not a number has no way on.
            ended = there | ~scores.isfinite() | (step == self.max_steps)
            noted = scores > best[state.rows] if self.best else ended
            for store, values in zip(kept, state.parameters, strict=True):
                store[state.rows[noted]] = values[noted]
            steps[state.rows[noted]] = step
            best[state.rows[noted]] = scores[noted].double()
            reached[state.rows] = there
            if bool(ended.any()):
                state = state.of(~ended)
            if progress is not None:
                progress(step, len(state.rows))
            if not len(state.rows):
                break
            self._update(state, step + 1)
        return Optimised(kept, steps, reached, torch.stack(history, dim=1))

    def _evaluated(self, state: _State, step: int, observe: Observer | None) -> Tensor:
        """Scores (m,) of the parameters as they are; their gradients are left in the state."""

        def work(places: Tensor) -> Tensor:
            part = state.of(slice(int(places[0]), int(places[-1]) + 1))
            leaves = tuple(t.detach().requires_grad_() for t in part.parameters)
            with torch.set_grad_enabled(step < self.max_steps):
                decoded = self.problem.decode(leaves, part.given)
                shown = self.problem.show(decoded, part.given, step)
                logits = _logits(self.classifiers, shown)
                if step < self.max_steps and not all(each.requires_grad for each in logits):
                    raise Refused("the network's output carries no gradient back to the image")
                losses, scores = self.problem.loss(logits, decoded, part.given)
            scores = self._confirmed(scores.detach(), shown.detach(), decoded.detach(), part.given)
            if step < self.max_steps:
                found = _gradients(losses, leaves)
                for gradient, values in zip(part.gradients, found, strict=True):
                    gradient.copy_(values)
            if observe is not None:
                observe(step, part.rows, decoded.detach(), logits[0][: len(part.rows)].detach())
            return scores

        return torch.cat(self.portions.all(torch.arange(len(state.rows)), work))

    def _confirmed(self, scores: Tensor, shown: Tensor, decoded: Tensor, given: Given) -> Tensor:
        """Scores, exact ones where the target seems to be reached."""
        if self.target is None or not self.exact or not bool((scores >= self.target).any()):
            return scores
        near = scores >= self.target
        with torch.no_grad():
            some = {name: values[near] for name, values in given.items()}
            _, exact = self.problem.loss(_logits(self.exact, shown[near]), decoded[near], some)
        return scores.index_put((near,), exact.to(scores))

    def _update(self, state: _State, step: int) -> None:
        """One update of Adam, the ``step``-th."""
        groups = zip(state.parameters, state.gradients, state.first, state.second, strict=True)
        for parameter, gradient, first, second in groups:
            first.lerp_(gradient, 1 - BETA1)
            second.mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
            moment = second.mean(dim=tuple(range(1, second.ndim)), keepdim=True) if self.shared else second
            scale = (moment / (1 - BETA2**step)).sqrt_().add_(EPSILON).expand_as(second)
            parameter.addcdiv_(first, scale, value=-self.lr / (1 - BETA1**step))
        if self.problem.project is not None:
            self.problem.project(state.parameters)


def _gradients(losses: Tensor, leaves: Parameters) -> Parameters:
    """Each image's gradient of its own loss; what stands in the way of it is the network's failure."""
    try:
        return torch.autograd.grad(losses.sum(), leaves)
    except RuntimeError as error:
        if isinstance(error, HeatliftError):
            raise
        let_through(error)
        raise NetworkFailed(f"the network's gradient can't be computed: {first_line(error)}") from error


def _logits(classifiers: Sequence[Classifier], shown: Tensor) -> list[Tensor]:
    first, *others = classifiers
    return [first(shown), *(other(other.resized(shown)).to(shown.device) for other in others)]
