"""What a run is to do: its configuration, its shards, and which of them are left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from heatlift.classifier import Classifier
from heatlift.controls import CONTROLS
from heatlift.data import Item
from heatlift.errors import HeatliftError
from heatlift.indicators import indicator_named
from heatlift.registry import METHODS, TJOA_2022, method_named
from heatlift.storage import local_or_url
from heatlift.zoo import load, read_classes

PATHS = ("data", "weights", "also_weights", "verify_weights", "classes")
"""Settings that may be paths."""

FactorName: TypeAlias = Literal["target", "non_target", "none"]
"""F-TC, F-NTC, and neither (Kang 2019)."""


class RunConfig(BaseModel):
    """What every run is told: the network, the images, and how the work is cut up."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    data: str
    model: str
    weights: str = "default"
    num_classes: int | None = Field(None, ge=1)
    classes: str | None = None
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    size: int | None = Field(None, ge=1, le=4096)
    resize: int | None = Field(None, ge=1, le=4096)
    limit: int | None = Field(None, ge=1)
    batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = 16
    precision: Literal["auto", "fp32", "bf16"] = "fp32"
    shard_size: int = Field(32, ge=1)
    seed: int = Field(0, ge=0, lt=2**63)


class AuditConfig(RunConfig):
    """Everything that decides an audit's figures: the same configuration gives the same tables."""

    methods: tuple[str, ...] = TJOA_2022
    controls: tuple[str, ...] = tuple(CONTROLS)
    operations: tuple[Literal["add", "multiply"], ...] = ("add", "multiply")
    scales: tuple[Annotated[float, Field(gt=0)], ...] = (1.0,)
    indicators: tuple[str, ...] = ()
    space: Literal["model", "pixel"] = "model"
    target: int | Literal["predicted", "label", "runner-up"] = "predicted"
    clip: bool = False


class OptimisingConfig(RunConfig):
    """What every run is told that optimises something for each image."""

    include: Literal["correct", "wrong", "all"] = "all"
    target: int | str = "predicted"
    also: tuple[str, ...] = ()
    also_weights: tuple[str, ...] = ()
    verify_on: str | None = None
    verify_weights: str = "default"
    keep_steps: Annotated[int, Field(ge=0)] | Literal["all", "none"] = 4


class LiftConfig(OptimisingConfig):
    """Everything that decides the figures of a lift run; GAX and spotlight each read their own settings."""

    method: Literal["gax", "spotlight"] = "gax"
    include: Literal["correct", "wrong", "all"] = "correct"
    target: int | str = "label"
    target_co: float = 48.0
    max_steps: int = Field(500, ge=1)
    similarity: float = Field(100.0, ge=0)
    bias: float | None = None
    operation: Literal["add", "multiply"] = "add"
    best: bool = False
    steps: int = Field(80, ge=0)
    strength: float = Field(0.15, gt=0, le=1)
    resolution: int = Field(28, ge=1)
    colour: bool = True
    penalty: float = Field(5.0, ge=0)
    views: int = Field(1, ge=1)
    shift: int = Field(8, ge=0, le=256)
    lr: float = Field(0.1, gt=0)


class UndesirableConfig(OptimisingConfig):
    """Everything that decides the figures of an undesirable-pixels run; None is what the preset has."""

    factor: tuple[FactorName, ...] = ()
    preset: Literal["paper", "stable"] = "paper"
    trials: int = Field(1, ge=1, le=100)
    keep_steps: Annotated[int, Field(ge=0)] | Literal["all", "none"] = 24
    game: Literal["improve", "delete", "preserve"] = "improve"
    loss: Literal["probability", "log_probability"] | None = None
    steps: int | None = Field(None, ge=0)
    gamma: float | None = Field(None, ge=0)
    tv_weight: float | None = Field(None, ge=0)
    l1_weight: float | None = Field(None, ge=0)
    tv: Literal["isotropic", "power"] | None = None
    beta: float | None = Field(None, ge=1)
    reduction: Literal["mean", "sum"] | None = None
    centred: bool | None = None
    bounds: Literal["clamp", "sigmoid"] | None = None
    resolution: int | None = Field(None, ge=1)
    init: Literal["random", "ones"] | None = None
    reference: Literal["blur", "mean", "local_mean"] | None = None
    kernel: int | None = Field(None, ge=1)
    sigma: float | None = Field(None, gt=0)
    views: int | None = Field(None, ge=0)
    shift: int | None = Field(None, ge=0, le=256)
    averaged: float | None = Field(None, ge=0, le=1)
    restarts: int | None = Field(None, ge=1)
    shared: bool | None = None
    lr: float | None = Field(None, gt=0)


_REASONS = {
    "target": "choose predicted, label, runner-up (of audits) or a class number",
    "factor": "choose from target, non-target, none",
    "keep_steps": "give a number of images, all or none",
    "batch_size": "give a number from 1, or auto",
    "scales": "give numbers above 0, such as 0.1,0.3,1",
}
"""What to say of a setting where pydantic's own words would not help."""


Config = TypeVar("Config", bound=BaseModel)


def validated(kind: type[Config], settings: Mapping[str, Any]) -> Config:
    """A configuration of some kind from settings of any origin.

    Raises:
        HeatliftError: an unknown or impossible setting, in one line.
    """
    try:
        return kind(**settings)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        reasons = _REASONS if issubclass(kind, RunConfig) else {}
        said = first["msg"].lower()
        if first["type"] == "literal_error":
            said = f"choose {first['ctx']['expected'].replace(chr(39), '')}"
        reason = reasons.get(name, said)
        raise HeatliftError(f"--{name.replace('_', '-')} {first['input']!r}: {reason}") from error


def configured(**settings: Any) -> AuditConfig:
    """An audit's configuration from settings of any origin.

    Raises:
        HeatliftError: an unknown, repeated or impossible setting, in one line.
    """
    config = validated(AuditConfig, settings)
    for option, names in (
        ("methods", config.methods),
        ("controls", config.controls),
        ("operations", config.operations),
        ("scales", tuple(f"{scale:g}" for scale in config.scales)),
        ("indicator", config.indicators),
    ):
        repeated = {name for name in names if names.count(name) > 1}
        if repeated:
            raise HeatliftError(f"--{option}: {', '.join(sorted(repeated))} is given more than once")
    for scale in config.scales:
        if float(f"{scale:.4g}") != scale:
            raise HeatliftError(f"--scales {scale!r}: give at most four digits, such as {scale:.4g}")
    for name in config.indicators:
        indicator_named(name)
    for name in config.methods:
        method_named(name)
    for name in config.controls:
        if name not in CONTROLS:
            raise HeatliftError(f"unknown control '{name}': choose from {', '.join(CONTROLS)}")
    if not config.methods:
        raise HeatliftError(f"no method to audit: choose from {', '.join(METHODS)}")
    if not config.operations:
        raise HeatliftError("no operation: choose add, multiply or both")
    if not config.scales:
        raise HeatliftError("no scale: give numbers above 0, such as 0.1,0.3,1")
    return config


def loaded(config: RunConfig) -> Classifier:
    """The network that a run is about.

    Raises:
        HeatliftError: it can't be loaded; or there are no images, which is said before that takes its time.
    """
    data = local_or_url(config.data)
    if isinstance(data, Path) and not data.exists():
        raise HeatliftError(f"no such file or folder: {config.data}")
    return load(
        config.model,
        config.weights,
        num_classes=config.num_classes,
        classes=read_classes(Path(config.classes)) if config.classes else None,
        mean=config.mean,
        std=config.std,
        size=config.size,
        resize=config.resize,
        seed=config.seed,
        precision=config.precision,
    )


def shards(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    """Cut items into slices of nearly equal length, none longer than ``size``.

    Nearly equal, so that no slice is left with a single image: the shuffled control needs a second.
    """
    count = -(-len(items) // size)
    return [items[len(items) * k // count : len(items) * (k + 1) // count] for k in range(count)]


def differences(before: Any, now: Any, prefix: str = "") -> list[str]:
    """What differs between two records of plain values, one line each: ``setting: was 1, is 2``."""
    if isinstance(before, dict) and isinstance(now, dict):
        found = []
        for key in [*before, *(k for k in now if k not in before)]:
            found += differences(before.get(key), now.get(key), f"{prefix}.{key}".lstrip("."))
        return found
    if before == now:
        return []
    return [f"{prefix.replace('_', ' ')}: was {_brief(before)}, is {_brief(now)}"]


def _brief(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
