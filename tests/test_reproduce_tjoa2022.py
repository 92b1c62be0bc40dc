"""Tjoa 2022's figures, table and claims from runs of small networks."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from heatlift import Classifier
from heatlift.cli import run
from heatlift.reproduce import tjoa2022
from heatlift.reproduce.networks import Pair, Used
from heatlift.reproduce.parts import Part, Reproduction
from heatlift.reproduce.request import Request
from heatlift.reproduce.tjoa2022 import gaps, paired, table_1, training
from heatlift.reproduce.tjoa2022 import stages as rooms
from heatlift.reproduce.tjoa2022.kept import Kept
from heatlift.run import summary
from heatlift.run.tables import read_table

TOY = ("figure-1", "figure-6")
ONLY_XRAYS = ("table-1", "figure-2", "claim-better-trained")


def two_classes(seed: int) -> Classifier:
    """A quick network with two outputs, for the X-rays."""
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2),
        nn.ReLU(),
        nn.Conv2d(6, 8, 3, stride=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 2),
    )
    return Classifier(network, size=24, name="two")


def first_of_three() -> Classifier:
    return two_classes(6)


def second_of_three() -> Classifier:
    return two_classes(9)


def third_of_three() -> Classifier:
    return two_classes(15)


def quiet(done: int, total: int, step: str) -> None:
    """No display."""


def _pictures(folder: Path, classes: dict[str, int], seed: int) -> Path:
    """Class folders of noise on a grey that each class has its own of, so that some are told apart."""
    draw = np.random.default_rng(seed)
    for place, (name, count) in enumerate(classes.items()):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            grey = 70 + 50 * place + draw.normal(0, 25)
            pixels = np.clip(draw.normal(grey, 40, (28, 28, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Small networks in place of the paper's, and few images; the runs of which a report was asked for.

    Reports have tests of their own, and take longer than all else here.
    """
    folders: set[str] = set()
    monkeypatch.setattr(rooms, "write_report", lambda folder: folders.add(f"runs/{folder.name}"))
    monkeypatch.setattr(
        rooms,
        "PAIRS",
        (Pair("ResNet-34", "networks:small", "demo"), Pair("AlexNet", "networks:small", "demo")),
    )
    # Each of them another, so that no figure of one can pass for that of another.
    own = {"first_of_three": 12, "second_of_three": 8, "third_of_three": 12}
    monkeypatch.setattr(
        training,
        "NETWORKS",
        tuple(
            replace(
                network,
                architecture=Pair(network.architecture.printed, f"test_reproduce_tjoa2022:{name}", ""),
                budget=training.Budget(least=4, most=most, look=4),
            )
            for network, (name, most) in zip(training.NETWORKS, own.items(), strict=True)
        ),
    )
    for module in (rooms, table_1):
        monkeypatch.setattr(module, "NETWORKS", training.NETWORKS)
    monkeypatch.setattr(training, "SIZE", 24)
    monkeypatch.setattr(rooms, "KEPT", 3)
    monkeypatch.setattr(rooms, "STEPS", 6)
    for module in (summary, gaps, paired):
        monkeypatch.setattr(module, "RESAMPLES", 40)
    return folders


def reproduced(out: Path, data: Path, *only: str, xrays: bool = False, **settings: Any) -> Reproduction:
    photographs, chest = data / "photographs", data / "xrays"
    if not photographs.exists():
        _pictures(photographs, {"a": 5, "b": 5, "c": 5}, 1)
        _pictures(chest / "train", {"NORMAL": 10, "PNEUMONIA": 20}, 2)
        _pictures(chest / "test", {"NORMAL": 6, "PNEUMONIA": 9}, 3)
    asked = {"batch_size": 8, "precision": "fp32"} | settings
    request = Request(out, str(photographs), str(chest) if xrays else None, only=only, **asked)
    return tjoa2022.reproduce(request, quiet)


def config(out: Path, run: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "runs" / run / "run.json").read_text(encoding="utf-8"))
    return dict(found["config"])


def by_anchor(found: Reproduction) -> dict[str, Part]:
    return {part.anchor: part for part in found.parts}


def value(part: Part, words: str) -> float | None:
    (line,) = (line for line in part.lines if words in line.what)
    assert line.measured is not None
    found = line.measured["value"]
    return None if found is None else float(found)


def test_everything_that_needs_no_xrays_is_measured_and_goes_on(reported: set[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = reproduced(out, tmp_path)
    parts = by_anchor(found)
    assert tuple(parts) == tjoa2022.PARTS
    for anchor, part in parts.items():
        assert part.title
        assert part.claim
        if anchor in ONLY_XRAYS:
            assert "--chest-xray" in part.title
            assert not part.lines
            continue
        assert part.lines, anchor
        assert all(line.measured is None or line.measured["n"] is not None for line in part.lines)
        assert anchor in TOY or part.runs, anchor
        assert set(part.runs) <= reported
        for drawing in part.drawings:
            assert drawing.svg.startswith("<svg")
            assert drawing.caption
    identities = [
        each for part in found.parts for one in part.drawings for each in re.findall(r'id="([^"]+)"', one.svg)
    ]
    assert len(identities) == len(set(identities))

    _counts_of_figure_4(parts["figure-4"], out)
    for anchor in ("figure-4", "claim-extreme-intensities"):
        assert "too few to conclude anything)" in parts[anchor].title
    _nothing_is_said_of_a_gap(parts["claim-gap"])
    # Of its figure the paper says only that "some scores" show gaps.
    assert not [line for line in parts["figure-7"].lines if line.printed is not None]
    assert any("x ∗ h" in words for words in parts["figure-7"].differs)
    assert any("X-rays: not run" in words for words in parts["figure-5"].differs)

    # All runs are there: the same request measures the same.
    again = reproduced(out, tmp_path, "figure-4", "claim-negative-values")
    assert [part.lines for part in again.parts] == [parts[p.anchor].lines for p in again.parts]


def _nothing_is_said_of_a_gap(part: Part) -> None:
    assert part.title.startswith("Too few images to compare correct with wrong: ")
    assert part.lines
    assert all(line.measured is None and line.printed is None for line in part.lines)


def _counts_of_figure_4(part: Part, out: Path) -> None:
    """Against the run's own table of steps."""
    steps = read_table(out / "runs" / "imagenet-first-gax", "evolutions", ["image", "step", "co"]).to_pylist()
    ways: dict[str, list[tuple[int, float]]] = {}
    for row in steps:
        ways.setdefault(row["image"], []).append((row["step"], row["co"]))
    soon = [any(co >= 48 and step <= 50 for step, co in way) for way in ways.values()]
    lines = [line for line in part.lines if "within 50 steps" in line.what]
    assert lines[0].measured is not None
    assert lines[0].measured["value"] == pytest.approx(np.mean(soon))
    assert lines[0].measured["n"] == len(ways)


@pytest.mark.usefixtures("reported")
def test_xrays_are_trained_on_and_audited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    monkeypatch.setattr(paired, "ENOUGH", 2)
    found = by_anchor(
        reproduced(
            out,
            tmp_path,
            "table-1",
            "figure-2",
            "claim-better-trained",
            "claim-extreme-intensities",
            xrays=True,
        )
    )
    table = found["table-1"]
    printed = {line.printed for line in table.lines}
    assert {"0.800", "0.757", "1.000", "0.636", "0.632", "0.745", "0.726", "0.951"} <= printed
    predictions = read_table(out / "runs" / "xray-first-audit", "predictions").to_pylist()
    right = [row["predicted"] == row["label"] for row in predictions]
    assert value(table, "Resnet34_1: accuracy") == pytest.approx(np.mean(right))
    ill = [row for row in predictions if row["label"] == 1]
    assert value(table, "Resnet34_1: recall") == pytest.approx(
        np.mean([row["predicted"] == 1 for row in ill])
    )
    _the_three_are_told_apart(table, found["claim-better-trained"], out)
    assert any("240,000" in words for words in table.differs)
    assert training.LAYERS in table.differs
    for place, folder in enumerate(table.runs):
        assert (out / folder / "weights.safetensors").is_file()
        assert folder == f"networks/{training.NETWORKS[place].name}"
    assert "too few images to compare" in found["figure-2"].title
    assert len([line for line in found["figure-2"].lines if line.printed == "above 0"]) == 6
    assert {"runs/xray-first-gax", "runs/imagenet-first-gax"} == set(found["claim-extreme-intensities"].runs)
    assert config(out, "xray-first-gax")["bias"] == 0.01  # as printed


def _the_three_are_told_apart(table: Part, better: Part, out: Path) -> None:
    """Each line of table 1 is its own network's, and the gaps are the first network's less the second's."""
    measures = {}
    for network in training.NETWORKS:
        path = out / "networks" / network.name / "metrics.json"
        test = measures[network.printed] = json.loads(path.read_text(encoding="utf-8"))["test"]
        for name, printed in network.figures.items():
            assert value(table, f"{network.printed}: {name}") == test[name]["value"]
            (line,) = (line for line in table.lines if f"{network.printed}: {name}" in line.what)
            assert line.printed == printed
    for name in ("accuracy", "precision", "recall"):
        assert len({test[name]["value"] for test in measures.values()}) == 3
    gaps_ = []
    for name in ("xray-first-audit", "xray-second-audit"):
        audit = out / "runs" / name
        right = {row["image"]: row["correct"] for row in read_table(audit, "predictions").to_pylist()}
        scores: dict[bool, list[float]] = {True: [], False: []}
        for row in read_table(audit, "scores").to_pylist():
            if (row["method"], row["operation"]) == ("saliency", "add"):
                scores[right[row["image"]]].append(row["co_label"])
        gaps_.append(np.median(scores[True]) - np.median(scores[False]))
    less = value(better, "saliency/add: gap of Resnet34_1 less Resnet34_sub")
    assert less == pytest.approx(gaps_[0] - gaps_[1])
    assert less != 0
    # The paper compares figures of x + h.
    assert {line.what.partition(":")[0].endswith("/add") for line in better.lines if line.printed} == {True}


@pytest.mark.usefixtures("reported")
def test_a_limit_replaces_the_numbers_of_images_and_the_seed_is_everywhere_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rooms, "LIFTED", 2)
    seeds, shuffled = set(), Kept.shuffled
    monkeypatch.setattr(Kept, "shuffled", lambda kept, seed: [seeds.add(seed), shuffled(kept, seed)][1])
    out = tmp_path / "out"
    found = reproduced(out, tmp_path, "figure-4", "claim-extreme-intensities", limit=14, seed=3)
    assert config(out, "imagenet-first-gax")["limit"] == 14
    assert found.settings["images of a run, at most"] == 14
    assert seeds == {3}


@pytest.mark.usefixtures("reported")
def test_without_labels_nothing_is_concluded_that_needs_them(tmp_path: Path) -> None:
    _pictures(tmp_path, {"photographs": 6}, 1)
    out = tmp_path / "out"
    (ten,) = reproduced(out, tmp_path, "claim-around-ten").parts
    assert ten.title == rooms.NO_LABELS
    assert not ten.lines
    assert not (out / "runs").exists()
    parts = by_anchor(reproduced(out, tmp_path, "claim-gap", "claim-around-ten", "figure-4"))
    _nothing_is_said_of_a_gap(parts["claim-gap"])
    assert parts["claim-around-ten"] == ten
    told = " ".join(parts["figure-4"].differs)
    assert "no label says which are predicted correctly" in told
    assert "as in the paper" not in told


def test_the_command_makes_a_page_of_some_parts(
    reported: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, photographs = tmp_path / "out", _pictures(tmp_path / "photographs", {"a": 3, "b": 3, "c": 3}, 1)
    chosen = ["--only", "figure-6,claim-around-ten,figure-1", "--limit", "6", "--precision", "bf16"]
    assert run(["reproduce", "tjoa2022", "--imagenet", str(photographs), "--out", str(out), *chosen]) == 0
    said = capsys.readouterr().out
    assert "Figure 1: Not rotated" in said
    assert f"report: {out / 'report.html'}" in said
    content = json.loads((out / "reproduction.json").read_text(encoding="utf-8"))
    assert [part["anchor"] for part in content["parts"]] == ["figure-1", "claim-around-ten", "figure-6"]
    assert reported == {"runs/imagenet-first-audit"}
    # Whatever heatmaps are optimised in, figures are measured in float32.
    assert config(out, "imagenet-first-audit")["precision"] == "fp32"


@pytest.mark.usefixtures("reported")
@pytest.mark.parametrize("gpu", [False, True])
@pytest.mark.parametrize("limit", [None, 5, 10_000])
def test_training_has_the_precision_asked_for_and_is_shortened_by_small_limits_alone(
    limit: int | None, gpu: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipes = []
    ended = {"iterations": 1, "ended": "so"}
    monkeypatch.setattr(
        "heatlift.finetune.training.finetune", lambda recipe, *_: (recipes.append(recipe), ended)[1]
    )
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(training, "used", lambda pair: Used(pair.printed, pair.spec, "small"))
    for part in ("train", "test"):
        _pictures(tmp_path / part, {"NORMAL": 2, "PNEUMONIA": 2}, 0)
    request = Request(tmp_path / "out", chest_xray=str(tmp_path), precision="bf16", limit=limit)
    training.trained(request, 0, quiet)
    most = 5 if limit == 5 else 240_000 if gpu else 12
    assert [(one.precision, one.max_iterations) for one in recipes] == [("bf16", most)]
