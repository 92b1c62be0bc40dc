"""Indicators of the user's own: their values, what they may not do, and how a run keeps them."""

from __future__ import annotations

import importlib
import linecache
import math
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import heatlift as hl
from heatlift import Classifier, HeatliftError
from heatlift.cli import run as cli
from heatlift.images import decode
from heatlift.indicators import Indicator, indicator_named, try_out
from heatlift.run.audit import prepare, run
from heatlift.run.plan import configured
from networks import images, small
from pictures import class_folders, picture

X = images(3, 32, torch.float32)


def steepness(classifier: Classifier, images: Tensor) -> Tensor:
    """How much the logits depend on the pixels: it takes gradients itself."""
    images.requires_grad_()
    (gradient,) = torch.autograd.grad(classifier(images).amax(dim=1).sum(), images)
    return -gradient.flatten(1).norm(dim=1)


def doubtful(classifier: Classifier, images: Tensor) -> Any:
    """Fails on a black image and has no number for a white one."""
    if bool((images.amax(dim=(1, 2, 3)) == 0).any()):
        raise ValueError("nothing to see")
    brightness = images.mean(dim=(1, 2, 3))
    return torch.where(brightness == 1, torch.nan, brightness).numpy()


def hungry(classifier: Classifier, images: Tensor) -> Tensor:
    if len(images) > 2:
        raise torch.OutOfMemoryError("CUDA out of memory")
    return classifier(images)[:, 0]


def of_the_batch(classifier: Classifier, images: Tensor) -> Tensor:
    values = classifier(images).amax(dim=1)
    return values - values.mean()


def random(classifier: Classifier, images: Tensor) -> Tensor:
    return torch.rand(len(images))


def squeezed(classifier: Classifier, images: Tensor) -> Tensor:
    return classifier(images)[:, :1].squeeze()


def all_classes(classifier: Classifier, images: Tensor) -> Tensor:
    return classifier(images)


def nothing(classifier: Classifier, images: Tensor) -> None:
    """Forgets to return."""


def failing(classifier: Classifier, images: Tensor) -> Tensor:
    raise ValueError("not\nready")


def too_large(classifier: Classifier, images: Tensor) -> Tensor:
    raise torch.OutOfMemoryError("CUDA out of memory")


def audit(folder: Path, data: Path, *names: str, **settings: Any) -> Any:
    settings = {"methods": ("saliency",), "controls": ("zero",), "operations": ("add",)} | settings
    config = configured(
        data=str(data),
        model="networks:small",
        shard_size=6,
        indicators=tuple(name if ":" in name else f"{Path(__file__).stem}:{name}" for name in names),
        **settings,
    )
    run(prepare(config), folder, lambda done, total, step: None)
    return hl.read(folder)


def by_name(name: str) -> Indicator:
    return indicator_named(f"{Path(__file__).stem}:{name}")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = class_folders(tmp_path_factory.mktemp("data") / "photos", each=3)
    (folder / "ant" / "empty.png").touch()
    for name, value in (("black", 0), ("white", 255)):
        picture(0).point(lambda _, value=value: value).save(folder / "bee" / f"{name}.png")
    return folder


def test_its_values_are_kept_for_every_image(data: Path, tmp_path: Path) -> None:
    found = audit(tmp_path / "run", data, "steepness", "doubtful", batch_size=4)
    names = [f"{Path(__file__).stem}:{name}" for name in ("steepness", "doubtful")]
    assert found.record["config"]["indicators"] == names
    assert set(found.record["code"]) == set(names)
    rows = {(row["image"], row["indicator"].split(":")[1]): row for row in found.indicators.to_pylist()}
    assert len(rows) == found.indicators.num_rows == 2 * found.predictions.num_rows
    clf = small()
    for image in found.predictions["image"].to_pylist():
        row = rows[image, "steepness"]
        if image == "ant/empty.png":
            assert row["value"] is None
            assert row["status"] == rows[image, "doubtful"]["status"] == "unreadable: empty file"
            continue
        x = decode(data / image, clf.framing).unsqueeze(0).float() / 255
        assert row["status"] == "ok"
        # In an image of one colour it is left to rounding which cell of a pool is the largest.
        if x.std() > 0:
            assert row["value"] == pytest.approx(float(steepness(clf, x.clone())), rel=1e-4)
        brightness = rows[image, "doubtful"]
        if image == "bee/black.png":
            assert brightness["value"] is None
            assert brightness["status"].startswith("its indicator raised ValueError: nothing to see (")
        elif image == "bee/white.png":
            assert brightness["value"] is None
            assert brightness["status"] == "its indicator's value is not finite"
        else:
            assert (brightness["value"], brightness["status"]) == (pytest.approx(float(x.mean())), "ok")


def test_without_indicators_the_table_is_there_and_empty(data: Path, tmp_path: Path) -> None:
    found = audit(tmp_path / "run", data)
    assert found.indicators.num_rows == 0
    assert len(list((found.folder / "indicators").iterdir())) == 2


def test_resumed_and_in_other_batches_it_says_the_same(tmp_path: Path) -> None:
    data = class_folders(tmp_path / "photos", each=3)
    found = audit(tmp_path / "run", data, "steepness", batch_size=4)
    (found.folder / "indicators" / "part-000001.parquet").unlink()
    assert audit(tmp_path / "run", data, "steepness", batch_size=4).indicators.equals(found.indicators)
    other = audit(tmp_path / "other", data, "steepness", batch_size=1)
    for one, two in zip(found.indicators.to_pylist(), _in_order(other, found), strict=True):
        assert one["image"] == two["image"]
        assert one["value"] == pytest.approx(two["value"], rel=1e-4)


def _in_order(run: Any, like: Any) -> list[dict[str, Any]]:
    by_image = {row["image"]: row for row in run.indicators.to_pylist()}
    return [by_image[image] for image in like.indicators["image"].to_pylist()]


def test_out_of_memory_halves_the_batch(data: Path, tmp_path: Path) -> None:
    found = audit(tmp_path / "run", data, "hungry", batch_size=4)
    assert found.record["batch_size"] <= 2
    unreadable = found.indicators["status"].to_pylist().count("unreadable: empty file")
    assert found.indicators["status"].to_pylist().count("ok") == found.indicators.num_rows - unreadable


def test_code_that_changed_is_another_audit(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    module = tmp_path / "indicator_of_mine.py"
    module.write_text("def score(classifier, images):\n    return images.mean(dim=(1, 2, 3))\n")
    audit(tmp_path / "run", data, "indicator_of_mine:score", limit=4)
    module.write_text("def score(classifier, images):\n    return images.amax(dim=(1, 2, 3))\n")
    linecache.clearcache()
    importlib.reload(sys.modules["indicator_of_mine"])
    with pytest.raises(HeatliftError, match=r"holds another audit \(code"):
        audit(tmp_path / "run", data, "indicator_of_mine:score", limit=4)
    with pytest.raises(HeatliftError, match=r"holds another audit \(config\.indicators"):
        audit(tmp_path / "run", data, "steepness", limit=4)


def test_the_network_and_the_images_are_given_back_as_they_were() -> None:
    def careless(classifier: Classifier, images: Tensor) -> Tensor:
        assert not classifier.network.training
        assert torch.is_grad_enabled()
        classifier.network.register_forward_hook(lambda module, args, output: output * 0)
        classifier.network.note = "here"  # type: ignore[assignment]
        return images.mul_(2).mean(dim=(1, 2, 3))

    clf, x = small(), X.clone()
    clf.network.train()
    before = clf(x)
    with torch.no_grad():
        values = Indicator("careless", careless, "")(clf, x)
    torch.testing.assert_close(values, 2 * X.mean(dim=(1, 2, 3)).double())
    assert torch.equal(x, X)
    assert torch.equal(clf(x), before)
    assert clf.network.training
    assert not hasattr(clf.network, "note")


def test_lists_arrays_and_whole_numbers_will_do() -> None:
    for give in (list, np.array, torch.tensor, lambda values: torch.tensor(values).requires_grad_()):
        found = Indicator("mine", lambda classifier, images, give=give: give([1.0, 2.0, 3.0]), "")
        assert found(small(), X).tolist() == [1.0, 2.0, 3.0]
    counted = Indicator("mine", lambda classifier, images: torch.arange(len(images)), "")
    assert counted(small(), X).dtype == torch.float64


def test_one_that_is_never_a_number_is_said_row_by_row() -> None:
    empty = Indicator("mine", lambda classifier, images: torch.full((len(images),), torch.nan), "")
    try_out([empty], small(), X)
    values, status = empty.values(small(), X)
    assert all(math.isnan(value) for value in values)
    assert status == ["its indicator's value is not finite"] * 3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("brightness", "indicator 'brightness': give package.module:function"),
        (":brightness", "give package.module:function"),
        ("nowhere.at_all:score", "unknown indicator 'nowhere.at_all:score'"),
        ("test_indicators:missing", "module test_indicators has no 'missing'"),
        ("test_indicators:X", r"X is a Tensor: it must be a function \(classifier, images\) -> \(n,\)"),
        ("test_indicators:failing", r"tried on noise: raised ValueError: not \("),
        ("test_indicators:nothing", r"returned NoneType: return one number per image, \(3,\)"),
        ("test_indicators:all_classes", r"returned shape \(3, 3\): return one number per image, \(3,\)"),
        ("test_indicators:squeezed", r"returned shape \(\): return one number per image, \(1,\)"),
        ("test_indicators:of_the_batch", "another value among others than by itself"),
        ("test_indicators:random", "another value among others than by itself"),
        ("test_indicators:too_large", "tried on noise: out of memory with a single image"),
    ],
)
def test_what_can_t_be_used_is_said_in_one_line_before_anything_is_written(
    name: str, message: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    command = ["audit", str(data), "-m", "networks:small", "-o", str(out), "--indicator", name]
    assert cli(command) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert re.search(message, said)
    assert not out.exists()


def test_the_same_one_twice_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    name = "test_indicators:steepness"
    command = ["audit", "nowhere", "-m", "demo", "-o", "run", "--indicator", name, "--indicator", name]
    assert cli(command) == 2
    assert capsys.readouterr().err == f"heatlift: --indicator: {name} is given more than once\n"


def test_it_gets_the_network_s_own_weights_in_the_audit_s_precision(data: Path) -> None:
    seen: list[Classifier] = []

    def watching(classifier: Classifier, images: Tensor) -> Tensor:
        seen.append(classifier)
        return images.mean(dim=(1, 2, 3))

    from heatlift.folding import folded

    clf = folded(small())
    Indicator("watching", watching, "")(clf, X)
    assert seen[0].folding is None
    assert seen[0].network is clf.network
    assert seen[0].precision == clf.precision
