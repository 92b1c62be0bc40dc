"""Whether another process would find the same: one run is of one network and one environment."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import heatlift
from heatlift.classifier import Classifier
from heatlift.errors import HeatliftError
from heatlift.run import plan
from heatlift.run.plan import Config
from heatlift.run.record import package_versions
from heatlift.weights import weights_digest


def on_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """What ``run.json`` says of networks and environment."""
    networks = [record["model"], *record.get("also", ()), record.get("verify")]
    return {
        "heatlift": record["version"],
        "packages": record["packages"],
        "weights": [network["weights_digest"] for network in networks if network is not None],
        "code": record.get("code", {}),
    }


def check(expected: Mapping[str, Any], networks: Sequence[Classifier], code: Mapping[str, str]) -> None:
    """Compare `on_record` with what this process has.

    Args:
        expected: what `on_record` gave where the run is handed out.
        networks: as they were loaded here, in the record's order.
        code: digests of the user's own methods and indicators, by name.

    Raises:
        HeatliftError: something differs; it is named.
    """
    found = {
        "heatlift": heatlift.__version__,
        "packages": package_versions(),
        "weights": [weights_digest(classifier.network) for classifier in networks],
        "code": dict(code),
    }
    differ = plan.differences(dict(expected), found)
    if differ:
        raise HeatliftError(
            f"a worker is not like the process that hands out ({'; '.join(differ[:5])}): "
            "give all of them the same environment, weight files and code"
        )


def from_anywhere(config: Config) -> Config:
    """The configuration with whole paths, for processes that were started in other folders."""
    changed: dict[str, Any] = {}
    for name in plan.PATHS:
        match getattr(config, name, None):
            case str(path):
                changed[name] = _whole(path)
            case tuple(paths):
                changed[name] = tuple(map(_whole, paths))
    for name in ("model", "verify_on"):
        kind, _, place = str(getattr(config, name, None) or "").partition(":")
        if kind == "hf" and Path(place).exists():
            changed[name] = f"hf:{os.path.abspath(place)}"
    return config.model_copy(update=changed)


def _whole(value: str) -> str:
    """A path that leads somewhere; what does not is a word, such as ``default``, or an address."""
    return os.path.abspath(value) if os.path.exists(value) else value
