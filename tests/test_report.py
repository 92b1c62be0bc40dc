"""The report: what its figures count, that nothing in a run can break or leave it, and what it copes with."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import MISSING, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pyarrow.compute as pc
import pytest

from heatlift.errors import HeatliftError
from heatlift.report import write_report
from heatlift.report.distributions import Box, read_distributions, shared_axis
from heatlift.report.figures import draw
from heatlift.report.findings import auroc_title
from heatlift.report.heatmaps import diverging
from heatlift.report.html import _breakable
from heatlift.report.pages import build_page
from heatlift.report.plate import Boxes, BoxRow, Dots, Plate
from heatlift.report.scales import tick
from heatlift.report.summary import Audit, Known, MethodSummary, read_audit
from heatlift.report.wording import interval, signed
from heatlift.run.tables import read_table
from heatlift.wording import clean, number
from lift_runs import write_lift_run
from pages import EVIL, Elements, asked
from runs import Invented, write_example, write_run
from undesirable_runs import InventedMasks, write_undesirable_run


def report(run: Path) -> str:
    return write_report(run).read_text(encoding="utf-8")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run")


@pytest.fixture(params=["audit", "lift", "undesirable"])
def any_run(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A finished run of any kind, with examples."""
    if request.param == "undesirable":
        return write_undesirable_run(tmp_path / "run", InventedMasks(trials=2))
    if request.param == "lift":
        return write_lift_run(tmp_path / "run")
    run = write_run(tmp_path / "run")
    write_example(run, 0, ("saliency", "noise"))
    return run


def svgs(page: str) -> list[str]:
    return re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)


# What it says


def test_boxes_are_the_percentiles_of_the_usable_rows(run: Path) -> None:
    scores, confidence = read_distributions(run)
    rows = read_table(run, "scores").to_pylist()
    correct = {row["image"]: row["correct"] for row in read_table(run, "predictions").to_pylist()}
    for kind, wanted in (("correct", True), ("wrong", False)):
        values = [
            row["co_label"]
            for row in rows
            if (row["method"], row["operation"]) == ("saliency", "add") and correct[row["image"]] is wanted
        ]
        box = scores["saliency", "add"].with_label.boxes[kind]
        assert box.n == len(values) == (78 if wanted else 40)
        assert [box.low, box.lower, box.median, box.upper, box.high] == pytest.approx(
            np.percentile(values, [5, 25, 50, 75, 95])
        )
        assert box.beyond == pytest.approx((*sorted(values)[:2], *sorted(values)[-2:]))
    assert confidence.boxes["wrong"].n == 40


def test_histograms_count_every_image_once(run: Path) -> None:
    scores, _ = read_distributions(run)
    found = scores["noise", "multiply"]
    for distribution in (found.with_label, found.label_free):
        for kind, shares in distribution.shares.items():
            counts = np.array(shares) * distribution.boxes[kind].n
            assert counts == pytest.approx(np.rint(counts))
            assert counts.sum() == pytest.approx(distribution.boxes[kind].n)
    assert found.with_label.edges == found.label_free.edges


def test_the_same_scores_with_and_without_label_where_correct(run: Path) -> None:
    scores, _ = read_distributions(run)
    for found in scores.values():
        assert found.with_label.boxes["correct"] == found.label_free.boxes["correct"]


def test_a_page_has_every_part(run: Path) -> None:
    write_example(run, 0, ("saliency", "zero"))
    page = build_page(run)
    assert page.title == "Heatmaps of demo (small-net) on birds"
    assert page.verdict == json.loads((run / "summary.json").read_text())["verdict"]
    assert {fact.term: fact.text for fact in page.facts} == {
        "Images": "120",
        "Accuracy": "0.66",
        "Correct": "78",
        "Wrong": "40",
        "Failed": "2",
    }
    assert [plate.identity for plate in page.lead] == ["added", "closer"]
    assert [question.identity for question in page.questions] == ["telling", "scores", "classes", "helping"]
    assert len(asked(page, "scores").plates) == 4  # two operations, with the label and without
    assert {choice.name for choice in page.choices if choice.control} == {
        "zero/add",
        "zero/multiply",
        "noise/add",
        "noise/multiply",
    }
    assert len(page.methods.rows) == 8
    assert asked(page, "telling").tables[0][1].rows[0].cells[0].text == "confidence"
    assert [(f.where, f.images) for f in page.failures] == [("the image itself", "2")]
    assert page.examples[0].predicted == "cat"
    assert page.examples[0].label == "owl"
    assert page.command == "heatlift audit 'birds and cats' --model demo"


def test_the_default_histogram_is_the_heatmap_with_the_largest_gap(run: Path) -> None:
    methods = json.loads((run / "summary.json").read_text())["methods"]
    largest = max((m for m in methods if not m["control"]), key=lambda m: m["gap"]["value"])
    chosen = [choice.name for choice in build_page(run).choices if choice.chosen]
    assert chosen == [f"{largest['method']}/{largest['operation']}"]


def test_the_table_sorts_by_the_raw_figures(run: Path) -> None:
    methods = json.loads((run / "summary.json").read_text())["methods"]
    table = build_page(run).methods
    column = [c.title for c in table.columns].index("AUROC without")
    assert [row.cells[column].value for row in table.rows] == [
        m["auroc_label_free"]["value"] for m in methods
    ]
    assert all(len(row.cells) == len(table.columns) for row in table.rows)


@pytest.mark.parametrize(
    ("figure", "words"),
    [
        (Known(0.4321, 0.391, 0.469, 9), "0.43 [0.39, 0.47]"),
        (Known(-0.003, -0.0119, 0.0049, 9), "−0.003 [−0.012, 0.005]"),
        (Known(3.214, 2.8, 3.64, 9), "3.21 [2.80, 3.64]"),
        (Known(-0.0001, -0.5, 0.5, 9), "0.00 [−0.50, 0.50]"),
        (Known(1234.5, None, None, 9), "1,234"),
        (None, "–"),
    ],
)
def test_intervals_are_printed_to_the_places_they_deserve(figure: Known | None, words: str) -> None:
    assert interval(figure) == words


def test_small_numbers_are_not_printed_as_zero() -> None:
    assert number(1.2e-5) == "1.2e−05"
    assert number(0.0) == "0.00"


def test_zero_has_no_sign() -> None:
    assert interval(Known(-0.0001, -0.004, 0.003, 300), 3) == "0.000 [−0.004, 0.003]"
    assert signed("0.000 [−0.004, 0.003]") == "0.000 [−0.004, 0.003]"
    assert [signed(text) for text in ("0.010", "−0.010", "–")] == ["+0.010", "−0.010", "–"]
    assert [tick(value) for value in (-0.0, -1e-17, -0.25)] == ["0", "0", "−0.25"]


def test_long_names_break_at_their_joints() -> None:
    assert "<wbr>" not in _breakable("plain words. And more")
    assert _breakable("layer_gradcam@blocks.4") == "layer_<wbr>gradcam@<wbr>blocks.<wbr>4"


def method(name: str, label_free: Known, difference: Known, control: bool = False) -> MethodSummary:
    unknown: dict[str, Any] = {
        field.name: None for field in fields(MethodSummary) if field.default is MISSING
    }
    known = {"name": name, "operation": "add", "control": control, "n": 100, "n_failed": 0, "failures": {}}
    told = {"auroc_label_free": label_free, "auroc_difference": difference}
    parts = {"figures": {}, "added": {}, "improvement": {}}
    return MethodSummary(**(unknown | known | told | parts))


def audit(*methods: MethodSummary, wrong: int = 50) -> Audit:
    counts = {"correct": 100, "wrong": wrong, "labelled": 100 + wrong}
    confidence = {"confidence": {"auroc": Known(0.80, 0.75, 0.85, 150)}}
    return Audit({}, counts, {}, None, "", confidence, methods)


@pytest.mark.parametrize(
    ("label_free", "difference", "title"),
    [
        (
            (0.70, 0.6, 0.8),
            (-0.1, -0.2, -0.05),
            "No heatmap tells correct from wrong better than confidence does",
        ),
        ((0.82, 0.7, 0.9), (0.02, -0.01, 0.05), "No heatmap tells correct from wrong clearly better"),
        (
            (0.90, 0.85, 0.95),
            (0.10, 0.05, 0.15),
            "The best heatmap, a/add, has AUROC 0.90; confidence has 0.80",
        ),
        ((0.18, 0.1, 0.3), (-0.62, -0.7, -0.5), "No heatmap tells correct from wrong clearly better"),
        ((0.08, 0.05, 0.1), (-0.72, -0.8, -0.6), "The best heatmap, a/add read backwards, has AUROC 0.92"),
    ],
)
def test_the_title_claims_what_the_figures_show(
    label_free: tuple[float, float, float], difference: tuple[float, float, float], title: str
) -> None:
    found = method("a", Known(*label_free, 150), Known(*difference, 150))
    assert auroc_title(audit(found)).startswith(title)
    assert auroc_title(audit(found, wrong=29)).startswith("Too few images")


def test_a_control_never_counts_as_a_heatmap_in_the_title() -> None:
    control = method("noise", Known(0.95, 0.9, 1.0, 150), Known(0.15, 0.1, 0.2, 150), control=True)
    heatmap = method("a", Known(0.6, 0.5, 0.7, 150), Known(-0.2, -0.3, -0.1, 150))
    assert auroc_title(audit(control, heatmap)).startswith("No heatmap")


def test_a_control_as_good_as_the_best_heatmap_is_named_beside_it() -> None:
    heatmap = method("a", Known(0.9, 0.85, 0.95, 150), Known(0.1, 0.05, 0.15, 150))
    control = method("noise", Known(0.12, 0.1, 0.2, 150), Known(-0.68, -0.7, -0.6, 150), control=True)
    weak = method("image", Known(0.6, 0.5, 0.7, 150), Known(-0.2, -0.3, -0.1, 150), control=True)
    ending = "confidence has 0.80, and the control noise/add read backwards 0.88"
    assert auroc_title(audit(heatmap, weak, control)).endswith(ending)
    assert auroc_title(audit(heatmap, weak)).endswith("confidence has 0.80")


# The page as a file


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A report of a run whose names are all hostile, and one of the same run with plain names."""
    evil = Invented(
        methods=(clean(EVIL), "deeplift"),
        classes=(EVIL, EVIL, EVIL),
        image_name=EVIL + "{}",
        reason=EVIL,
        run={"command": [EVIL], "version": EVIL, "refused": {EVIL: EVIL}, "config": {EVIL: {EVIL: [EVIL]}}},
    )
    plain = replace(
        evil,
        methods=("saliency", "deeplift"),
        classes=("cat", "dog", "owl"),
        image_name="{}",
        reason="broken",
        run={"command": ["a"], "version": "1", "refused": {"b": "c"}, "config": {"d": {"e": ["f"]}}},
    )
    pages = []
    for name, like, words in (("evil", evil, EVIL), ("plain", plain, "word")):
        folder = write_run(tmp_path_factory.mktemp(name), like)
        write_example(folder, 0, (words, "zero"), name=words, why=words)
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        summary["verdict"] = words
        summary["methods"][0]["verdict"] = words
        (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
        record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        record["model"]["spec"] = words
        record["data"]["path"] = words.replace("/", "|")
        (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
        pages.append(report(folder))
    return pages[0], pages[1]


def test_hostile_names_add_no_element_and_no_handler(hostile: tuple[str, str]) -> None:
    evil, plain = (Elements(page) for page in hostile)
    different = (evil.tags() - plain.tags()) + (plain.tags() - evil.tags())
    assert set(different) <= {"wbr"}  # where a long name may break
    assert len(evil.scripts) == 1
    assert evil.scripts == plain.scripts
    assert {name for _, attrs in evil.elements for name in attrs} == {
        name for _, attrs in plain.elements for name in attrs
    }
    assert not [name for _, attrs in evil.elements for name in attrs if name.startswith("on")]


def test_hostile_names_are_shown_as_they_are(hostile: tuple[str, str]) -> None:
    text = "".join(Elements(hostile[0]).text)
    assert clean(EVIL) in text
    assert "$x^2$" in text
    assert "\n& 漢字" not in text  # one line


def test_names_in_figures_are_neither_mathematics_nor_markup() -> None:
    names = ("$x^2$", "<b>&\"'", "{{1}}", "漢字")
    box = Box(3, -1.0, -0.5, 0.0, 0.5, 1.0, ())
    rows = tuple(BoxRow(name, False, {"all": box}) for name in names)
    svg = draw(Plate("x", "", "", EVIL, Boxes(rows, shared_axis([box]), "score")))
    root = ElementTree.fromstring(svg)
    assert root.attrib["aria-label"] == clean(EVIL)
    assert set(names) <= {element.text for element in root.iter("text")}


def test_nothing_is_fetched_from_anywhere(any_run: Path) -> None:
    page = report(any_run)
    found = Elements(page)
    assert all(value.startswith("data:image/") for value in found.values("src"))
    assert all(value.startswith("#") for value in found.values("href"))
    addresses = re.findall(r"url\(\s*['\"]?([^)]*)", page)
    assert all(address.startswith(("#", "data:image/")) for address in addresses)
    assert not re.search(r"https?://|@import|<link|<iframe|<object|<base", page)


def test_the_policy_lets_only_the_pages_own_script_run(any_run: Path) -> None:
    found = Elements(report(any_run))
    policies = [attrs["content"] for tag, attrs in found.elements if "http-equiv" in attrs]
    digest = base64.b64encode(hashlib.sha256(found.scripts[0].encode()).digest()).decode()
    assert len(policies) == 1
    assert "default-src 'none'" in policies[0]
    assert re.search(r"script-src ([^;]*)", policies[0])[1] == f"'sha256-{digest}'"
    assert "connect-src" not in policies[0]


def test_identities_are_unique_and_every_link_arrives(any_run: Path) -> None:
    page = report(any_run)
    found = Elements(page)
    identities = found.values("id")
    assert len(identities) == len(set(identities))
    links = [value[1:] for value in found.values("href")] + re.findall(r"url\(#([^)]*)\)", page)
    links += " ".join(found.values("aria-labelledby")).split() + found.values("for")
    assert set(links) <= set(identities)


def test_headings_go_down_one_level_at_a_time(any_run: Path) -> None:
    levels = [int(tag[1]) for tag, _ in Elements(report(any_run)).elements if re.fullmatch(r"h\d", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_every_picture_has_words(any_run: Path) -> None:
    for tag, attrs in Elements(report(any_run)).elements:
        if tag == "svg":
            assert attrs["role"] == "img"
            assert attrs["aria-label"]
        if tag == "img":
            assert attrs["alt"]


def test_figures_take_their_colours_from_the_page(any_run: Path) -> None:
    page = report(any_run)
    assert "#0a0b0" not in page
    used = set(re.findall(r"var\(--(\w+)\)", page))
    light, dark = (
        set(re.findall(r"--(\w+): #", block)) for block in re.findall(r":root \{([^}]*)\}", page)[:2]
    )
    assert used - {"sans", "mono", "mark", "photograph"} <= light == dark
    for svg in svgs(page):
        ElementTree.fromstring(svg)


def test_the_same_run_gives_the_same_bytes_whatever_matplotlib_is_set_to(
    any_run: Path, tmp_path: Path
) -> None:
    first = write_report(any_run, tmp_path / "a" / "first.html").read_bytes()
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "path"}):
        before = dict(matplotlib.rcParams)
        second = write_report(any_run, tmp_path / "second.html").read_bytes()
        assert dict(matplotlib.rcParams) == before
    assert first == second


def test_reports_can_be_written_from_threads(any_run: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(
            lambda name: write_report(any_run, tmp_path / name).read_bytes(), ("a", "b")
        )
    assert first == second


def test_twelve_examples_of_ten_noisy_maps_stay_small(run: Path) -> None:
    for place in range(13):
        write_example(run, place, tuple(f"method {i}" for i in range(10)))
    path = write_report(run)
    assert Elements(path.read_text(encoding="utf-8")).tags()["img"] == 12 * 11
    assert path.stat().st_size < 3e6


def test_nothing_half_written_is_left(any_run: Path) -> None:
    before = set(any_run.iterdir())
    path = write_report(any_run)
    assert set(any_run.iterdir()) - before == {path}
    assert path == any_run / "report.html"


@pytest.mark.slow
def test_marks_do_not_grow_with_the_images(tmp_path: Path) -> None:
    small = write_run(tmp_path / "small", Invented(images=400, wrong=100, spread=300))
    large = write_run(tmp_path / "large", Invented(images=16_000 // 8, wrong=700, spread=300))
    assert read_table(large, "scores").num_rows == 16_000

    def marks(run: Path) -> int:
        return sum(len(re.findall(r"<(path|use|rect|circle)\b", svg)) for svg in svgs(report(run)))

    most = marks(large)
    assert most < 5000
    assert most == pytest.approx(marks(small), rel=0.1)


# What it copes with


def test_without_labels_nothing_speaks_of_correct_and_wrong(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", Invented(labelled=False))
    write_example(run, 0, ("saliency",), label=-1)
    page = build_page(run)
    assert page.lead == ()
    assert [question.identity for question in page.questions] == ["scores"]
    boxplots = asked(page, "scores").plates
    assert len(boxplots) == 2
    assert {kind for plate in boxplots for row in plate.content.rows for kind in row.boxes} == {"all"}
    assert "Median CO score" in [column.title for column in page.methods.columns]
    assert not [column.title for column in page.methods.columns if "AUROC" in column.title]
    assert "no labels" in report(run)


@pytest.mark.parametrize("wrong", [0, 1, 5])
def test_with_few_errors_no_title_claims_anything(tmp_path: Path, wrong: int) -> None:
    run = write_run(tmp_path / "run", Invented(wrong=wrong))
    page = build_page(run)
    shown = [plate for question in page.questions for plate in question.plates]
    shown += [*page.lead, *(plate for choice in page.choices for plate in choice.plates)]
    claims = (
        "above",
        "needs the label",
        "No heatmap",
        "adds",
        "Wrong among",
        "highest",
        "the best",
        "AUROC 0",
        "differ",
    )
    assert not [plate.title for plate in shown if any(claim in plate.title for claim in claims)]
    assert len(svgs(report(run))) == len(shown)


def test_a_run_in_which_every_image_failed(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", Invented(images=5, wrong=0, failed=5))
    assert "unreadable: truncated file" in report(run)
    assert build_page(run).choices == ()


def test_one_image_alone(tmp_path: Path) -> None:
    assert report(write_run(tmp_path / "run", Invented(images=1, wrong=0, failed=0)))


def test_one_operation_and_no_controls(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", Invented(controls=(), operations=("add",)))
    page = build_page(run)
    boxplots = asked(page, "scores").plates
    assert len(boxplots) == 2
    assert "control" not in boxplots[0].title
    assert report(run)


def test_a_wide_spread_gets_a_logarithmic_axis_that_says_so(tmp_path: Path) -> None:
    wide = write_run(tmp_path / "wide", Invented(spread=1000))
    plates = asked(build_page(wide), "scores").plates
    assert all(plate.content.axis.linear for plate in plates)
    assert "logarithmic beyond" in draw(plates[0])
    near = build_page(write_run(tmp_path / "near"))
    assert not any(plate.content.axis.linear for plate in asked(near, "scores").plates)


def test_both_sides_of_an_operation_share_their_axis(run: Path) -> None:
    add_label, add_free, multiply_label, multiply_free = (
        plate.content.axis for plate in asked(build_page(run), "scores").plates
    )
    assert add_label == add_free
    assert multiply_label == multiply_free


def test_many_methods_are_cut_in_figures_and_kept_in_the_table(tmp_path: Path) -> None:
    methods = tuple(f"method_{i}" for i in range(45))
    run = write_run(tmp_path / "run", Invented(images=70, wrong=30, methods=methods, operations=("add",)))
    page = build_page(run)
    auroc = asked(page, "telling").plates[0]
    assert isinstance(auroc.content, Dots)
    for plate in (page.lead[0], auroc):
        assert len(plate.content.rows) == 40
        assert {row.name for row in plate.content.rows if row.control} == {"zero", "noise"}
        assert "40 of 47 are drawn" in plate.caption
    assert len(page.methods.rows) == 47


def test_refused_methods_are_among_the_failures(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", Invented(run={"refused": {"deconvolution": "met no ReLU"}}))
    assert [(f.where, f.reason, f.images) for f in build_page(run).failures][-1] == (
        "deconvolution",
        "refused: met no ReLU",
        "all",
    )


def test_blue_lowers_and_red_raises_and_zero_is_white() -> None:
    heatmap = np.array([[-1.0, -0.5, 0.0, 0.5, 1.0]])
    colours = np.asarray(diverging(heatmap).convert("RGB")).astype(int)[0]
    red, blue = colours[:, 0], colours[:, 2]
    assert (blue[:2] > red[:2]).all()
    assert tuple(colours[2]) == (255, 255, 255)
    assert (red[3:] > blue[3:]).all()
    assert (np.asarray(diverging(np.zeros((4, 4))).convert("RGB")) == 255).all()
    assert (np.asarray(diverging(-heatmap)) == np.asarray(diverging(heatmap))[:, ::-1]).all()


def test_the_largest_value_is_that_of_the_summed_raw_heatmap(run: Path) -> None:
    heatmaps = np.zeros((1, 3, 8, 8), dtype=np.float16)
    heatmaps[0, :, 2, 2] = (-1.0, -0.5, 0.25)
    write_example(run, 0, ("saliency",), heatmaps=heatmaps, scales=np.array([4.0]))
    assert build_page(run).examples[0].maps[0].largest == "5"


# What it refuses


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(HeatliftError, match=r"run\.json") as caught:
        write_report(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_run_without_a_summary(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", summarised=False)
    with pytest.raises(HeatliftError, match="no summary yet"):
        write_report(run)
    assert not (run / "report.html").exists()


def test_a_summary_of_another_format(run: Path) -> None:
    (run / "summary.json").write_text('{"format": 99}')
    with pytest.raises(HeatliftError, match="format 99"):
        read_audit(run)


def test_a_run_without_tables(run: Path) -> None:
    for part in (run / "scores").iterdir():
        part.unlink()
    with pytest.raises(HeatliftError, match="no scores"):
        write_report(run)


def test_an_example_that_is_torn(run: Path) -> None:
    path = write_example(run, 0, ("saliency",))
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(HeatliftError, match=r"000\.npz"):
        write_report(run)


def test_an_output_that_is_a_folder(run: Path) -> None:
    with pytest.raises(HeatliftError, match="is a folder"):
        write_report(run, run)


def test_figures_that_are_not_numbers_are_left_out(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    for entry in summary["methods"]:
        entry |= {"gap": {"value": float("nan"), "low": None, "high": None, "n": 3}, "auroc_difference": None}
    (run / "summary.json").write_text(json.dumps(summary))
    titles = [column.title for column in build_page(run).methods.columns]
    assert "Gap" not in titles
    assert "AUROC without" in titles
    assert report(run)


def test_rows_that_failed_enter_nothing(run: Path) -> None:
    table = read_table(run, "scores")
    usable = pc.sum(pc.equal(table["status"], "ok")).as_py()
    scores, _ = read_distributions(run)
    assert sum(box.n for found in scores.values() for box in found.label_free.boxes.values()) == usable
