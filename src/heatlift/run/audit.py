"""An audit from its configuration to a finished folder."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import heatlift
from heatlift.applicability import certificate, noise, tried
from heatlift.classifier import Classifier
from heatlift.controls import CONTROLS
from heatlift.data import Dataset, Item, find_images
from heatlift.errors import HeatliftError, first_line
from heatlift.method import Request
from heatlift.portions import LARGEST, Portions, good_size
from heatlift.run import plan
from heatlift.run.examples import write_examples
from heatlift.run.local import run_shards
from heatlift.run.plan import AuditConfig
from heatlift.run.record import package_versions, read_record, write_json
from heatlift.run.shard import ShardAudit
from heatlift.run.summary import write_summary
from heatlift.run.tables import FORMAT, parts
from heatlift.weights import weights_digest
from heatlift.zoo import load, read_classes

IDENTITY = ("version", "config", "model", "data", "code", "packages")
"""What must be the same for a run to go on: with anything else the tables would mix two audits."""

SPELLINGS = ("data", "weights", "classes")
"""Settings that are paths: what they lead to is compared, not how they are written."""


class Progress(Protocol):
    """Hears how far a run is."""

    def __call__(self, done: int, total: int, step: str) -> None:
        """``done`` of ``total`` images are through; ``step`` says what is going on."""


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
        command: the command line, for the record.
    """

    config: AuditConfig
    classifier: Classifier
    data: Dataset
    items: Sequence[Item]
    requests: Sequence[Request]
    certificates: Mapping[str, Mapping[str, Any]]
    refused: Mapping[str, str]
    command: Sequence[str]


def prepare(config: AuditConfig, command: Sequence[str] = ()) -> Audit:
    """Load the network, find the images and try every method once on noise.

    Raises:
        HeatliftError: whatever stands in the way of the audit, in one line.
    """
    if not Path(config.data).exists():
        # Said before a network is loaded, which takes seconds.
        raise HeatliftError(f"no such file or folder: {config.data}")
    classifier = load(
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
    data = find_images(config.data, classifier.num_classes, classifier.classes)
    items = data.shuffled(config.seed)[: config.limit]
    if isinstance(config.target, int) and not 0 <= config.target < classifier.num_classes:
        raise HeatliftError(
            f"--target {config.target}: the network has classes 0 to {classifier.num_classes - 1}"
        )
    if config.target == "label" and any(item.label is None for item in items):
        raise HeatliftError(f"--target label: some images of {config.data} have no label")
    image = noise(classifier, 1, config.seed)
    trials = tried(classifier, config.methods, image, config.space, config.seed)
    refused = {
        trial.name: f"{trial.name} does not apply to {classifier.name}: {trial.why_not}"
        for trial in trials
        if trial.why_not is not None
    }
    certificates = {trial.name: certificate(trial) for trial in trials if trial.why_not is None}
    requests = [trial.request for trial in trials if trial.request is not None and trial.why_not is None]
    if not requests:
        raise HeatliftError("none of the methods applies: " + "; ".join(refused.values()))
    return Audit(config, classifier, data, items, requests, certificates, refused, command)


def run(audit: Audit, folder: Path, progress: Progress) -> dict[str, Any]:
    """Do what is missing of an audit in a folder and summarise it; returns the summary.

    Raises:
        HeatliftError: the folder holds something else, or an audit with another configuration.
    """
    record = _opened(audit, folder)
    work = ShardAudit(audit.classifier, audit.requests, audit.config)
    work.portions = Portions(record["batch_size"] or _tried_out(work, progress))
    shards = dict(enumerate(plan.shards(audit.items, audit.config.shard_size)))
    there = parts(folder, "predictions") & parts(folder, "scores")
    left = {number: items for number, items in shards.items() if number not in there}
    total = len(audit.items)
    clock = _Clock(total - sum(map(len, left.values())), record["timing"])
    progress(clock.done, total, "auditing")

    def finished(images: int) -> None:
        # For the sessions that follow: what was found out about memory and pace holds for them, too.
        record["batch_size"] = work.portions.size
        record["timing"] = clock.after(images)
        write_json(folder / "run.json", record)
        progress(clock.done, total, "auditing")

    run_shards(folder, left, work, finished)
    progress(total, total, "choosing examples")
    write_examples(folder, work, audit.items)
    progress(total, total, "figures and intervals")
    summary = write_summary(folder, audit.config.seed)
    write_json(folder / "run.json", record | {"status": "finished"})
    return summary


def _tried_out(work: ShardAudit, progress: Progress) -> int:
    """The number of images at a time that suits the machine."""
    progress(0, 1, "finding a batch size")
    images = noise(work.classifier, LARGEST, work.config.seed)
    return good_size(lambda n: work.rehearse(images[:n]))


@dataclass
class _Clock:
    """Counts images and seconds over all sessions of a run."""

    done: int
    earlier: Mapping[str, float]

    def __post_init__(self) -> None:
        self._start, self._here = time.perf_counter(), 0

    def after(self, images: int) -> dict[str, float]:
        """The run's timing once more images are through."""
        self.done += images
        self._here += images
        seconds = self.earlier["seconds"] + time.perf_counter() - self._start
        count = self.earlier["images"] + self._here
        return {"seconds": seconds, "images": count, "images_per_second": count / seconds}


def _opened(audit: Audit, folder: Path) -> dict[str, Any]:
    """The folder's record: a new one, or that of the same audit begun earlier."""
    new = _record(audit)
    if (folder / "run.json").is_file():
        old = read_record(folder)
        changed = plan.differences(_identity(old), _identity(json.loads(json.dumps(new))))
        if changed:
            raise HeatliftError(
                f"{folder} holds another audit ({'; '.join(changed[:5])}): use another --out or its settings"
            )
        return old
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise HeatliftError(f"{folder} is not empty and not the folder of a run: choose another --out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "run.json", new)
    except OSError as error:
        raise HeatliftError(f"can't write to {folder}: {first_line(error)}") from error
    return new


def _identity(record: dict[str, Any]) -> dict[str, Any]:
    """The part of a record that decides the figures."""
    kept = {key: record.get(key) for key in IDENTITY}
    for part, passed_over in (("config", SPELLINGS), ("data", ("path",))):
        kept[part] = {key: value for key, value in (kept[part] or {}).items() if key not in passed_over}
    return kept


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
            "path": str(Path(audit.config.data).resolve()),
            "audited": len(audit.items),
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
        "code": {r.name: r.method.code for r in audit.requests if r.method.code is not None},
        "controls": {
            name: {"title": CONTROLS[name].title, "shows": CONTROLS[name].shows}
            for name in audit.config.controls
        },
        "refused": dict(audit.refused),
        "packages": package_versions(),
        "status": "running",
        "batch_size": None if audit.config.batch_size == "auto" else audit.config.batch_size,
        "timing": {"seconds": 0.0, "images": 0, "images_per_second": None},
    }
