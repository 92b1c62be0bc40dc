"""Heatmaps applied more or less strongly: what each scale means, and what it costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
import torch
from torch import Tensor

import heatlift as hl
from heatlift.cli import run as cli
from heatlift.images import decode
from heatlift.run.audit import prepare, run
from heatlift.run.plan import configured
from heatlift.run.shard import ShardAudit
from heatlift.temperature import TEMPERATURES
from networks import small
from pictures import class_folders

SCALES = (0.1, 1.0, 2.5)


def audit(folder: Path, data: Path, **settings: Any) -> Any:
    settings = {"methods": ("saliency", "layer_gradcam"), "shard_size": 6} | settings
    config = configured(data=str(data), model="networks:small", **settings)
    run(prepare(config), folder, lambda done, total, step: None)
    return hl.read(folder)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = class_folders(tmp_path_factory.mktemp("data") / "photos", each=3)
    (folder / "ant" / "empty.png").touch()
    return folder


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return audit(tmp_path_factory.mktemp("runs") / "run", data, scales=SCALES)


def test_every_image_has_a_row_at_every_scale(finished: Any) -> None:
    images, pairs = finished.predictions.num_rows, (2 + 4) * 2  # methods, controls, operations
    assert finished.scores.num_rows == images * pairs * len(SCALES)
    assert finished.record["config"]["scales"] == list(SCALES)
    failed = finished.scores.filter(pc.equal(finished.scores["image"], "ant/empty.png"))
    assert failed["scale"].to_pylist() == list(SCALES) * pairs


def test_scores_equal_a_plain_loop(finished: Any, data: Path) -> None:
    clf = small()
    rows = {
        (row["image"], row["method"], row["operation"], row["scale"]): row
        for row in finished.scores.to_pylist()
    }
    for path in sorted(data.glob("bee/*.png")):
        x = clf.normalise(decode(path, clf.framing).unsqueeze(0).float() / 255)
        h = hl.rescale(hl.attribute(clf, clf.denormalise(x), "saliency"))
        with torch.no_grad():
            before = clf(x, "model").double()
            for s in SCALES:
                for operation, augmented in (("add", x + s * h), ("multiply", x * (1 + s * (h - 1)))):
                    after = clf(augmented, "model").double()
                    row = rows[f"bee/{path.name}", "saliency", operation, s]
                    expected = hl.co_score(before, after, before.argmax(dim=1))
                    assert row["co_predicted"] == pytest.approx(float(expected), abs=1e-4)
                    assert row["predicted_after"] == int(after.argmax())


def test_the_zero_control_scores_exactly_zero_at_every_scale(finished: Any) -> None:
    scored = [
        (row["scale"], row["co_predicted"], row["delta_p_predicted"])
        for row in finished.scores.to_pylist()
        if (row["method"], row["operation"], row["status"]) == ("zero", "add", "ok")
    ]
    assert set(scored) == {(scale, 0.0, 0.0) for scale in SCALES}


@pytest.mark.parametrize("operation", ["add", "multiply", lambda x, h: x.sin() * h])
def test_a_scale_goes_a_part_of_the_way(operation: Any) -> None:
    x, h = torch.rand(2, 3, 4, 4), torch.rand(2, 3, 4, 4) - 0.5
    whole = hl.augment(x, h, operation)
    assert torch.equal(hl.augment(x, h, operation, 1.0), whole)
    for s in (0.0, 0.25, 0.8, 3.0):
        torch.testing.assert_close(hl.augment(x, h, operation, s), (1 - s) * x + s * whole)
    torch.testing.assert_close(hl.augment(x, h, "add", 0.3), x + 0.3 * h)
    assert torch.equal(hl.augment(x, torch.zeros_like(x), "add", 0.3), x)


def test_only_the_judging_passes_grow_with_the_scales(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forwards: list[int] = []
    backwards: list[int] = []
    call, grad = hl.Classifier.__call__, torch.autograd.grad

    def counted_call(self: hl.Classifier, images: Tensor, space: Any = "pixel") -> Tensor:
        forwards.append(len(images))
        return call(self, images, space)

    def counted_grad(outputs: Tensor, inputs: Any, *others: Any, **options: Any) -> Any:
        if outputs.ndim == 0:
            backwards.append(len(inputs[0]))
        return grad(outputs, inputs, *others, **options)

    config = configured(data=str(data), model="networks:small", controls=(), scales=SCALES)
    prepared = prepare(config)
    work = ShardAudit(prepared.classifier, prepared.requests, prepared.config)
    monkeypatch.setattr(hl.Classifier, "__call__", counted_call)
    monkeypatch.setattr(torch.autograd, "grad", counted_grad)
    n = len(prepared.items) - 1  # one can't be read
    work(prepared.items)
    # One for the methods, and one for each of six heatmaps, two operations and three scales.
    assert sum(forwards) == (1 + 6 * 2 * 3) * n + 1
    assert sum(backwards) == 4 * n


def test_another_scale_is_another_audit(finished: Any, data: Path) -> None:
    with pytest.raises(hl.HeatliftError, match=r"config\.scales: was 0\.1, 1\.0, 2\.5, is 0\.1"):
        audit(finished.folder, data, scales=(0.1,))


def test_confidence_at_every_temperature_is_kept(finished: Any, data: Path) -> None:
    clf = small()
    assert finished.predictions["log_confidence_at"].null_count == 1
    for row in finished.predictions.to_pylist():
        if row["status"] != "ok":
            assert row["log_confidence_at"] is None
            continue
        x = decode(data / row["image"], clf.framing).unsqueeze(0).float() / 255
        with torch.no_grad():
            logits = clf(x).double()[0]
        expected = [float((logits / t).softmax(dim=0).max().log()) for t in TEMPERATURES]
        assert row["log_confidence_at"] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0", "--scales '0': give numbers above 0, such as 0.1,0.3,1"),
        ("-1,1", "--scales '-1': give numbers above 0, such as 0.1,0.3,1"),
        ("half", "--scales 'half': give numbers above 0, such as 0.1,0.3,1"),
        ("nan", "--scales 'nan': give numbers above 0, such as 0.1,0.3,1"),
        ("inf", "--scales 'inf': give numbers above 0, such as 0.1,0.3,1"),
        ("1,0.5,1.0", "--scales: 1 is given more than once"),
        ("0.123456", "--scales 0.123456: give at most four digits, such as 0.1235"),
        ("none", "no scale: give numbers above 0, such as 0.1,0.3,1"),
    ],
)
def test_impossible_scales_are_said_in_one_line(
    text: str, message: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert cli(["audit", str(data), "-m", "networks:small", "-o", str(out), "--scales", text]) == 2
    assert capsys.readouterr().err == f"heatlift: {message}\n"
    assert not out.exists()
