"""How right a network is on labelled images: accuracy, precision and recall with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from heatlift.classifier import Classifier
from heatlift.data import Item
from heatlift.images import batches
from heatlift.statistics import share

AT_A_TIME = 32


def measured(
    classifier: Classifier, items: Sequence[Item], classes: Sequence[str], positive: int | None
) -> dict[str, Any]:
    """Counts of what is predicted of images, and the figures that follow (Tjoa 2022, table 1).

    Args:
        classifier: the network.
        items: labelled images; those without a label or that can't be read are counted, and take no part.
        classes: names of the outputs.
        positive: the class that precision and recall are of; None: they are given for each class alone.

    Returns:
        ``n``, ``failed``, ``confusion`` (rows: the label, columns: the prediction), ``accuracy``,
        ``per_class`` and, for a positive class, ``positive``, ``precision`` and ``recall``; each figure with
        Wilson's interval, null where nothing was predicted of that class, or nothing is of it.
    """
    counts = torch.zeros(len(classes), len(classes), dtype=torch.long)
    failed = sum(item.label is None for item in items)
    labelled = [item for item in items if item.label is not None]
    for batch in batches(labelled, classifier.framing, AT_A_TIME):
        failed += len(batch.failed)
        if len(batch):
            with torch.no_grad():
                predicted = classifier(batch.images).argmax(dim=1).cpu()
            labels = torch.tensor([item.label for item in batch.items])
            counts.index_put_((labels, predicted), torch.ones_like(labels), accumulate=True)
    per_class = {name: _of_class(counts, index) for index, name in enumerate(classes)}
    found: dict[str, Any] = {
        "n": int(counts.sum()),
        "failed": failed,
        "confusion": counts.tolist(),
        "accuracy": share(int(counts.trace()), int(counts.sum())).as_json(),
        "per_class": per_class,
    }
    if positive is not None:
        found |= {"positive": classes[positive], **per_class[classes[positive]]}
    return found


def _of_class(counts: torch.Tensor, index: int) -> dict[str, Any]:
    hits = int(counts[index, index])
    return {
        "precision": share(hits, int(counts[:, index].sum())).as_json(),
        "recall": share(hits, int(counts[index].sum())).as_json(),
    }
