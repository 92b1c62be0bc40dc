"""Masks found for images, in several trials at once: what `heatlift.undesirable.UndesirablePixels` runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from heatlift.classifier import Classifier
from heatlift.evolution import Film
from heatlift.lift import Subjects, logits_of
from heatlift.mask_problem import MaskProblem, Mean, at_size_of, key_before
from heatlift.masked import Undesirable, measured
from heatlift.optimise import Observer, Optimiser, Progress
from heatlift.perturbation import reference_images
from heatlift.views import drawn_views

if TYPE_CHECKING:
    from heatlift.undesirable import UndesirablePixels


def mask_trials(
    how: UndesirablePixels,
    subjects: Subjects,
    trials: range,
    *,
    networks: Sequence[Classifier],
    observe: Observer | None,
    progress: Progress | None,
) -> list[Undesirable]:
    """Run trials in groups that fill the network's passes.

    Args:
        how: the settings.
        subjects: the images, what is asked of them, and how many go at a time.
        trials: their numbers, from which all that is random is drawn.
        networks: those that the masks are to work for, the images' own first.
        observe: sees every step's masks of the first trial, instead of the result's `evolutions`.
        progress: hears of every step.

    Returns:
        One result per trial.

    Raises:
        HeatliftError: the images or networks are too large for the memory.
    """
    reference = reference_images(subjects.images, how.reference, how.kernel, how.sigma)
    # More trials at a time would only take memory.
    together = max(1, subjects.portions.size // (len(subjects.images) * how.restarts))
    groups = [trials[i : i + together] for i in range(0, len(trials), together)]
    film = Film(subjects.target, subjects.images.shape[2:], view=how.views > 0) if observe is None else None
    watcher = observe if film is None else _taken(film)
    found: list[Undesirable] = []
    for place, group in enumerate(groups):

        def heard(step: int, left: int, place: int = place) -> None:
            if progress is not None:
                progress((place * how.steps + step) // len(groups), left)

        watching, filmed = (watcher, film) if not place else (None, None)
        found += _together(how, subjects, reference, group, networks, watching, filmed, heard)
    return found


def _together(
    how: UndesirablePixels,
    subjects: Subjects,
    reference: Tensor,
    trials: range,
    networks: Sequence[Classifier],
    observe: Observer | None,
    film: Film | None,
    progress: Progress,
) -> list[Undesirable]:
    """Some trials as one batch of problems; the film is of the first of them."""
    x, n, portions = subjects.images, len(subjects.images), subjects.portions
    runs, problem = len(trials) * how.restarts, MaskProblem(how, x, reference)
    purposes = [str(trials[0] * how.restarts + run) for run in range(runs)]
    optimiser = Optimiser(
        problem.of_optimiser(),
        [one.in_precision(how.precision) for one in networks],
        how.steps,
        how.lr,
        shared=how.shared,
        portions=portions,
    )
    given = {
        "image": torch.arange(n, device=x.device).repeat(runs),
        "target": subjects.target.repeat(runs),
    }
    if how.factor is not None:
        # Of the networks as the optimiser has them, whose rounding is its own.
        for i, network in enumerate(optimiser.classifiers):
            inputs = network.resized(x.to(network.device)) if i else x
            given[key_before(i)] = logits_of(network, inputs, portions).to(x.device).repeat(runs, 1)
    if how.views:
        size = (how.steps + 1, how.views)
        given["views"] = torch.cat(
            [
                drawn_views(x, size, how.shift, how.mirror, how.seed, f"views/{p}", alternating=True)
                for p in purposes
            ]
        )
    start = torch.cat([problem.start(purpose) for purpose in purposes])
    mean = Mean(how.steps - round(how.steps * how.averaged) + 1) if how.averaged else None

    def seen(step: int, rows: Tensor, decoded: Tensor, logits: Tensor) -> None:
        if mean is not None:
            mean.add(step, rows, decoded, len(start))
        if observe is not None and bool((rows < n).any()):
            observe(step, rows[rows < n], decoded[rows < n], logits[rows < n])

    found = optimiser((start,), given, seen, progress)
    coarse = problem.decode(found.parameters, given)
    shape = (len(trials), how.restarts, n)
    if mean is not None:
        coarse = mean.over(coarse)
    masks = at_size_of(x, coarse.unflatten(0, shape).mean(dim=1).flatten(0, 1)).split(n)
    history = found.history.unflatten(0, shape).mean(dim=1)
    return [
        measured(subjects, reference, masks[t], history[t], film if not t else None)
        for t in range(len(trials))
    ]


def _taken(film: Film) -> Observer:
    """A film of what masks take away."""

    def observe(step: int, rows: Tensor, decoded: Tensor, logits: Tensor) -> None:
        film(step, rows, 1 - decoded, logits)

    return observe
