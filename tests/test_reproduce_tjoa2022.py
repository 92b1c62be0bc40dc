"""Tjoa 2022's figures, table and claims from runs of small networks, and their mathematics by other ways."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import rankdata, spearmanr
from sklearn.metrics import roc_auc_score
from torch import nn

from heatlift import Classifier
from heatlift.ranking import FloatArray
from heatlift.report.lift_outcomes import Outcome
from heatlift.reproduce import tjoa2022
from heatlift.reproduce.networks import Pair
from heatlift.reproduce.parts import Part, Reproduction
from heatlift.reproduce.request import Request
from heatlift.reproduce.tjoa2022 import gaps, paired, training
from heatlift.reproduce.tjoa2022 import stages as rooms
from heatlift.reproduce.tjoa2022.gaps import upper
from heatlift.reproduce.tjoa2022.kept import Kept
from heatlift.reproduce.tjoa2022.layers import deeper
from heatlift.reproduce.tjoa2022.paired import differences
from heatlift.reproduce.tjoa2022.pixels import correlations
from heatlift.reproduce.tjoa2022.toy import PANELS, in_pi
from heatlift.run import summary
from heatlift.run.columns import PairScores, read_predictions, read_scores
from heatlift.run.tables import read_table
from runs import Invented, write_run

TOY = ("figure-1", "figure-6")
ONLY_XRAYS = ("table-1", "figure-2", "claim-better-trained")


def two_classes() -> Classifier:
    """A quick network with two outputs, for the X-rays."""
    torch.manual_seed(5)
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
    pair = Pair("ResNet-34", "test_reproduce_tjoa2022:two_classes", "")
    budget = training.Budget(least=4, most=12, look=4)
    monkeypatch.setattr(
        training,
        "NETWORKS",
        tuple(replace(network, architecture=pair, budget=budget) for network in training.NETWORKS),
    )
    monkeypatch.setattr(rooms, "NETWORKS", training.NETWORKS)
    monkeypatch.setattr(training, "SIZE", 24)
    monkeypatch.setattr(rooms, "KEPT", 3)
    monkeypatch.setattr(rooms, "STEPS", 6)
    for module in (summary, gaps, paired):
        monkeypatch.setattr(module, "RESAMPLES", 40)
    return folders


def reproduced(out: Path, data: Path, *only: str, xrays: bool = False) -> Reproduction:
    photographs, chest = data / "photographs", data / "xrays"
    if not photographs.exists():
        _pictures(photographs, {"a": 5, "b": 5, "c": 5}, 1)
        _pictures(chest / "train", {"NORMAL": 10, "PNEUMONIA": 20}, 2)
        _pictures(chest / "test", {"NORMAL": 6, "PNEUMONIA": 9}, 3)
    request = Request(
        out, str(photographs), str(chest) if xrays else None, only=only, batch_size=8, precision="fp32"
    )
    return tjoa2022.reproduce(request, quiet)


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
    assert any("X-rays: not run" in words for words in parts["figure-5"].differs)

    # All runs are there: the same request measures the same.
    again = reproduced(out, tmp_path, "figure-4", "claim-negative-values")
    assert [part.lines for part in again.parts] == [parts[p.anchor].lines for p in again.parts]


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
def test_xrays_are_trained_on_and_audited(tmp_path: Path) -> None:
    out = tmp_path / "out"
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
    assert any("240,000" in words for words in table.differs)
    for place, run in enumerate(table.runs):
        assert (out / run / "weights.safetensors").is_file()
        assert run == f"networks/{training.NETWORKS[place].name}"
    assert "too few images to compare" in found["figure-2"].title
    assert len([line for line in found["figure-2"].lines if line.printed == "above 0"]) == 6
    assert {"runs/xray-first-gax", "runs/imagenet-first-gax"} == set(found["claim-extreme-intensities"].runs)
    config = json.loads((out / "runs" / "xray-first-gax" / "run.json").read_text(encoding="utf-8"))["config"]
    assert config["bias"] == 0.01  # as printed


def test_a_folder_without_test_images_is_named(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    request = Request(tmp_path / "out", chest_xray=str(tmp_path))
    with pytest.raises(Exception, match=r"has no test/, give a folder with train/ and test/"):
        training.trained(request, 0, quiet)


def test_the_difference_of_gaps_is_that_of_medians_and_its_auroc_sklearns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paired, "RESAMPLES", 100)
    first = write_run(tmp_path / "first", Invented(images=90, wrong=30))
    second = write_run(tmp_path / "second", Invented(images=70, wrong=20))
    found = differences(first, second, seed=0)
    assert set(found) == {"saliency/add", "saliency/multiply", "deeplift/add", "deeplift/multiply"}
    for name, (widths, aurocs) in found.items():
        own = [_rows(run, name) for run in (first, second)]
        common = own[0].keys() & own[1].keys()
        assert widths.n == len(common)
        gap, auroc = [], []
        for rows in own:
            scores = np.array([rows[image][0] for image in sorted(common)])
            right = np.array([rows[image][1] for image in sorted(common)])
            gap.append(np.median(scores[right]) - np.median(scores[~right]))
            auroc.append(roc_auc_score(right, scores))
        assert widths.value == pytest.approx(gap[0] - gap[1])
        assert aurocs.value == pytest.approx(auroc[0] - auroc[1])
        assert widths.low is not None
        assert widths.high is not None
        assert widths.low < widths.value < widths.high
    for widths, aurocs in differences(first, first, seed=0).values():
        assert (widths.value, widths.low, widths.high) == (0, 0, 0)
        assert (aurocs.value, aurocs.low, aurocs.high) == (0, 0, 0)


def _rows(run: Path, name: str) -> dict[str, tuple[float, bool]]:
    """The label's CO score of every usable image, and whether it was predicted correctly."""
    right = {row["image"]: row["correct"] for row in read_table(run, "predictions").to_pylist()}
    method, operation = name.split("/")
    return {
        row["image"]: (row["co_label"], right[row["image"]])
        for row in read_table(run, "scores").to_pylist()
        if (row["method"], row["operation"], row["status"]) == (method, operation, "ok")
    }


def test_upper_ends_are_numpys_percentiles(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", summarised=False)
    for pair in read_scores(run, read_predictions(run)):
        figure = upper(pair, seed=0)
        assert figure.value == pytest.approx(np.percentile(pair.co_label[pair.ok], 95))
        assert figure.low is not None
        assert figure.high is not None
        assert figure.low <= figure.value <= figure.high


def _at_layers(scores: FloatArray) -> list[PairScores]:
    """Invented scores (layers, images) as those of a method at one layer after the other."""
    n = scores.shape[1]
    ok, classes = np.ones(n, dtype=bool), np.zeros(n, dtype=np.int64)
    return [
        PairScores(f"layer_gradcam@{i}", "add", False, 1.0, ok, {}, row, row, row, classes, row)
        for i, row in enumerate(scores)
    ]


def test_depth_is_spearmans_correlation_averaged_over_images() -> None:
    scores = np.random.default_rng(4).normal(size=(5, 40)).round(1)
    expected = [spearmanr(np.arange(5), scores[:, image]).statistic for image in range(40)]
    assert deeper(_at_layers(scores)).value == pytest.approx(np.mean(expected))
    rising = np.arange(4.0)[:, None] ** 3 + np.zeros((4, 6))
    assert deeper(_at_layers(rising)).value == pytest.approx(1)
    assert deeper(_at_layers(rising[:2])).value is None


def _kept(pixels: FloatArray, heatmap: FloatArray, bias: float | None) -> Kept:
    nothing = dict.fromkeys(Outcome.__dataclass_fields__)
    return Kept(Path(), Outcome(**nothing | {"image": "a"}), pixels, heatmap, bias, {})  # type: ignore[arg-type]


@pytest.mark.parametrize("bias", [None, 0.01])
def test_the_shuffled_control_hands_the_same_moves_to_other_pixels(bias: float | None) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.uniform(0.05, 1, (3, 20, 20))
    moves = rng.normal(0, 0.4, pixels.shape)
    # With a bias Adam moves w and b alike.
    inner = (1 + moves) * pixels + (0 if bias is None else bias + moves)
    one = _kept(pixels, np.tanh(inner), bias)
    shuffled = np.arctanh(one.shuffled(3))
    found = (shuffled - pixels - (bias or 0)) / (pixels + (bias is not None))
    np.testing.assert_allclose(np.sort(found, axis=None), np.sort(moves, axis=None), atol=1e-9)
    assert np.abs(found - moves).max() > 0.1
    np.testing.assert_allclose(_kept(pixels, one.start, bias).shuffled(3), one.start, atol=1e-12)


def test_black_pixels_stay_as_they_are_without_a_bias() -> None:
    pixels = np.zeros((3, 8, 8))
    pixels[:, 4:] = 0.6
    one = _kept(pixels, np.tanh(1.5 * pixels), None)
    np.testing.assert_allclose(one.shuffled(0), one.heatmap, atol=1e-12)


def test_correlations_are_ranks_of_extremeness() -> None:
    pixels = np.random.default_rng(1).uniform(size=(3, 16, 16))
    # h - x grows with |x - 0.5|, whatever its sign
    found = correlations(_kept(pixels, pixels + 0.2 * (pixels - 0.5), None), seed=0)
    assert found["optimised"] == pytest.approx(1)
    ranks = [rankdata(each, axis=None) for each in (np.abs(np.tanh(pixels) - pixels), np.abs(pixels - 0.5))]
    assert found["start"] == pytest.approx(np.corrcoef(*ranks)[0, 1])


def test_angles_are_written_in_lowest_terms() -> None:
    assert [in_pi(n) for n in (-4, -2, -1, 0, 1, 2, 3, 4, 6, 8)] == [
        "−π", "−π/2", "−π/4", "0", "π/4", "π/2", "3π/4", "π", "3π/2", "2π",
    ]  # fmt: skip
    assert [a1 > a2 for _, a1, a2 in PANELS] == [True] * 3
