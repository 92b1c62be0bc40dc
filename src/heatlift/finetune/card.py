"""The model card: what was trained on what, how right it is, and how to use it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from heatlift.errors import shown
from heatlift.finetune.start import Start


def model_card(start: Start, metrics: Mapping[str, Any]) -> str:
    """Markdown for the folder of a training; ``metrics`` as in ``metrics.json``."""
    recipe = start.recipe
    classes = ", ".join(_plain(name) for name in start.classes)
    published = "published weights" if start.named else "the weights that its function gave it"
    begun = {
        "default": published + (" with a new last layer" if start.new else ""),
        "random": "random weights",
    }.get(recipe.weights, "weights of a file")
    images = metrics["images"]
    less = f", less {images['unreadable']} that can't be read" if images["unreadable"] else ""
    spec = shlex.quote(recipe.model)
    lines = [
        "---",
        "library_name: heatlift",
        "pipeline_tag: image-classification",
        "---",
        "",
        f"# {_plain(recipe.model)}, trained for {len(start.classes)} classes",
        "",
        f"Classes, in the order of the outputs: {classes}.",
        "",
        "## How right it is",
        "",
        "| | images | accuracy |" + (" precision | recall |" if start.positive is not None else ""),
        "|---|---|---|" + ("---|---|" if start.positive is not None else ""),
    ]
    for name in ("validation", "test"):
        found = metrics[name]
        if found is not None:
            keys = ("accuracy", "precision", "recall") if start.positive is not None else ("accuracy",)
            cells = " | ".join(_figure(found[key]) for key in keys)
            lines.append(f"| {name} | {found['n']} | {cells} |")
    lines += ["", "With 95% intervals."]
    if start.positive is not None:
        lines += [f"Precision and recall are of {_plain(start.classes[start.positive])}."]
    if metrics["test"] is None:
        lines += ["No test images were given: those of validation decided when to stop, and flatter."]
    lines += [
        "",
        "## How it was trained",
        "",
        f"From {begun}, by Adam (learning rate {recipe.lr:g}, betas {recipe.betas[0]:g} and "
        f"{recipe.betas[1]:g}, no weight decay) on the cross-entropy of {recipe.batch_size} images at a time,"
        f" drawn uniformly from {images['train']}{less}; {images['validation']} were held back. "
        f"{metrics['iterations']} iterations; ended: {metrics['ended']} (validation accuracy "
        f"{recipe.until_val_accuracy:g} wanted, from iteration {recipe.min_iterations} on).",
    ]
    if not metrics["reached"]:
        lines += ["The weights are those with the best validation accuracy from that iteration on."]
    lines += [
        "",
        "## How to use it",
        "",
        "```console",
        f"$ heatlift audit IMAGES --model {spec} --weights weights.safetensors --out RUN",
        "```",
        "",
        "Class names and preprocessing stand in the file itself. `train.csv` and `validation.csv` say which",
        "images were learnt from.",
        "",
    ]
    return "\n".join(lines)


def _figure(figure: Mapping[str, Any]) -> str:
    if figure["value"] is None:
        return "unknown"
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"


def _plain(text: str) -> str:
    """Text of whatever origin in a line of Markdown."""
    return "".join(f"\\{c}" if c in "\\`*_[]<>|#" else c for c in shown(text, 200))
