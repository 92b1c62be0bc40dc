"""What the commands that optimise something for each image have in common: to run, report and say it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heatlift.cli import options

if TYPE_CHECKING:
    from heatlift.run.optimising import Config, Prepared
    from heatlift.run.work import Engine


def run_and_report(
    config: Config,
    prepare: Callable[[Config, list[str]], Prepared[Config]],
    run: Callable[[Prepared[Config], Path, Any, Engine], dict[str, Any]],
    out: str | Path,
    done: str,
    engine: Engine | None = None,
) -> int:
    """Run it, write its report and print what was found; returns the exit status.

    Args:
        config: the settings.
        prepare: loads networks and images, given the command line.
        run: does what is missing of the run, given its folder and who hears of it.
        out: the run's folder or address.
        done: what an image with a result has been, such as ``masked``.
        engine: does the shards; by default this process.
    """
    from heatlift.cli import progress
    from heatlift.report import write_report
    from heatlift.run.local import run_shards
    from heatlift.run.place import placed

    prepared = prepare(config, ["heatlift", *sys.argv[1:]])
    classifier = prepared.networks.classifier
    print(f"{classifier.name}: {classifier.num_classes} classes, {len(prepared.items)} images")
    options.by_order(prepared.data.by_order, classifier.classes)
    unlabelled = sum(item.label is None for item in prepared.items)
    if config.target == "label" and unlabelled:
        which = "no labels" if unlabelled == len(prepared.items) else f"{unlabelled} images without a label"
        print(f"{which}: there the class that is predicted is raised")
    with placed(out, engine or run_shards) as place:
        with progress.shown() as shown:
            summary = run(prepared, place.folder, shown, place.engine)
        report = place.shown(write_report(place.folder))
    counts, pace = summary["counts"], summary["run"]["images_per_second"]
    print(f"\n{summary['verdict']}\n")
    reached = f", {counts['reached']} reached" if "reached" in counts else ""
    left = f"{counts['failed']} not {done}{options.reasons(counts['failures'])}"
    print(f"images: {counts['ok']} {done}{reached}, {left}")
    if pace:
        print(f"pace: {pace:.2f} images per second")
    if engine is not None:
        options.who_did_what(engine)
    print(f"report: {report}")
    if not counts["ok"]:
        print(f"heatlift: no image could be {done}: see the reasons above", file=sys.stderr)
    return 0 if counts["ok"] else 1
