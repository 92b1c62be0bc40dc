"""Table 1 of Tjoa 2022: how right the networks are that were fine-tuned on chest X-rays."""

from __future__ import annotations

from heatlift.report.known import known_figure
from heatlift.report.wording import value_text
from heatlift.reproduce.enough import too_few
from heatlift.reproduce.parts import Line, Part
from heatlift.reproduce.tjoa2022.stages import NO_XRAYS, Stages, differing
from heatlift.reproduce.tjoa2022.training import NETWORKS, Taught, Trained


def table_1(stages: Stages) -> Part:
    """Table 1: accuracy, precision and recall on the test images."""
    claim = (
        "Fine-tuned until a validation accuracy of 0.99, ResNet-34 is right on 0.800 of the test images; "
        "stopped at 0.8, on 0.636; AlexNet, stopped at 0.8, on 0.745."
    )
    shown = [stages.on_xrays(place) for place in range(len(NETWORKS))]
    if None in shown:
        return Part("table-1", "Table 1", NO_XRAYS, claim)
    lines, told, n = [], [], 0
    for place, network in enumerate(NETWORKS):
        taught = stages.taught[place]
        lines += _lines(network, taught)
        accuracy = known_figure((taught.metrics["test"] or {}).get("accuracy"))
        told.append(f"{taught.told} {value_text(accuracy)}")
        n = accuracy.n if accuracy is not None else 0
    return Part(
        "table-1",
        "Table 1",
        f"Accuracy on the test images: {', '.join(told)}{too_few(n)}",
        claim,
        tuple(lines),
        differs=differing(
            (network.printed, stages.taught[place].differs) for place, network in enumerate(NETWORKS)
        ),
        runs=tuple(one.folder for one in shown if one is not None),
    )


def _lines(network: Trained, taught: Taught) -> list[Line]:
    metrics = taught.metrics
    test = metrics["test"] or {}
    words = {"precision": f" of {test.get('positive', 'the second class')}", "recall": " of the same"}
    lines = [
        Line(f"{taught.told}: {name}{words.get(name, '')}, test images", printed, test.get(name))
        for name, printed in network.figures.items()
    ]
    reached = "" if metrics["reached"] else "not reached: the best look since the least iterations"
    printed = f"{network.until:g}"
    return [
        *lines,
        Line(f"{taught.told}: validation accuracy", printed, metrics["val_accuracy"], reached),
    ]
