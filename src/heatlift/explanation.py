"""One picture's worth of answers: what a network sees, what is in the way, what would make it right."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor

from heatlift.errors import HeatliftError
from heatlift.masked import UNDESIRABLE
from heatlift.run.whole import whole
from heatlift.spotlight import Spotlight
from heatlift.undesirable import UndesirablePixels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".html", ".svg", ".pdf")
"""What an explanation can be written as."""

DOTS_PER_INCH = 150
"""Of a .png; made to be read at 100."""


@dataclass(frozen=True)
class Seen:
    """Where one attribution method says that the network looks, for the class that it predicts.

    Attributes:
        method: its name in the registry.
        heatmap: (3, h, w), in logits per unit of brightness; None where the method was refused.
        why_not: why it does not apply to the network.
    """

    method: str
    heatmap: Tensor | None = field(repr=False)
    why_not: str = ""


@dataclass(frozen=True)
class Change:
    """One change of the image that was optimised to raise a class, and what the network says of it.

    Attributes:
        kind: ``undesirable`` blurs pixels, ``spotlight`` darkens and brightens them.
        target: the class that is raised.
        heatmap: of undesirable pixels how much of each is blurred, 1 - M', (1, h, w) in [0, 1]; of a
            spotlight the h in x' = x h, (3, h, w).
        image: what the network is shown then, (3, h, w) in [0, 1].
        logits: what it says, (C,).
        verified: what the second network says of it, (C,); None without one.
    """

    kind: Literal["undesirable", "spotlight"]
    target: int
    heatmap: Tensor = field(repr=False)
    image: Tensor = field(repr=False)
    logits: Tensor = field(repr=False)
    verified: Tensor | None = field(repr=False, default=None)

    @property
    def taken(self) -> float:
        """Of undesirable pixels, how much of the image is blurred away: the mean of 1 - M'."""
        return float(self.heatmap.double().mean())

    @property
    def area(self) -> float:
        """Of undesirable pixels, the share of pixels that are blurred by more than 0.6."""
        return float((self.heatmap > UNDESIRABLE).double().mean())


@dataclass(frozen=True)
class Explanation:
    """What `heatlift.explaining.explain` found about one image; it can draw itself and write itself down.

    Attributes:
        image: the image as the network is shown it, (3, h, w) in [0, 1].
        name: the image file's; empty for a tensor.
        network: what the network is, as `Classifier.describe` says.
        label: the true class, where it was given.
        logits: what the network says of the image, (C,).
        saliency: the gradient of the predicted class's logit.
        gradcam: evidence for and against the predicted class at the last feature map.
        changes: undesirable pixels for the predicted class and for the label where that is another one,
            and a spotlight on the label, or without one on the predicted class.
        second: the second network's name; None without one.
        verified: what the second network says of the image, (C,).
        masks: the settings of the undesirable pixels.
        lift: those of the spotlight.
        fast: whether it was a quick look.
    """

    image: Tensor = field(repr=False)
    name: str
    network: Mapping[str, Any] = field(repr=False)
    label: int | None
    logits: Tensor = field(repr=False)
    saliency: Seen
    gradcam: Seen
    changes: tuple[Change, ...]
    second: str | None = None
    verified: Tensor | None = field(repr=False, default=None)
    masks: UndesirablePixels = field(default_factory=UndesirablePixels.stable)
    lift: Spotlight = field(default_factory=Spotlight)
    fast: bool = False

    @property
    def predicted(self) -> int:
        """The class that the network predicts."""
        return int(self.logits.argmax())

    def summary(self) -> str:
        """The findings in a few plain lines."""
        from heatlift.report.explanation.words import summary

        return summary(self)

    def figure(self) -> Figure:
        """The picture, as a matplotlib figure of its own that pyplot knows nothing of."""
        from heatlift.report.explanation.figure import explanation_figure

        return explanation_figure(self)

    def _repr_html_(self) -> str:
        """What a notebook shows: the findings in words, and the image with every heatmap."""
        from heatlift.notebook import explanation_html

        return explanation_html(self)

    def save(self, path: str | Path) -> Path:
        """Write the picture to a .png, .svg or .pdf file, or a page that opens offline to an .html file.

        The file appears under its name only when it is complete.

        Raises:
            HeatliftError: another ending, or a folder.
        """
        target = savable(path)
        content = self._page() if target.suffix.lower() == ".html" else self._picture(target.suffix.lower())
        target.parent.mkdir(parents=True, exist_ok=True)
        with whole(target, "wb") as file:
            file.write(content)
        return target

    def _page(self) -> bytes:
        from heatlift.report.explanation.page import build_explanation_page
        from heatlift.report.html import render

        return render(build_explanation_page(self)).encode("utf-8")

    def _picture(self, suffix: str) -> bytes:
        from heatlift.report.explanation.figure import written

        file = io.BytesIO()
        written(self.figure(), file, suffix.removeprefix("."), DOTS_PER_INCH)
        return file.getvalue()


def savable(path: str | Path) -> Path:
    """A path that an explanation can be written to.

    Raises:
        HeatliftError: another ending, or a folder.
    """
    target = Path(path)
    if target.suffix.lower() not in SUFFIXES:
        raise HeatliftError(f"{target} ends in none of {', '.join(SUFFIXES)}: choose one of them")
    if target.is_dir():
        raise HeatliftError(f"{target} is a folder: give the file that the picture is to be written to")
    return target
