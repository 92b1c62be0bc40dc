"""Heatmaps that lift an image classifier's confidence: made, measured, and audited.

>>> import heatlift as hl
>>> clf = hl.load("torchvision:resnet18", weights="random", num_classes=2)

Importing this package loads no torch until one of its names is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from heatlift.attribution import attribute as attribute
    from heatlift.attributor import Attribution as Attribution
    from heatlift.augmentation import augment as augment
    from heatlift.augmentation import rescale as rescale
    from heatlift.classifier import Classifier as Classifier
    from heatlift.errors import HeatliftError as HeatliftError
    from heatlift.errors import Refused as Refused
    from heatlift.explaining import explain as explain
    from heatlift.explanation import Explanation as Explanation
    from heatlift.figures import co_per_step as co_per_step
    from heatlift.figures import heatmap_panel as heatmap_panel
    from heatlift.gax import GAX as GAX
    from heatlift.lift import Lift as Lift
    from heatlift.masked import Undesirable as Undesirable
    from heatlift.reading import read as read
    from heatlift.registry import methods as methods
    from heatlift.score import co_score as co_score
    from heatlift.spotlight import Spotlight as Spotlight
    from heatlift.types import Framing as Framing
    from heatlift.undesirable import UndesirablePixels as UndesirablePixels
    from heatlift.zoo import load as load

_HOMES = {
    "Attribution": "attributor",
    "Classifier": "classifier",
    "Explanation": "explanation",
    "Framing": "types",
    "GAX": "gax",
    "HeatliftError": "errors",
    "Lift": "lift",
    "Refused": "errors",
    "Spotlight": "spotlight",
    "Undesirable": "masked",
    "UndesirablePixels": "undesirable",
    "attribute": "attribution",
    "augment": "augmentation",
    "co_per_step": "figures",
    "co_score": "score",
    "explain": "explaining",
    "heatmap_panel": "figures",
    "load": "zoo",
    "methods": "registry",
    "read": "reading",
    "rescale": "augmentation",
}
"""Where each public name lives; it is imported when it is first used."""

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'heatlift' has no attribute '{name}'")
    value = getattr(import_module(f"heatlift.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
