"""A few images with what their masks take away, with every factor side by side, as pictures in the page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from heatlift.errors import HeatliftError
from heatlift.report.pictures import Pixels, encoded, photograph, read_pixels, size
from heatlift.report.selection import evenly
from heatlift.report.undesirable.outcomes import Outcome
from heatlift.report.undesirable.overlays import THRESHOLD, overlays
from heatlift.report.undesirable.summary import factor_name
from heatlift.run.originals import original_path, perturbed_path
from heatlift.wording import FACTORS, class_name, clean, number

if TYPE_CHECKING:
    from heatlift.run.evolutions import Evolutions

MOST = 20
"""Images in the gallery; a run may keep more."""

MOST_STEPPED = 4
"""Images whose steps are shown as well, the first that have any."""

MOST_FRAMES = 16
"""Steps of one image, always the first and the last."""

PHOTOGRAPHS, OVERLAYS, FRAMES = 80_000, 40_000, 300_000
"""Bytes of one image's pictures, so that all of them stay below 5 MB as text."""


@dataclass(frozen=True)
class Frame:
    """What a mask takes away at one step: its picture, its largest value, and the share above 0.6."""

    overlay: str
    largest: str
    area: str


@dataclass(frozen=True)
class Blurred:
    """What one factor's mask made of an image; ``frames`` has one picture per step, or only the last."""

    name: str
    frames: tuple[Frame, ...]
    perturbed: str
    phi: str
    p_after: str
    p_verify_before: str
    p_verify_after: str
    after: str
    turned: str


@dataclass(frozen=True)
class Kept:
    """One image; ``steps`` is empty where its masks have no steps to go through."""

    identity: str
    image: str
    name: str
    correct: bool | None
    label: str
    target: str
    before: str
    p_before: str
    source: str
    factors: tuple[Blurred, ...]
    steps: tuple[int, ...]


@dataclass(frozen=True)
class Gallery:
    """Images in the page, and how many the run keeps."""

    images: tuple[Kept, ...]
    of: int


def read_gallery(
    run: Path, outcomes: Sequence[Outcome], classes: Sequence[str] | None, falls: bool = False
) -> Gallery:
    """The images whose masks are kept, those first whose target's probability changed most.

    Args:
        run: the run's folder.
        outcomes: of all its images and factors.
        classes: the classes' names.
        falls: the masks were to lower the probability.

    Raises:
        HeatliftError: what is kept is damaged, or an image kept has no original.
    """
    if not (run / "maps.zarr").is_dir():
        return Gallery((), 0)
    from heatlift.run.evolutions import Evolutions  # loads zarr, which most reports do without

    kept = Evolutions(run)
    there = set(kept.images())
    by_image: dict[str, dict[str, Outcome]] = {}
    for outcome in outcomes:
        if _name(outcome) in there:
            by_image.setdefault(outcome.image, {})[outcome.factor] = outcome
    sign = -1 if falls else 1
    ordered = sorted(by_image.values(), key=lambda found: (-_most(found.values(), sign), _image(found)))
    shown: list[Kept] = []
    for found in ordered[:MOST]:
        stepped = sum(bool(one.steps) for one in shown) < MOST_STEPPED
        shown.append(_kept(run, kept, found, len(shown) + 1, classes, stepped))
    return Gallery(tuple(shown), len(ordered))


def _name(outcome: Outcome) -> str:
    """Under which a mask is kept."""
    return f"{outcome.factor}/{outcome.image}"


def _most(found: Iterable[Outcome], sign: int) -> float:
    return max(sign * outcome.gain for outcome in found)


def _image(found: Mapping[str, Outcome]) -> str:
    return next(iter(found.values())).image


def _kept(
    run: Path,
    kept: Evolutions,
    found: Mapping[str, Outcome],
    place: int,
    classes: Sequence[str] | None,
    stepped: bool,
) -> Kept:
    factors = [factor for factor in FACTORS if factor in found]
    first = found[factors[0]]
    original = read_pixels(original_path(run, first.image))
    perturbed = [read_pixels(perturbed_path(run, factor, first.image)) for factor in factors]
    taken = [kept.final(_name(found[factor])) for factor in factors]
    for pixels in (*perturbed, *taken):
        if pixels.shape[1:] != original.shape[1:]:
            raise HeatliftError(
                f"{original_path(run, first.image)} is {original.shape[2]} x {original.shape[1]}, its masks "
                f"{pixels.shape[2]} x {pixels.shape[1]}: delete it and start the same run again"
            )
    source, *blurred = encoded([photograph(pixels) for pixels in (original, *perturbed)], PHOTOGRAPHS)
    lasts = [_frame(one, picture) for one, picture in zip(taken, overlays(taken, OVERLAYS), strict=True)]
    steps, films = _films(kept, [found[factor] for factor in factors]) if stepped else ((), [])
    return Kept(
        identity=f"kept-{place}",
        image=first.image,
        name=clean(first.image),
        correct=None if first.label is None else first.kind == "correct",
        label=class_name(first.label, classes),
        target=class_name(first.target, classes),
        before=class_name(first.predicted_before, classes),
        p_before=number(first.p_before),
        source=source,
        factors=tuple(
            _blurred(found[factor], (*films[i][:-1], lasts[i]) if steps else (lasts[i],), blurred[i], classes)
            for i, factor in enumerate(factors)
        ),
        steps=steps,
    )


def _films(kept: Evolutions, outcomes: Sequence[Outcome]) -> tuple[tuple[int, ...], list[list[Frame]]]:
    """Some of the steps that every factor's mask has, and each mask's pictures of them."""
    common = set.intersection(*(set(kept.steps(_name(outcome))) for outcome in outcomes))
    steps = tuple(evenly(sorted(common), MOST_FRAMES))
    if len(steps) < 2:
        return (), []
    taken = [[kept.frame(_name(outcome), step) for step in steps] for outcome in outcomes]
    pictures = overlays([one for film in taken for one in film], FRAMES)
    if sum(map(size, pictures)) > FRAMES:
        return (), []
    framed = iter(pictures)
    return steps, [[_frame(one, next(framed)) for one in film] for film in taken]


def _frame(taken: Pixels, picture: str) -> Frame:
    return Frame(picture, f"{float(taken.max()):.2f}", f"{float((taken > THRESHOLD).mean()):.1%}")


def _blurred(
    outcome: Outcome, frames: tuple[Frame, ...], perturbed: str, classes: Sequence[str] | None
) -> Blurred:
    return Blurred(
        name=factor_name(outcome.factor),
        frames=frames,
        perturbed=perturbed,
        phi=number(outcome.phi),
        p_after=number(outcome.p_after),
        p_verify_before=number(outcome.p_verify_before),
        p_verify_after=number(outcome.p_verify_after),
        after=class_name(outcome.predicted_after, classes),
        turned=outcome.turned,
    )
