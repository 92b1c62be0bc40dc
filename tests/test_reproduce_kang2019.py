"""Kang 2019 reproduced on a small network: every part has its numbers, from runs that go on."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from statistics import mean

import numpy as np
import pytest
import torch

import networks
from heatlift.cli import run
from heatlift.data import find_images
from heatlift.errors import HeatliftError
from heatlift.images import batches
from heatlift.reproduce import kang2019
from heatlift.reproduce.kang2019 import examples, similar, trials
from heatlift.reproduce.kang2019 import stages as rooms
from heatlift.reproduce.kang2019.pictures import Tile, strips
from heatlift.reproduce.kang2019.stages import Stages
from heatlift.reproduce.networks import Pair, used
from heatlift.reproduce.parts import Part, Reproduction
from heatlift.reproduce.request import Request
from heatlift.run.tables import read_table
from pages import EVIL, Elements
from pictures import class_folders

SMALL = (
    Pair("VGG-19", "networks:not_a_network", "networks:small"),
    Pair("ResNet-18", "networks:small_with_a_norm", "networks:small"),
)
"""The first can't be had, the second can."""


STEPS = 12
"""Of a mask, so that all of them take seconds."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Request, Reproduction, list[str]]:
    """All parts, of three images each and two trials."""
    folder = tmp_path_factory.mktemp("kang2019")
    request = Request(
        folder / "out", imagenet=str(class_folders(folder / "photos", each=2)), limit=3, batch_size=4
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rooms, "PAIRS", SMALL)
        patch.setattr(rooms, "STEPS", STEPS)
        # Nine runs' reports take longer than all else; the command writes real ones below.
        patch.setattr(rooms, "write_report", lambda run: (run / "report.html").touch())
        patch.setattr(trials, "TRIALS", 2)
        said: list[str] = []
        found = kang2019.reproduce(request, lambda done, total, step: said.append(step))
    return request, found, said


def part(found: Reproduction, anchor: str) -> Part:
    (one,) = (part for part in found.parts if part.anchor == anchor)
    return one


def value(one: Part, words: str) -> float:
    """Of the first line that has these words."""
    measured = next(line.measured for line in one.lines if words in line.what)
    assert measured is not None
    assert measured["value"] is not None
    return measured["value"]


def test_every_part_has_numbers_a_drawing_what_differs_and_runs_with_reports(
    made: tuple[Request, Reproduction, list[str]],
) -> None:
    request, found, _ = made
    assert tuple(one.anchor for one in found.parts) == kang2019.PARTS
    for one in found.parts:
        assert any(line.measured is not None for line in one.lines), one.anchor
        assert all(drawing.svg.startswith("<svg") for drawing in one.drawings), one.anchor
        assert one.drawings, one.anchor
        assert one.differs, one.anchor
        assert all((request.out / run / "report.html").is_file() for run in one.runs), one.anchor
        # What stands in for a network is named where it does.
        assert "small in place of VGG-19" in " ".join(one.differs), one.anchor


def test_the_tables_have_the_paper_s_numbers_in_its_order_beside_the_runs_figures(
    made: tuple[Request, Reproduction, list[str]],
) -> None:
    request, found, _ = made
    first, second = part(found, "table-1"), part(found, "table-2")
    printed = [line.printed for line in (*first.lines, *second.lines) if line.printed is not None]
    paper = "48.741 48.979 44.898 44.688 0.0373 0.0378 0.0360 0.0398"
    assert printed == paper.split()
    rows = [
        row
        for row in read_table(request.out / "runs" / "tables-small", "undesirable").to_pylist()
        if row["factor"] == "target"
    ]
    assert len(rows) == 3
    gains = [row["p_after"] - row["p_before"] for row in rows]
    assert value(first, "F-TC: change of probability") == pytest.approx(mean(gains))
    assert value(second, "F-TC: share of the pixels") == pytest.approx(mean(row["area"] for row in rows))
    phis = [row["phi"] for row in rows if row["remainder"] >= 1e-3]
    assert value(first, "relative improvement") == pytest.approx(mean(phis))
    assert first.title.startswith("Too few images")


def test_agreement_is_that_of_the_masks_and_pairs_are_of_the_same_images(
    made: tuple[Request, Reproduction, list[str]],
) -> None:
    request, found, _ = made
    table = read_table(request.out / "runs" / "trials", "agreement").to_pylist()
    assert len(table) == 3 * 3 * len(list(combinations(range(2), 2)))
    by = {(row["factor"], row["image"]): row["correlation"] for row in table}
    images = {image for _, image in by}
    gains = [by["target", image] - by["none", image] for image in images]
    three = part(found, "figure-3")
    assert value(three, "F-TC: correlation more than without") == pytest.approx(mean(gains))
    assert value(part(found, "figure-2"), "correlation") == pytest.approx(
        mean(by["none", image] for image in images)
    )
    middle = sorted(by["none", image] for image in images)[1]
    typical = trials.typical(request.out / "runs" / "trials")
    assert by["none", typical] == middle
    # Other seeds, the same photograph: its class has the same probability before.
    again = [
        read_table(request.out / "runs" / f"trials-again-{k}", "undesirable").to_pylist() for k in (1, 2)
    ]
    before = {row["p_before"] for rows in again for row in rows}
    (own,) = {
        row["p_before"]
        for row in read_table(request.out / "runs" / "trials", "undesirable").to_pylist()
        if row["image"] == typical
    }
    assert list(before) == pytest.approx([own] * len(before))
    assert len({row["p_after"] for rows in again for row in rows if row["factor"] == "none"}) == 2


def test_figure_4_is_of_the_likeliest_second_class(made: tuple[Request, Reproduction, list[str]]) -> None:
    request, found, _ = made
    network = networks.small()
    items = find_images(str(request.imagenet), 3, None).shuffled(0)[:3]
    (batch,) = batches(items, network.framing, 3)
    with torch.no_grad():
        shares = network(batch.images).softmax(dim=1).numpy()
    seconds = np.sort(shares, axis=1)[:, 1]
    rows = read_table(request.out / "runs" / "similar-second", "undesirable").to_pylist()
    by_name = {row["image"]: row["p_before"] for row in rows}
    assert [by_name[name] for name in sorted(by_name)] == pytest.approx(
        sorted(seconds, reverse=True), abs=1e-5
    )
    four = part(found, "figure-4")
    assert value(four, "The image drawn") == pytest.approx(shares.max(axis=1)[seconds.argmax()], abs=1e-5)
    assert next(line.printed for line in four.lines) == "0.721"


def test_figure_1_is_of_the_image_with_most_room_both_ways(
    made: tuple[Request, Reproduction, list[str]],
) -> None:
    request, found, _ = made
    rows = read_table(request.out / "runs" / "improve", "undesirable").to_pylist()
    nearest = min(rows, key=lambda row: abs(row["p_before"] - 0.5))
    one = part(found, "figure-1")
    assert one.drawings[0].caption.startswith(f"{nearest['image']}: of 3 images")
    gain = mean(row["p_after"] - row["p_before"] for row in rows)
    assert value(one, "Undesirable pixels (F-TC): change") == pytest.approx(gain)


def test_it_goes_on_where_it_was_and_refuses_another_seed(
    made: tuple[Request, Reproduction, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    request, found, _ = made
    monkeypatch.setattr(rooms, "PAIRS", SMALL)
    monkeypatch.setattr(rooms, "STEPS", STEPS)
    parts = sorted((request.out / "runs" / "improve").glob("undesirable/*.parquet"))
    before = [(path, path.stat().st_mtime_ns) for path in parts]
    again = kang2019.reproduce(replace(request, only=("figure-5",)), lambda done, total, step: None)
    assert again.parts == tuple(one for one in found.parts if one.anchor == "figure-5")
    assert [(path, path.stat().st_mtime_ns) for path in parts] == before
    with pytest.raises(HeatliftError, match="seed: was 0, is 1"):
        kang2019.reproduce(replace(request, only=("figure-5",), seed=1), lambda done, total, step: None)


def test_the_command_writes_the_page_and_says_what_was_found(
    made: tuple[Request, Reproduction, list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    request, _, _ = made
    monkeypatch.setattr(rooms, "PAIRS", SMALL)
    monkeypatch.setattr(rooms, "STEPS", STEPS)
    arguments = ["--imagenet", str(request.imagenet), "--out", str(request.out), "--limit", "3"]
    chosen = ["--batch-size", "4", "--only", "figure-1,figure-5"]
    assert run(["reproduce", "kang2019", *arguments, *chosen]) == 0
    said = capsys.readouterr().out
    assert "Figure 1: " in said
    assert f"report: {request.out / 'report.html'}" in said
    page = Elements((request.out / "report.html").read_text(encoding="utf-8"))
    assert "runs/delete/report.html" in page.values("href")
    # Every picture is in the page itself.
    pictures = [attributes for tag, attributes in page.elements if tag == "image"]
    assert pictures
    assert all(str(one["href"]).startswith("data:image/") for one in pictures)
    content = json.loads((request.out / "reproduction.json").read_text(encoding="utf-8"))
    assert [one["anchor"] for one in content["parts"]] == ["figure-1", "figure-5"]


def test_a_network_that_can_be_had_is_used_and_one_that_cannot_is_replaced() -> None:
    replaced, own = used(SMALL[0]), used(SMALL[1])
    assert (replaced.spec, replaced.printed) == ("networks:small", "VGG-19")
    assert "not_a_network() returned int" in replaced.differs[0]
    assert (own.spec, own.why, own.differs, own.told) == (SMALL[1].spec, "", (), "ResNet-18")
    with pytest.raises(HeatliftError, match="not_a_network"):
        used(Pair("VGG-19", "networks:fails", "networks:not_a_network"))


def test_the_paper_s_networks_are_those_of_its_tables() -> None:
    assert [(pair.printed, pair.spec) for pair in rooms.PAIRS] == [
        ("VGG-19", "torchvision:vgg19"),
        ("ResNet-18", "torchvision:resnet18"),
    ]


def test_without_a_folder_the_demonstration_s_photographs_are_used_and_it_is_said(tmp_path: Path) -> None:
    stages = Stages(Request(tmp_path), lambda done, total, step: None)
    assert Path(stages.data) == tmp_path / "data" / "photographs"
    assert len(list(Path(stages.data).rglob("*.jpg"))) == 180
    assert "not independent" in stages.differs[0]
    assert Stages(Request(tmp_path, imagenet="x"), lambda done, total, step: None).differs == ()


def test_fewer_images_are_asked_for_than_a_figure_has() -> None:
    def few(limit: int | None) -> list[int]:
        stages = Stages(Request(Path("o"), limit=limit), lambda done, total, step: None)
        return [stages.few(most) for most in (examples.IMAGES, trials.IMAGES, similar.IMAGES)]

    assert few(None) == [12, 12, 12]
    assert few(7) == [7, 7, 7]


def test_a_number_of_images_differs_only_below_the_paper_s() -> None:
    def said(limit: int | None, n: int) -> str:
        stages = Stages(Request(Path("o"), limit=limit), lambda done, total, step: None)
        return " ".join(stages.fewer(n, f"{n} images"))

    assert said(1000, 1000) == said(5000, 5000) == ""
    assert said(None, 200).startswith("Number of images: 200 images drawn at random, in place of 1,000")
    assert "all that could be used" in said(1000, 400)


def test_words_below_pictures_can_t_break_out_of_a_drawing() -> None:
    svg = strips([(EVIL, [Tile("data:,", (EVIL, EVIL), 'data:,"')])], EVIL, EVIL)
    page = Elements(svg)
    assert set(page.tags()) == {"svg", "text", "image"}
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
