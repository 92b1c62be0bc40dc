"""The settings of a training, with those of Tjoa 2022 as defaults."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from heatlift.errors import HeatliftError


class Recipe(BaseModel):
    """Everything that decides what comes out of a training.

    Attributes:
        data: class folders, or a manifest with ``classes``; train and validation are drawn from it.
        test: images that take no part, for the figures at the end.
        model: SPEC of the network.
        weights: where it begins: ``default`` (published weights, with a new last layer where the classes
            are others), ``random``, or a file.
        classes: a file of class names; by default the names of the class folders.
        positive: the class that precision and recall are of; by default the last of two.
        validation: what is held back of the images: a share such as 0.2, or a number for each class such
            as 266,790.
        until_val_accuracy: the share of held-back images that must be right for it to stop.
        min_iterations, max_iterations: before which and at which it stops.
        validate_every: iterations between looks at the held-back images.
        patience: looks without a better accuracy after which it stops as well; None for never.
        batch_size, lr, betas: Adam's, without weight decay.
        mean, std, size, resize: in place of the network's own preprocessing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    data: str
    model: str
    test: str | None = None
    weights: str = "default"
    classes: str | None = None
    positive: str | None = None
    validation: str = "0.2"
    until_val_accuracy: float = Field(0.99, gt=0, le=1)
    min_iterations: int = Field(2400, ge=0)
    max_iterations: int = Field(240_000, ge=1)
    validate_every: int = Field(100, ge=1)
    patience: int | None = Field(None, ge=1)
    batch_size: int = Field(32, ge=1)
    lr: float = Field(1e-3, gt=0)
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.5, 0.999)
    precision: Literal["auto", "fp32", "bf16"] = "fp32"
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    size: int | None = Field(None, ge=1, le=4096)
    resize: int | None = Field(None, ge=1, le=4096)
    seed: int = Field(0, ge=0, lt=2**63)


def held_back(validation: str, counts: list[int]) -> list[int]:
    """How many images of each class are held back for validation.

    Args:
        validation: a share of each class, or a number for each, as of a `Recipe`.
        counts: how many images each class has.

    Raises:
        HeatliftError: it is neither, or leaves a class without images on one of the sides.

    >>> held_back("0.2", [10, 5])
    [2, 1]
    >>> held_back("3,4", [10, 5])
    [3, 4]
    """
    try:
        if "," in validation or validation.strip().isdecimal():
            wanted = [int(part) for part in validation.split(",")]
            if len(wanted) != len(counts):
                raise HeatliftError(
                    f"--validation {validation}: give a share such as 0.2, or {len(counts)} numbers, one for "
                    "each class"
                )
        else:
            share = float(validation)
            if not 0 < share < 1:
                raise ValueError
            wanted = [max(1, round(share * count)) for count in counts]
    except ValueError as error:
        raise HeatliftError(
            f"--validation '{validation}': give a share such as 0.2, or a number for each class"
        ) from error
    for number, count in zip(wanted, counts, strict=True):
        if not 0 < number < count:
            raise HeatliftError(
                f"--validation {validation}: holding back {number} of a class with {count} images leaves "
                "none on one side"
            )
    return wanted
