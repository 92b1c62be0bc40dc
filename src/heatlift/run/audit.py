"""An audit from its configuration to a finished folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import heatlift
from heatlift.applicability import certificate, noise, tried
from heatlift.classifier import Classifier
from heatlift.controls import CONTROLS
from heatlift.data import Dataset, Item, find_images
from heatlift.errors import HeatliftError
from heatlift.indicators import Indicator, indicator_named, try_out
from heatlift.method import Request
from heatlift.portions import LARGEST, Portions
from heatlift.registry import expanded, requested
from heatlift.run import plan, sameness
from heatlift.run.examples import write_examples
from heatlift.run.folder import NOT_BEGUN, go_on, opened, started
from heatlift.run.local import run_shards
from heatlift.run.plan import AuditConfig
from heatlift.run.record import package_versions, write_json
from heatlift.run.shard import ShardAudit
from heatlift.run.summary import write_summary
from heatlift.run.tables import FORMAT
from heatlift.run.work import Engine, Progress
from heatlift.storage import whole_address
from heatlift.weights import weights_digest


@dataclass(frozen=True)
class Audit:
    """An audit that can start: everything that could be wrong with its inputs has been checked.

    Attributes:
        config: the settings.
        classifier: the network, loaded.
        data: all images found.
        items: those that are audited, in order.
        requests: the methods that apply to the network.
        certificates: by method, what showed that it applies.
        refused: the methods that do not, with the reason.
        stages: by the name of each request that is one stage of several, in the order of the stages, the
            method that it is a stage of.
        indicators: of the user's own.
        command: the command line, for the record.
    """

    config: AuditConfig
    classifier: Classifier
    data: Dataset
    items: Sequence[Item]
    requests: Sequence[Request]
    certificates: Mapping[str, Mapping[str, Any]]
    refused: Mapping[str, str]
    stages: Mapping[str, str]
    indicators: Sequence[Indicator]
    command: Sequence[str]


def prepare(config: AuditConfig, command: Sequence[str] = ()) -> Audit:
    """Load the network, find the images and try every method once on noise.

    Raises:
        HeatliftError: whatever stands in the way of the audit, in one line.
    """
    classifier = plan.loaded(config)
    data = find_images(config.data, classifier.num_classes, classifier.classes)
    items = data.shuffled(config.seed)[: config.limit]
    if isinstance(config.target, int) and not 0 <= config.target < classifier.num_classes:
        raise HeatliftError(
            f"--target {config.target}: the network has classes 0 to {classifier.num_classes - 1}"
        )
    if config.target == "label" and any(item.label is None for item in items):
        raise HeatliftError(f"--target label: some images of {config.data} have no label")
    indicators = [indicator_named(name) for name in config.indicators]
    try_out(indicators, classifier, noise(classifier, 3, config.seed))
    names, stages = expanded(classifier, config.methods)
    trials = tried(classifier, names, noise(classifier, 1, config.seed), config.space, config.seed)
    refused = {
        trial.name: f"{trial.name} does not apply to {classifier.name}: {trial.why_not}"
        for trial in trials
        if trial.why_not is not None
    }
    certificates = {trial.name: certificate(trial) for trial in trials if trial.why_not is None}
    requests = [trial.request for trial in trials if trial.request is not None and trial.why_not is None]
    if not requests:
        raise HeatliftError("none of the methods applies: " + "; ".join(refused.values()))
    return Audit(
        config, classifier, data, items, requests, certificates, refused, stages, indicators, command
    )


def loaded_work(
    config: AuditConfig, names: Sequence[str], expected: Mapping[str, Any], size: int, folder: Path
) -> ShardAudit:
    """What an audit does to images, in a process of its own: a `Job`, given all but the last argument.

    Args:
        config: the settings.
        names: of the methods that apply to the network.
        expected: what `sameness.on_record` gave where the run is handed out.
        size: how many images go at a time.
        folder: the run's; audits keep nothing in it while they go through the images.

    Raises:
        HeatliftError: the network can't be loaded, or something is not as it is there.
    """
    classifier = plan.loaded(config)
    requests = [requested(classifier, name, seed=config.seed) for name in names]
    indicators = [indicator_named(name) for name in config.indicators]
    sameness.check(expected, [classifier], _code(requests, indicators))
    return ShardAudit(classifier, requests, config, Portions(size), indicators)


def run(audit: Audit, folder: Path, progress: Progress, engine: Engine = run_shards) -> dict[str, Any]:
    """Do what is missing of an audit in a folder and summarise it; returns the summary.

    Raises:
        HeatliftError: the folder holds something else, or an audit with another configuration.
    """
    with opened(folder, _record(audit)) as record:
        work = ShardAudit(audit.classifier, audit.requests, audit.config, indicators=audit.indicators)
        work.portions = started(
            record, work.rehearse, noise(work.classifier, LARGEST, audit.config.seed), progress
        )
        names = [request.name for request in audit.requests]
        expected, config = sameness.on_record(record), sameness.from_anywhere(audit.config)
        job = partial(loaded_work, config, names, expected, work.portions.size)
        size = audit.config.shard_size
        go_on(folder, record, audit.items, size, work, job, engine, progress, "auditing")
        total = len(audit.items)
        progress(total, total, "choosing examples")
        write_examples(folder, work, audit.items)
        progress(total, total, "figures and intervals")
        summary = write_summary(folder, audit.config.seed)
        write_json(folder / "run.json", record | {"status": "finished"})
        return summary


def _record(audit: Audit) -> dict[str, Any]:
    """What run.json says of an audit that begins."""
    return {
        "format": FORMAT,
        "version": heatlift.__version__,
        "kind": "audit",
        "command": list(audit.command),
        "config": audit.config.model_dump(mode="json"),
        "model": {
            "spec": audit.config.model,
            "weights_digest": weights_digest(audit.classifier.network),
            **audit.classifier.describe(),
        },
        "data": {
            "path": whole_address(audit.config.data),
            "audited": len(audit.items),
            "note": audit.data.note,
            **audit.data.fingerprint(),
        },
        "methods": {
            request.name: {
                "title": request.method.title,
                "source": request.method.source,
                "needs": request.method.needs,
                "layer": request.layer,
                "options": dict(request.options),
                **audit.certificates[request.name],
            }
            for request in audit.requests
        },
        "stages": _stages(audit),
        "code": _code(audit.requests, audit.indicators),
        "controls": {
            name: {"title": CONTROLS[name].title, "shows": CONTROLS[name].shows}
            for name in audit.config.controls
        },
        "refused": dict(audit.refused),
        "packages": package_versions(),
        "status": "running",
        "batch_size": None if audit.config.batch_size == "auto" else audit.config.batch_size,
        "timing": dict(NOT_BEGUN),
    }


def _code(requests: Sequence[Request], indicators: Sequence[Indicator]) -> dict[str, str]:
    """Digests of the user's own methods and indicators, by name."""
    methods = {request.name: request.method.code for request in requests}
    given = methods | {indicator.name: indicator.code for indicator in indicators}
    return {name: code for name, code in given.items() if code is not None}


def _stages(audit: Audit) -> list[dict[str, Any]]:
    """The requests that are stages of the network, in their order; those refused are left out."""
    layers = {request.name: request.layer for request in audit.requests}
    return [
        {"method": name, "base": base, "layer": layer, "size": list(audit.classifier.layers[layer][1:])}
        for name, base in audit.stages.items()
        if (layer := layers.get(name)) is not None
    ]
