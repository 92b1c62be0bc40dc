"""The report on undesirable pixels: what it counts and shows, what lies over a photograph, its refusals."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from heatlift.errors import HeatliftError
from heatlift.report import write_report
from heatlift.report.figures import draw
from heatlift.report.plate import Cloud, Intervals
from heatlift.report.undesirable.examples import MOST
from heatlift.report.undesirable.overlays import DARK, FILL, LIGHT, overlay
from heatlift.report.undesirable.pages import build_undesirable_page
from heatlift.run.evolutions import Evolutions, Recorder
from heatlift.run.originals import original_path, perturbed_path
from heatlift.run.tables import read_table
from heatlift.wording import clean
from pages import EVIL, Elements
from undesirable_runs import InventedMasks, write_undesirable_run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_undesirable_run(tmp_path_factory.mktemp("finished") / "run")


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of a run, to change and to write into."""
    return shutil.copytree(finished, tmp_path / "run")


def rows(run: Path, factor: str = "target") -> list[dict[str, Any]]:
    """The rows of the first trial with figures."""
    found = read_table(run, "undesirable").to_pylist()
    return [row for row in found if row["factor"] == factor and row["trial"] == 0]


def summary(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    return found


def change(run: Path, name: str, **entries: Any) -> None:
    """Change entries of one of the run's JSON files."""
    path = run / f"{name}.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | entries), encoding="utf-8")


def written(run: Path) -> Elements:
    return Elements(write_report(run).read_text(encoding="utf-8"))


def picture(source: str, mode: str = "RGB") -> np.ndarray[Any, Any]:
    kind, data = source.split(",", 1)
    assert kind in ("data:image/webp;base64", "data:image/png;base64")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert(mode)).astype(float) / 255


# What it says


def test_a_page_has_every_part(tmp_path: Path) -> None:
    run = write_undesirable_run(tmp_path / "run", InventedMasks(trials=2))
    page, found = build_undesirable_page(run), summary(run)
    assert page.title == "Undesirable pixels of demo (small-net) on birds"
    assert page.verdict == found["verdict"]
    facts = {fact.term: fact.text for fact in page.facts}
    first = found["factors"][0]
    assert facts["Images"] == "38"
    before, after = first["p_before"]["value"], first["p_after"]["value"]
    assert facts["Probability, F-TC"] == f"{before:.2f} → {after:.2f}"
    assert facts["Turned right, F-TC"] == f"{first['turned_right']['value']:.2f}"
    assert facts["On other-net, F-TC"].endswith(f"{first['p_verify_after']['value']:.2f}")
    assert [plate.identity for plate in page.lead] == ["probability-target", "controls"]
    assert [plate.identity for plate in page.others] == ["probability-non_target", "probability-none"]
    assert [plate.identity for plate in page.seconds] == [f"second-{f}" for f in page.factors]
    assert [(f.reason, f.images) for f in page.failures] == [("unreadable: truncated file", "2")]
    elements = written(run)
    for href in elements.values("href"):
        assert not href.startswith("#") or href[1:] in elements.values("id")
    assert {"pixels", "wrong", "paper", "numbers", "trials", "second", "failures"} <= set(
        elements.values("id")
    )


def test_every_figure_is_there_with_its_interval_and_n(run: Path) -> None:
    table = build_undesirable_page(run).figures
    assert table is not None
    assert [column.title for column in table.columns] == ["Figure", "F-TC", "F-NTC", "no factor"]
    by_title = {row.cells[0].text: row for row in table.rows}
    assert len(by_title) == len(table.rows)
    for title, name in (("Gain", "p_gain"), ("φ of random places, %", "phi_blob"), ("Area", "area")):
        for cell, factor in zip(by_title[title].cells[1:], summary(run)["factors"], strict=True):
            assert cell.value == factor[name]["value"]
            assert cell.detail.endswith(f"n = {factor[name]['n']}")
            assert cell.detail.startswith("[")
    figures = {name for name, value in summary(run)["factors"][0].items() if isinstance(value, dict)}
    assert len(table.rows) == len(figures) + 2  # and two counts
    assert [row.cells[0].text for row in table.rows if row.control] == [
        "φ of random places, %",
        "φ of the whole image blurred, %",
    ]
    assert [cell.value for cell in by_title["Left out of φ"].cells[1:]] == [3, 3, 3]
    empty = sum(row["area"] == 0 for row in rows(run))
    assert by_title["Empty masks"].cells[1].value == empty > 0


def test_dots_are_the_probabilities_before_and_after(run: Path) -> None:
    plate = build_undesirable_page(run).lead[0]
    assert isinstance(plate.content, Cloud)
    for kind, correct in (("correct", True), ("wrong", False)):
        assert set(plate.content.dots[kind]) == {
            (row["p_before"], row["p_after"])
            for row in rows(run)
            if (row["predicted_before"] == row["label"]) is correct
        }


def test_masks_stand_beside_controls_the_paper_and_the_second_network(run: Path) -> None:
    plate = build_undesirable_page(run).lead[1]
    assert isinstance(plate.content, Intervals)
    improvement, gain = plate.content.panels
    factors = summary(run)["factors"]
    own = [row for row in improvement.rows if not row.control]
    assert [row.known.value for row in own] == [factor["phi"]["value"] for factor in factors]
    assert [row.printed for row in own] == [(48.741, 44.898), (48.979, 44.688), ()]
    controls = [row.known.value for row in improvement.rows if row.control]
    blobs = [factor["phi_blob"]["value"] for factor in factors]
    assert controls == [*blobs, factors[0]["phi_blur"]["value"]]
    assert [row.known.value for row in gain.rows] == [
        factor[name]["value"] for name in ("p_gain", "p_verify_gain") for factor in factors
    ]
    for panel in plate.content.panels:
        for row in panel.rows:
            assert panel.axis.low < row.known.low
            assert row.known.high < panel.axis.high
    ElementTree.fromstring(draw(plate))


@pytest.mark.parametrize(("worse", "linear"), [(1.0, None), (30.0, 100.0)])
def test_controls_far_below_zero_get_a_logarithmic_axis(
    tmp_path: Path, worse: float, linear: float | None
) -> None:
    run = write_undesirable_run(tmp_path / "run", InventedMasks(worse=worse))
    plate = build_undesirable_page(run).lead[1]
    assert isinstance(plate.content, Intervals)
    assert plate.content.panels[0].axis.linear == linear
    assert ("logarithmic beyond ±100" in draw(plate)) == (linear is not None)


def test_the_papers_tables_with_the_run_above_them(run: Path) -> None:
    table = build_undesirable_page(run).paper
    assert table is not None
    here, vgg, resnet = ([cell.text for cell in row.cells] for row in table.rows)
    first, second = summary(run)["factors"][:2]
    assert here[0] == "small-net"
    assert here[1:3] == [f"{first['phi']['value']:.1f}", f"{second['phi']['value']:.1f}"]
    assert here[3:] == [f"{first['area']['value']:.4f}", f"{second['area']['value']:.4f}"]
    assert vgg == ["VGG-19", "48.741", "48.979", "0.0373", "0.0378"]
    assert resnet == ["ResNet-18", "44.898", "44.688", "0.0360", "0.0398"]
    assert "Its targets are the predicted classes" in table.caption


@pytest.mark.parametrize(
    "like",
    [
        InventedMasks(game="delete"),
        InventedMasks(factors=("none",)),
        InventedMasks(outputs=2),
        InventedMasks(preset="stable"),
    ],
    ids=["delete", "none", "two classes", "other settings"],
)
def test_the_paper_is_left_out_where_it_has_nothing_like_it(tmp_path: Path, like: InventedMasks) -> None:
    run = write_undesirable_run(tmp_path / "run", like)
    assert build_undesirable_page(run).paper is None
    assert "Kang 2019, VGG" not in "".join(written(run).text)


@pytest.mark.parametrize(("images", "said"), [(8, False), (30, True)])
def test_titles_say_effects_only_of_images_enough(tmp_path: Path, images: int, said: bool) -> None:
    page = build_undesirable_page(
        write_undesirable_run(tmp_path / "run", InventedMasks(images=images, failed=0))
    )
    titles = [plate.title for plate in (*page.lead, *page.others, *page.seconds)]
    assert len(titles) == 7
    assert all(bool(re.search(r"\d", title)) is said for title in titles if "other-net" not in title)
    assert all(("gives the target" in plate.title) is said for plate in page.seconds)
    assert "F-TC (factors for a target class)" in page.lead[1].caption
    assert re.search(r"It gains on \d+% \[\d+, \d+\] of the images", page.seconds[0].caption)


def test_what_turned_right_comes_first_and_leads_to_its_picture(run: Path) -> None:
    page = build_undesirable_page(run)
    wrong = [row for row in rows(run) if row["predicted_before"] != row["label"]]
    turned = {
        row["image"]
        for factor in page.factors
        for row in rows(run, factor)
        if row["predicted_before"] != row["label"] == row["predicted_after"]
    }
    assert page.wrong is not None
    assert page.wrong.caption.startswith(f"{len(turned)} of {len(wrong)} wrong predictions turned right")
    marked = [sum(cell.mark == "correct" for cell in row.cells) for row in page.wrong.rows]
    assert marked == sorted(marked, reverse=True)
    assert marked[0] == 3
    assert {row.cells[0].text for row, n in zip(page.wrong.rows, marked, strict=True) if n} == turned
    shown = {kept.name: f"#{kept.identity}" for kept in page.gallery.images}
    for row in page.wrong.rows:
        assert row.cells[0].link == shown.get(row.cells[0].text, "")
    assert any(row.cells[0].link for row in page.wrong.rows)


@pytest.mark.parametrize("target", ["predicted", 1])
def test_only_masks_for_the_label_turn_a_prediction_right(tmp_path: Path, target: str | int) -> None:
    run = write_undesirable_run(tmp_path / "run", InventedMasks(target=target))
    page = build_undesirable_page(run)
    assert page.wrong is None
    assert "#wrong" not in written(run).values("href")
    assert ("dog, for every image" in page.target) == (target == 1)


def test_agreement_has_the_effect_of_the_masks_beside_it(tmp_path: Path) -> None:
    run = write_undesirable_run(tmp_path / "run", InventedMasks(trials=3))
    page, found = build_undesirable_page(run), summary(run)["factors"]
    assert page.agreement is not None
    assert page.agreement_plate is not None
    by_title = {row.cells[0].text: [cell.value for cell in row.cells[1:]] for row in page.agreement.rows}
    for title, name in (("IoU above 0.6", "iou"), ("Correlation", "correlation"), ("SSIM", "ssim")):
        assert by_title[title] == [factor["agreement"][name]["value"] for factor in found]
    assert by_title["Both masks empty"] == [factor["agreement"]["empty"] for factor in found]
    assert by_title["Relative improvement φ, %"] == [factor["phi"]["value"] for factor in found]
    assert by_title["Area"] == [factor["area"]["value"] for factor in found]
    dots = page.lead[0].content
    assert isinstance(dots, Cloud)
    assert sum(map(len, dots.dots.values())) == len(rows(run)) == 38


def test_what_a_run_does_not_have_is_left_out(tmp_path: Path) -> None:
    like = InventedMasks(factors=("target",), verified=False, labelled=False, target="predicted", failed=0)
    run = write_undesirable_run(tmp_path / "run", like)
    page, elements = build_undesirable_page(run), written(run)
    assert (page.agreement, page.agreement_plate, page.wrong, page.seconds, page.others) == (
        None,
        None,
        None,
        (),
        (),
    )
    words = "".join(elements.text)
    for absent in (
        "Second network",
        "Turned right",
        "first trial",
        "no factor",
        "What failed",
        "correct before",
    ):
        assert absent not in words
    assert not {"#trials", "#second", "#wrong", "#failures"} & set(elements.values("href"))
    assert isinstance(page.lead[0].content, Cloud)
    assert set(page.lead[0].content.dots) == {"all"}
    assert {kept.correct for kept in page.gallery.images} == {None}


def test_figures_that_are_not_known_are_left_out(run: Path) -> None:
    factors = summary(run)["factors"]
    unknown = {"value": None, "low": None, "high": None, "n": 3}
    for factor in factors:
        factor |= {"phi": None, "phi_median": unknown, "phi_blob": None, "p_verify_gain": None}
    change(run, "summary", factors=factors)
    page = build_undesirable_page(run)
    titles = [row.cells[0].text for row in page.figures.rows] if page.figures else []
    assert titles
    assert not {"Relative improvement φ, %", "φ, %, median", "φ of random places, %"} & set(titles)
    assert not [fact for fact in page.facts if fact.term.startswith("φ")]
    assert page.seconds == ()
    assert write_report(run)


@pytest.mark.parametrize(("images", "failed"), [(1, 0), (3, 3), (12, 0)])
def test_runs_of_any_size(tmp_path: Path, images: int, failed: int) -> None:
    like = InventedMasks(images=images, failed=failed)
    page = write_report(write_undesirable_run(tmp_path / "run", like)).read_text(encoding="utf-8")
    Elements(page)
    assert bool(re.findall("<svg", page)) == (images != failed)


# The gallery


@pytest.mark.parametrize(("game", "sign"), [("improve", 1), ("delete", -1)])
def test_what_changed_most_comes_first(tmp_path: Path, game: str, sign: int) -> None:
    run = write_undesirable_run(tmp_path / "run", InventedMasks(game=game, kept=8))
    page = build_undesirable_page(run)
    most: dict[str, float] = {}
    for factor in page.factors:
        for row in rows(run, factor):
            gain = sign * (row["p_after"] - row["p_before"])
            most[row["image"]] = max(gain, most.get(row["image"], -1))
    names = [kept.name for kept in page.gallery.images]
    assert sorted(names) == sorted(f"owl/{i}.png" for i in range(8))
    assert names == sorted(names, key=lambda name: -most[name])
    assert {len(kept.factors) for kept in page.gallery.images} == {3}


def test_a_long_gallery_is_cut_and_that_is_said(tmp_path: Path) -> None:
    run = write_undesirable_run(tmp_path / "run", InventedMasks(kept=23, stepped=23, factors=("target",)))
    page = build_undesirable_page(run)
    assert len(page.gallery.images) == 20
    assert [bool(kept.steps) for kept in page.gallery.images] == [True] * 4 + [False] * 16
    assert "The 20 of 23 kept images" in " ".join("".join(written(run).text).split())


def test_the_first_and_the_last_step_are_among_the_frames(run: Path) -> None:
    stepped = [kept for kept in build_undesirable_page(run).gallery.images if kept.steps]
    assert {kept.name for kept in stepped} == {"owl/0.png", "owl/1.png"}
    for kept in stepped:
        assert len(kept.steps) == 16
        assert (kept.steps[0], kept.steps[-1]) == (0, 20)
        for factor in kept.factors:
            assert len(factor.frames) == 16


def test_a_step_only_some_factors_have_is_not_shown(run: Path) -> None:
    recorder, mask = Recorder(1.0), np.full((1, 24, 24), 0.5, np.float32)
    for step in (0, 7, 20):
        recorder.add(mask, step)
    Evolutions(run).write("none/owl/0.png", mask, recorder, "undesirable")
    steps = {kept.name: kept.steps for kept in build_undesirable_page(run).gallery.images}
    assert steps["owl/0.png"] == (0, 7, 20)


def test_pictures_are_the_originals_and_what_came_of_them(run: Path) -> None:
    for kept in build_undesirable_page(run).gallery.images:
        original = np.asarray(Image.open(original_path(run, kept.name))) / 255
        assert np.abs(picture(kept.source) - original).mean() < 0.05
        for factor, name in zip(kept.factors, ("target", "non_target", "none"), strict=True):
            perturbed = np.asarray(Image.open(perturbed_path(run, name, kept.name))) / 255
            assert np.abs(picture(factor.perturbed) - perturbed).mean() < 0.05
            taken = Evolutions(run).final(f"{name}/{kept.name}")
            last = factor.frames[-1]
            assert last.largest == f"{taken.max():.2f}"
            assert last.area == f"{(taken > 0.6).mean():.1%}"


def test_an_overlay_covers_more_where_more_is_taken() -> None:
    taken = np.tile(np.linspace(0, 1, 224, dtype=np.float32), (224, 1))
    found = np.asarray(overlay(taken).convert("RGBA"))
    colours, seen = found[..., :3], found[..., 3] / 255
    outline = (colours != FILL).any(axis=-1)
    places = np.flatnonzero(outline[100])
    assert taken[100, places].tolist() == pytest.approx([0.6, 0.6], abs=0.006)
    assert [tuple(colours[100, place]) for place in places] == [LIGHT, DARK]
    assert (seen[outline] == 1).all()
    assert np.abs(seen - 0.72 * taken)[~outline].max() < 0.02


@pytest.mark.parametrize(("value", "outlined"), [(0.0, False), (0.59, False), (0.61, False)])
def test_a_flat_mask_has_no_outline(value: float, outlined: bool) -> None:
    found = np.asarray(overlay(np.full((8, 12), value, np.float32)).convert("RGBA"))
    assert found.shape == (149, 224, 4)
    assert (found[..., :3] != FILL).any() == outlined


def test_no_kept_masks_no_gallery(run: Path) -> None:
    shutil.rmtree(run / "maps.zarr")
    assert build_undesirable_page(run).gallery.images == ()
    elements = written(run)
    assert elements.tags()["input"] == elements.tags()["img"] == elements.tags()["article"] == 0
    assert "#pixels" not in elements.values("href")


def test_noise_stays_below_five_megabytes(tmp_path: Path) -> None:
    """With as many images as a page has, of which each takes the same, as two of them and the rest say."""
    like = InventedMasks(images=24, kept=2, stepped=1, side=224, noise=True, failed=0)
    page = write_report(write_undesirable_run(tmp_path / "run", like)).read_text(encoding="utf-8")
    kept = [len(article.encode()) for article in re.findall("<article.*?</article>", page, re.DOTALL)]
    assert len(kept) == 2
    assert max(kept) == pytest.approx(min(kept), rel=0.01)
    assert len(page.encode()) - sum(kept) + MOST * max(kept) < 5e6


# What it copes with, and what it refuses


def test_the_same_run_gives_the_same_bytes(run: Path, tmp_path: Path) -> None:
    other = shutil.copytree(run, tmp_path / "other")
    assert write_report(run).read_bytes() == write_report(other).read_bytes()


def test_hostile_names_add_no_element_and_no_handler(tmp_path: Path) -> None:
    def page(words: str) -> Elements:
        like = InventedMasks(
            classes=(words,) * 3,
            image_name=words + "{}",
            reason=words,
            trials=2,
            run={"command": [words], "version": words},
        )
        run = write_undesirable_run(tmp_path / str(len(words)), like)
        record = json.loads((run / "run.json").read_text(encoding="utf-8"))
        change(
            run,
            "run",
            config=record["config"] | {"game": words, "reference": words, words: {words: [words]}},
            model=record["model"] | {"name": words, "spec": words},
            verify={"spec": words, "name": words},
            data={"path": words.replace("/", "|")},
        )
        change(run, "summary", verdict=words)
        return written(run)

    evil, plain = page(EVIL), page("word")
    different = (evil.tags() - plain.tags()) + (plain.tags() - evil.tags())
    assert set(different) <= {"wbr", "tspan"}
    assert evil.scripts == plain.scripts
    assert {name for _, attrs in evil.elements for name in attrs} == {
        name for _, attrs in plain.elements for name in attrs
    }
    assert clean(EVIL) in "".join(evil.text)


def test_nothing_in_a_style_leads_out_of_the_page(run: Path) -> None:
    links = [style for style in written(run).values("style") if "url(" in style]
    assert len(links) == 5
    for style in links:
        assert re.fullmatch(r"--photograph: url\(data:image/webp;base64,[\w+/=]+\)", style)


def test_a_run_without_a_summary(run: Path) -> None:
    (run / "summary.json").unlink()
    with pytest.raises(HeatliftError, match="start the same `heatlift undesirable` again"):
        write_report(run)


@pytest.mark.parametrize("which", ["original", "perturbed"])
def test_a_picture_that_is_gone_torn_or_of_another_size(run: Path, which: str) -> None:
    name = "owl/2.png"
    path = original_path(run, name) if which == "original" else perturbed_path(run, "none", name)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(HeatliftError, match=r"\.png is not readable"):
        write_report(run)
    Image.new("RGB", (25, 24)).save(path)
    with pytest.raises(HeatliftError, match=r"\.png is .*25 x 24"):
        write_report(run)
    path.unlink()
    with pytest.raises(HeatliftError, match=r"\.png is not readable"):
        write_report(run)
    assert not (run / "report.html").exists()
