"""What an audit does with memory, precision and passes, and which certificates it records."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import heatlift as hl
from heatlift.attributor import Attributor
from heatlift.registry import METHODS
from heatlift.run.audit import prepare, run
from heatlift.run.plan import configured
from pictures import class_folders


def quiet(done: int, total: int, step: str) -> None:
    """A progress display that shows nothing."""


def audit(folder: Path, data: Path, **settings: Any) -> Any:
    settings = {"model": "networks:small", "batch_size": 4, "shard_size": 6} | settings
    run(prepare(configured(data=str(data), **settings)), folder, quiet)
    return hl.read(folder)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return class_folders(tmp_path_factory.mktemp("data") / "photos")


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A machine on which more than two images at a time do not fit; lists what was tried."""
    tried: list[int] = []
    explain = Attributor.explain

    def limited(self: Attributor, images: Tensor, target: Any = None) -> Any:
        tried.append(len(images))
        if len(images) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return explain(self, images, target)

    monkeypatch.setattr(Attributor, "explain", limited)
    return tried


def test_out_of_memory_halves_the_batch_and_the_tables_are_the_same(
    data: Path, tmp_path: Path, little_memory: list[int]
) -> None:
    small = audit(tmp_path / "small", data, batch_size=8)
    assert max(little_memory) > 2
    assert small.record["batch_size"] <= 2
    assert small.record["config"]["batch_size"] == 8
    enough = audit(tmp_path / "enough", data, batch_size=2)
    assert small.predictions.equals(enough.predictions)
    assert small.scores.equals(enough.scores)


def test_what_was_found_out_about_memory_is_kept_for_resuming(
    data: Path, tmp_path: Path, little_memory: list[int]
) -> None:
    whole = audit(tmp_path / "run", data, batch_size=8)
    for table in ("predictions", "scores"):
        max((whole.folder / table).iterdir()).unlink()
    little_memory.clear()
    again = audit(tmp_path / "run", data, batch_size=8)
    assert max(little_memory) <= 2
    assert again.scores.equals(whole.scores)


def test_an_image_that_does_not_fit_by_itself_is_a_failed_row(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    explain = Attributor.explain
    whole = audit(tmp_path / "whole", data, controls=())
    victim = whole.predictions["image"][3].as_py()
    pixels = next(image for image in _images(data, victim))

    def limited(self: Attributor, images: Tensor, target: Any = None) -> Any:
        if any(torch.equal(image, pixels) for image in images):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return explain(self, images, target)

    monkeypatch.setattr(Attributor, "explain", limited)
    found = audit(tmp_path / "run", data, controls=())
    failed = [row for row in found.predictions.to_pylist() if row["status"] != "ok"]
    assert [row["image"] for row in failed] == [victim]
    assert failed[0]["status"].startswith("out of memory with a single image")
    assert found.summary["counts"]["ok"] == whole.summary["counts"]["ok"] - 1


def _images(data: Path, name: str) -> Iterator[Tensor]:
    from heatlift.data import first_images
    from heatlift.images import batches
    from networks import small

    for batch in batches(first_images(data / name, 1), small().framing, 1):
        yield batch.images[0]


def test_auto_finds_a_batch_size_once_and_keeps_it(data: Path, tmp_path: Path) -> None:
    first = audit(tmp_path / "run", data, batch_size="auto", methods=("saliency",))
    chosen = first.record["batch_size"]
    assert isinstance(chosen, int)
    assert 1 <= chosen <= 64
    assert first.record["config"]["batch_size"] == "auto"
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    (tmp_path / "run" / "run.json").write_text(json.dumps(record | {"batch_size": 3}))
    next((tmp_path / "run" / "scores").iterdir()).unlink()
    assert audit(tmp_path / "run", data, batch_size="auto", methods=("saliency",)).record["batch_size"] == 3


def by_row(run: Any) -> Any:
    """The scores in an order that does not depend on the batches."""
    return run.scores.sort_by([(name, "ascending") for name in ("image", "method", "operation")])


def test_batches_of_another_size_change_rounding_alone(data: Path, tmp_path: Path) -> None:
    one, many = (audit(tmp_path / str(n), data, batch_size=n) for n in (1, 16))
    for column in ("co_label", "co_predicted", "delta_p_label"):
        a, b = (torch.tensor(by_row(run)[column].to_pylist()) for run in (one, many))
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    zero = [
        row["co_predicted"]
        for row in many.scores.to_pylist()
        if (row["method"], row["operation"]) == ("zero", "add")
    ]
    assert set(zero) == {0.0}


def test_an_audit_takes_the_fewest_passes(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forwards: list[int] = []
    backwards: list[int] = []
    call, grad = hl.Classifier.__call__, torch.autograd.grad

    def counted_call(self: hl.Classifier, images: Tensor, space: Any = "pixel") -> Tensor:
        forwards.append(len(images))
        return call(self, images, space)

    def counted_grad(outputs: Tensor, inputs: Any, *others: Any, **options: Any) -> Any:
        if outputs.ndim == 0:  # the others are derivatives of one function at a time
            backwards.append(len(inputs[0]))
        return grad(outputs, inputs, *others, **options)

    from heatlift.run.shard import ShardAudit

    prepared = prepare(configured(data=str(data), model="networks:small", controls=()))
    work = ShardAudit(prepared.classifier, prepared.requests, prepared.config)
    monkeypatch.setattr(hl.Classifier, "__call__", counted_call)
    monkeypatch.setattr(torch.autograd, "grad", counted_grad)
    n = len(prepared.items)
    assert n <= work.portions.size
    work(prepared.items)
    # One for the methods, twelve for six heatmaps under two operations; DeepLift's baseline is one image.
    assert sum(forwards) == 13 * n + 1
    assert sum(backwards) == 4 * n


def test_bfloat16_is_recorded_and_part_of_a_run_s_identity(data: Path, tmp_path: Path) -> None:
    half = audit(tmp_path / "run", data, precision="bf16")
    assert half.record["model"]["precision"] == "bf16"
    full = audit(tmp_path / "full", data)
    assert full.record["model"]["precision"] == "fp32"
    for name in ("co_label", "co_predicted"):
        a, b = (torch.tensor(run.scores[name].to_pylist()) for run in (half, full))
        assert not torch.equal(a, b)
        assert float(torch.corrcoef(torch.stack([a, b]))[0, 1]) > 0.95
    completeness = [row["completeness"] for row in half.scores.to_pylist() if row["method"] == "deeplift"]
    assert max(completeness) < 1e-4
    with pytest.raises(hl.HeatliftError, match=r"precision: was bf16, is fp32"):
        audit(tmp_path / "run", data)


def test_certificates_are_recorded(data: Path, tmp_path: Path) -> None:
    methods = audit(tmp_path / "run", data, limit=4).record["methods"]
    assert methods["guided_backprop"]["relu_calls"] == methods["deconvolution"]["relu_calls"] == 2
    assert methods["deeplift"]["calls"] == {"relu": 2, "max_pool2d": 1}
    assert methods["deeplift"]["completeness_on_noise"] < 1e-4
    assert "relu_calls" not in methods["saliency"]


def test_every_method_can_be_audited_beside_captum_s_and_one_s_own(data: Path, tmp_path: Path) -> None:
    names = (*METHODS, "captum:Occlusion", "test_user_methods:brightness", "layer_gradcam@conv2")
    found = audit(tmp_path / "run", data, methods=names, controls=("zero",), limit=4)
    ok = {(m["method"], m["n"], m["n_failed"]) for m in found.summary["methods"] if not m["control"]}
    assert ok == {(name, 4, 0) for name in names}
    assert set(found.record["code"]) == {"test_user_methods:brightness"}


def test_a_method_of_one_s_own_that_changed_is_another_audit(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    module = tmp_path / "mine_for_the_audit.py"
    module.write_text("def method(classifier, images, target):\n    return images\n")
    settings: dict[str, Any] = {"methods": ("mine_for_the_audit:method",), "limit": 4}
    audit(tmp_path / "run", data, **settings)
    module.write_text("def method(classifier, images, target):\n    return -images\n")
    import importlib
    import linecache
    import sys

    linecache.clearcache()
    importlib.reload(sys.modules["mine_for_the_audit"])
    with pytest.raises(hl.HeatliftError, match="code"):
        audit(tmp_path / "run", data, **settings)
