"""Reports in other forms: rows, one document, a text, and figures apart as SVG and PDF."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pypdf
import pytest
from markdown_it import MarkdownIt
from matplotlib.path import Path as Outline

from heatlift.cli import run as command_line
from heatlift.errors import HeatliftError
from heatlift.report import FORMATS, export
from heatlift.report.distributions import Axis
from heatlift.report.exports.escaping import escaped
from heatlift.report.exports.figures import light_colours, plates_of, standalone
from heatlift.report.exports.pdf import as_pdf, parse_path, parse_transform
from heatlift.report.html import build
from heatlift.report.plate import GroupRow, Groups, Plate
from lift_runs import write_lift_run
from pages import EVIL, Elements
from runs import Invented, write_run
from undesirable_runs import InventedMasks, write_undesirable_run

SVG = "{http://www.w3.org/2000/svg}"
KINDS = ("audit", "lift", "undesirable")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A finished run of every kind, and a second audit of the same images."""
    folder = tmp_path_factory.mktemp("runs")
    like = Invented(
        methods=("saliency",),
        operations=("add",),
        scales=(0.3, 1.0),
        indicators=("good:indicator",),
        spread=30.0,
    )
    return {
        "audit": write_run(folder / "audit", like),
        "other": write_run(folder / "other", Invented(methods=("saliency",), wrong=20)),
        "lift": write_lift_run(folder / "lift"),
        "undesirable": write_undesirable_run(folder / "masks", InventedMasks(trials=2)),
    }


@pytest.fixture(scope="module")
def figures(made: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The figures of one run of every kind, and of two audits, in folders."""
    folder = tmp_path_factory.mktemp("figures")
    found = {kind: export([made[kind]], "figures", folder / kind) for kind in KINDS}
    return found | {"compared": export([made["audit"], made["other"]], "figures", folder / "compared")}


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


# Rows


def test_rows_hold_every_figure_of_every_heatmap_and_signal(made: dict[str, Path], tmp_path: Path) -> None:
    rows = rows_of(export([made["audit"]], "csv", tmp_path / "a.csv"))
    assert list(rows[0]) == ("kind name operation scale control figure value low high n".split())
    found = {(row["kind"], row["name"], row["operation"], row["scale"], row["figure"]): row for row in rows}
    assert len(found) == len(rows)
    summary = json.loads((made["audit"] / "summary.json").read_text())
    for entry in summary["methods"]:
        kind = "control" if entry["control"] else "method"
        key = (kind, entry["method"], entry["operation"], str(entry["scale"]))
        for figure in ("gap", "auroc_label_free", "delta_p_label", "raised_share"):
            row, known = found[(*key, figure)], entry[figure]
            assert row["control"] == ("true" if entry["control"] else "false")
            for part in ("value", "low", "high"):
                assert row[part] == ("" if known[part] is None else repr(float(known[part])))
            assert int(row["n"]) == known["n"]
    for name, figures in summary["baselines"].items():
        assert float(found["baseline", name, "", "", "auroc"]["value"]) == figures["auroc"]["value"]
    indicator = summary["indicators"][0]
    assert (
        float(found["indicator", "good:indicator", "", "", "auroc"]["value"]) == indicator["auroc"]["value"]
    )
    assert float(found["audit", "", "", "", "accuracy"]["value"]) == summary["accuracy"]["value"]
    assert float(found["audit", "", "", "", "counts.wrong"]["value"]) == 40


def test_figures_within_figures_are_named_by_the_way_to_them(made: dict[str, Path], tmp_path: Path) -> None:
    names = {row["figure"] for row in rows_of(export([made["audit"]], "csv", tmp_path / "a.csv"))}
    assert {"accuracy_at.0.8", "added.confidence.auroc", "improvement.wrong.raised_share"} <= names
    assert "mcnemar.p" in names
    assert not [name for name in names if "failures" in name or "verdict" in name or "format" in name]


def test_rows_of_lifts_and_masks(made: dict[str, Path], tmp_path: Path) -> None:
    lift = {
        (row["name"], row["figure"]): row for row in rows_of(export([made["lift"]], "csv", tmp_path / "l"))
    }
    summary = json.loads((made["lift"] / "summary.json").read_text())
    assert float(lift["wrong", "p_gain"]["value"]) == summary["figures"]["wrong"]["p_gain"]["value"]
    assert float(lift["", "counts.reached"]["value"]) == summary["counts"]["reached"]
    rows = rows_of(export([made["undesirable"]], "csv", tmp_path / "m"))
    masks = {(row["name"], row["figure"]): row for row in rows}
    factor = json.loads((made["undesirable"] / "summary.json").read_text())["factors"][1]
    assert float(masks["non_target", "phi"]["low"]) == factor["phi"]["low"]
    assert float(masks["non_target", "agreement.ssim"]["n"]) == factor["agreement"]["ssim"]["n"]


def test_rows_of_two_audits_name_the_run_and_add_the_differences(
    made: dict[str, Path], tmp_path: Path
) -> None:
    rows = rows_of(export([made["audit"], made["other"]], "csv", tmp_path / "a.csv"))
    assert next(iter(rows[0])) == "run"
    assert list(dict.fromkeys(row["run"] for row in rows)) == ["audit", "other", "other minus audit"]
    found = {
        (row["name"], row["operation"], row["figure"]): row
        for row in rows
        if row["run"] == "other minus audit"
    }
    assert float(found["", "", "accuracy"]["value"]) == pytest.approx(20 / 118)
    assert float(found["zero", "add", "delta_p_label"]["value"]) == 0
    assert 0 <= float(found["", "", "mcnemar.p"]["value"]) < 0.05


def test_rows_of_classes(made: dict[str, Path], tmp_path: Path) -> None:
    rows = [
        row for row in rows_of(export([made["audit"]], "csv", tmp_path / "a.csv")) if row["kind"] == "class"
    ]
    found = {(row["name"], row["figure"]): row for row in rows}
    assert len(found) == len(rows)
    classes = json.loads((made["audit"] / "summary.json").read_text())["by_class"]
    assert {row["name"] for row in rows} == {str(one["class"]) for one in classes}
    for one in classes:
        name = str(one["class"])
        assert float(found[name, "n_wrong"]["value"]) == one["n_wrong"]
        assert float(found[name, "confidence"]["value"]) == one["confidence"]["value"]
        for method, figure in one["methods"].items():
            assert float(found[name, f"methods.{method}"]["value"]) == figure["value"]
            assert int(found[name, f"methods.{method}"]["n"]) == figure["n"]


def test_the_number_of_heatmaps_is_no_number_of_images(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / name, Invented(methods=("a", "b", "c"), wrong=wrong))
        for name, wrong in (("one", 40), ("two", 30))
    ]
    rows = {
        row["figure"]: row
        for row in rows_of(export(runs, "csv", tmp_path / "a.csv"))
        if "minus" in row["run"]
    }
    for name, n in (("delta_p_label", "118"), ("gap", ""), ("auroc_label_free", "")):
        assert rows[f"spearman.{name}"]["value"]
        assert rows[f"spearman.{name}"]["n"] == rows[f"kendall.{name}"]["n"] == n
        assert (rows[f"heatmaps.{name}"]["value"], rows[f"heatmaps.{name}"]["n"]) == ("6", "")
    (compared,) = json.loads(export(runs, "json", tmp_path / "a.json").read_text())["compared"]
    assert compared["ranks"]["gap"]["spearman"]["n"] is None
    assert compared["ranks"]["gap"]["heatmaps"] == 6


# One document


@pytest.mark.parametrize("kind", KINDS)
def test_the_document_holds_both_files_as_they_are(made: dict[str, Path], tmp_path: Path, kind: str) -> None:
    found = json.loads(export([made[kind]], "json", tmp_path / "a.json").read_text(encoding="utf-8"))
    assert found["run"] == json.loads((made[kind] / "run.json").read_text())
    assert found["summary"] == json.loads((made[kind] / "summary.json").read_text())
    assert found["format"] == 1


def test_numbers_that_are_none_are_null(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"odd": [float("nan"), float("inf"), 1.5]}))
    text = export([run], "json").read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=pytest.fail)["run"]["odd"] == [None, None, 1.5]


def test_the_document_of_two_audits(made: dict[str, Path], tmp_path: Path) -> None:
    path = export([made["audit"], made["other"]], "json", tmp_path / "a.json")
    found = json.loads(path.read_text(encoding="utf-8"))
    assert list(found["runs"]) == ["audit", "other"]
    (compared,) = found["compared"]
    assert (compared["run"], compared["to"]) == ("other", "audit")
    assert compared["accuracy"]["difference"]["n"] == found["images"] - 2
    assert set(compared["delta_p_label"]) >= {"saliency/add", "noise/add"}


# A text


@pytest.mark.parametrize("kind", [*KINDS, "compared"])
def test_the_text_has_the_verdict_and_every_table(made: dict[str, Path], tmp_path: Path, kind: str) -> None:
    runs = [made["audit"], made["other"]] if kind == "compared" else [made[kind]]
    text = export(runs, "md", tmp_path / "a.md").read_text(encoding="utf-8")
    page = Elements(MarkdownIt("commonmark").enable("table").render(text))
    html = export(runs, "html", tmp_path / "a.html").read_text(encoding="utf-8")
    verdict = re.search(r'<p class="verdict">(.*?)</p>', html, re.DOTALL)[1]
    assert re.sub(r"\W+", "", Elements(f"<p>{verdict}</p>").text[0]) in re.sub(r"\W+", "", "".join(page.text))
    assert page.tags()["table"] == Elements(html).tags()["table"]
    assert page.tags()["h1"] == 1
    lengths = [line.count(" | ") for line in text.splitlines() if line.startswith("| ---")]
    assert lengths
    assert set(page.tags()) <= set("h1 h2 h3 p ul li strong em table thead tbody tr th td pre code".split())


def test_the_questions_tables_stand_under_their_titles(made: dict[str, Path], tmp_path: Path) -> None:
    text = export([made["audit"]], "md", tmp_path / "a.md").read_text(encoding="utf-8")
    tables = [found for question in build(made["audit"]).questions for found in question.tables]
    assert [name for name, _ in tables] == ["signals", "added-values", "improvement"]
    for _, table in tables:
        body = text.partition(f"\n## {table.title}\n")[2].partition("\n## ")[0]
        lines = [line for line in body.splitlines() if line.startswith("| ")]
        assert len(lines) == len(table.rows) + 2
        for row, line in zip(table.rows, lines[2:], strict=True):
            assert line.startswith(f"| {escaped(row.cells[0].text)}")
    verdict = json.loads((made["audit"] / "summary.json").read_text())["indicators"][0]["verdict"]
    assert escaped(f"good:indicator ({verdict})") in text


def test_hostile_names_are_text_in_the_text_too(tmp_path: Path) -> None:
    evil = EVIL + " | a ** b [c](http://d) `e` ~~f~~"
    run = write_run(
        tmp_path / "run",
        Invented(
            methods=(evil, "deeplift"),
            reason=evil,
            run={"command": [evil + "```"], "config": {evil: evil}, "refused": {evil: evil}},
        ),
    )
    text = export([run], "md").read_text(encoding="utf-8")
    page = Elements(
        MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough").render(text)
    )
    assert not set(page.tags()) & {"script", "img", "a", "s", "title", "style"}
    assert not page.scripts
    words = " ".join("".join(page.text).split())
    assert "a ** b [c](http://d) `e` ~~f~~" in words
    heads = [line for line in text.splitlines() if line.startswith("| ---")]
    assert heads


@pytest.mark.parametrize("words", ["p < 0.05 & more", "[0.39, 0.47]", "input_x_gradient", "1 − 2"])
def test_plain_words_are_left_alone(words: str) -> None:
    assert escaped(words) == words


# Figures apart


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*KINDS, "compared"])
def test_every_figure_is_there_twice_with_its_caption(figures: dict[str, Path], kind: str) -> None:
    folder = figures[kind]
    drawn, printed = ({path.stem for path in folder.glob(f"*.{form}")} for form in ("svg", "pdf"))
    assert drawn == printed
    assert len(drawn) >= 2
    assert {path.suffix for path in folder.iterdir()} == {".svg", ".pdf", ".md"}
    captions = (folder / "captions.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^## (.+)$", captions, re.MULTILINE)) == drawn


def test_the_files_of_one_heatmap_bear_its_name(figures: dict[str, Path]) -> None:
    names = {path.stem for path in figures["audit"].glob("choice-*.svg")}
    assert any(re.fullmatch(r"choice-\d+-saliency-add-free", name) for name in names)


def test_every_figure_of_the_page_is_among_them(made: dict[str, Path], figures: dict[str, Path]) -> None:
    page = export([made["audit"]], "html", figures["audit"].parent / "a.html").read_text(encoding="utf-8")
    assert page.count('<svg role="img"') == len(list(figures["audit"].glob("*.svg")))


@pytest.mark.parametrize("kind", [*KINDS, "compared"])
def test_a_drawing_stands_alone(figures: dict[str, Path], kind: str) -> None:
    for path in figures[kind].glob("*.svg"):
        text = path.read_text(encoding="utf-8")
        root = ElementTree.fromstring(text)
        assert root.tag == f"{SVG}svg"
        assert "var(" not in text
        assert "#0a0b0" not in text
        assert not re.search(r"@import|<script|<foreignObject|<image", text)
        names = {element.attrib["id"] for element in root.iter() if "id" in element.attrib}
        links = [v for e in root.iter() for k, v in e.attrib.items() if k.endswith("href")]
        assert {link[1:] for link in links} <= names
        assert all(link.startswith("#") for link in links)
        assert set(re.findall(r"url\(#([^)]*)\)", text)) <= names
        assert root.attrib["width"] == "120mm"
        assert root.find(f"{SVG}title").text
        assert root.find(f"{SVG}rect").attrib["style"] == "fill: #ffffff"
        _, _, width, height = map(float, root.attrib["viewBox"].split())
        assert float(root.attrib["height"].removesuffix("mm")) == pytest.approx(
            120 * height / width, abs=0.01
        )


def letters(text: str) -> str:
    return "".join(sorted("".join(text.split())))


@pytest.mark.parametrize("kind", [*KINDS, "compared"])
def test_the_pdf_has_the_size_and_the_words_of_the_drawing(figures: dict[str, Path], kind: str) -> None:
    for path in figures[kind].glob("*.svg"):
        root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
        reader = pypdf.PdfReader(path.with_suffix(".pdf"))
        assert len(reader.pages) == 1
        box = reader.pages[0].mediabox
        millimetres = [float(root.attrib[side].removesuffix("mm")) for side in ("width", "height")]
        assert [float(box.width), float(box.height)] == pytest.approx(
            [m * 72 / 25.4 for m in millimetres], abs=0.05
        )
        words = "".join("".join(text.itertext()) for text in root.iter(f"{SVG}text"))
        assert letters(reader.pages[0].extract_text()) == letters(words)
        fonts = reader.pages[0]["/Resources"]["/Font"].values()
        for font in fonts:
            (inner,) = font.get_object().get("/DescendantFonts", [font])
            descriptor = inner.get_object()["/FontDescriptor"].get_object()
            assert "/FontFile2" in descriptor  # the font is within, as outlines
        assert "/Image" not in str([x.get_object().get("/Subtype") for x in resources(reader, "/XObject")])


def resources(reader: Any, kind: str) -> list[Any]:
    return list(reader.pages[0]["/Resources"].get(kind, {}).values())


def test_the_pdf_draws_what_the_svg_says() -> None:
    """The same rectangle, line and text, read back from the PDF's own instructions in its own units."""
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        'viewBox="-10 -10 120 60" width="120mm" height="60mm">'
        '<defs><clipPath id="c"><rect x="0" y="0" width="50" height="20"/></clipPath>'
        '<path id="m" d="M 0 0 L 0 4" style="stroke: #112233"/></defs>'
        '<path d="M 0 0 L 100 0 L 100 40 L 0 40 z" clip-path="url(#c)" style="fill: #ff0000; opacity: 0.5"/>'
        '<use xlink:href="#m" x="30" y="20" style="stroke-width: 2"/>'
        '<text style="font-size: 10px" x="20" y="30" transform="rotate(-90 20 30)">up</text></svg>'
    )
    reader = pypdf.PdfReader(io.BytesIO(as_pdf(svg)))
    unit = 72 / 25.4
    (left, bottom) = (10 * unit, (60 - 10 - 40) * unit)
    assert [float(x) for x in reader.pages[0].mediabox] == pytest.approx([0, 0, 120 * unit, 60 * unit])
    content = reader.pages[0].get_contents().get_data().decode()
    corners = [tuple(map(float, pair)) for pair in re.findall(r"([\d.]+) ([\d.]+) [ml]\b", content)]

    def drawn(x: float, y: float) -> bool:
        return any(np.hypot(x - a, y - b) < 0.01 for a, b in corners)

    assert drawn(left, bottom)
    assert drawn(left + 100 * unit, bottom + 40 * unit)
    assert drawn(40 * unit, (60 - 30) * unit)  # the mark's start, moved by its use
    assert drawn(40 * unit, (60 - 34) * unit)
    assert "1 0 0 rg" in content
    assert reader.pages[0].extract_text().strip() == "up"
    assert f"{2 * unit:.4f}"[:5] in content  # the width that the use gives the mark


@pytest.mark.parametrize(
    "body",
    ["<image/>", '<path d="M 0 0 A 1 1 0 0 0 2 2"/>', '<g transform="skewX(3)"/>', '<path d="m 0 0"/>'],
)
def test_what_a_pdf_cannot_show_is_no_silent_loss(body: str) -> None:
    svg = f'<svg viewBox="0 0 10 10" width="10mm" height="10mm">{body}</svg>'
    with pytest.raises(ValueError, match="cannot show"):
        as_pdf(svg)


def test_paths_and_transforms_are_read_as_svg_defines_them() -> None:
    path = parse_path("M 1 2 \nL 3 -4.5 \nC 1 1 2 2 3e0 3 \nQ 1 1 2 2 \nz\n")
    codes = [Outline.MOVETO, Outline.LINETO, *[Outline.CURVE4] * 3, *[Outline.CURVE3] * 2, Outline.CLOSEPOLY]
    assert path.codes.tolist() == codes
    assert path.vertices[1].tolist() == [3, -4.5]
    moved = parse_transform("translate(10 20) rotate(90)")
    assert moved.transform((1, 0)) == pytest.approx([10, 21])
    around = parse_transform("rotate(-90 5 5)")
    assert around.transform((5, 0)) == pytest.approx([0, 5])


def test_words_that_reach_beyond_the_drawing_are_within_the_file() -> None:
    rows = (GroupRow("a", "", False, (None,)),)
    label = "a very long axis that says much more than there is any room for below the panel of a figure"
    plate = Plate("x", "t", "c", "a", Groups(rows, (("s", "ink"),), Axis(0, 1), label, 0.0))
    root = ElementTree.fromstring(standalone(plate))
    left, _, width, _ = map(float, root.attrib["viewBox"].split())
    assert left + width > 500
    text = pypdf.PdfReader(io.BytesIO(as_pdf(standalone(plate)))).pages[0].extract_text()
    assert label in " ".join(text.split())


def test_the_colours_are_those_of_the_light_page() -> None:
    assert light_colours()["page"] == "#ffffff"
    assert {"ink", "muted", "rule", "correct", "wrong", "all", "control"} <= set(light_colours())


@pytest.mark.slow
def test_the_same_run_gives_the_same_files(made: dict[str, Path], tmp_path: Path) -> None:
    first, second = (export([made["lift"]], "figures", tmp_path / name) for name in ("a", "b"))
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes()


def test_letters_that_the_font_lacks_do_not_stop_the_pdf() -> None:
    rows = (GroupRow("漢字 🙂", "", False, (None,)),)
    plate = Plate("x", "t", "c", "a", Groups(rows, (("s", "ink"),), Axis(0, 1), "axis", 0.0))
    assert "漢字" in standalone(plate)
    assert as_pdf(standalone(plate)).startswith(b"%PDF")


# Where it goes, and what is refused


@pytest.mark.parametrize("form", FORMATS)
def test_one_run_s_report_goes_to_its_own_folder(made: dict[str, Path], tmp_path: Path, form: str) -> None:
    run = write_run(tmp_path / "run", Invented(methods=("saliency",), controls=(), operations=("add",)))
    expected = run / ("figures" if form == "figures" else f"report.{form}")
    before = set(run.iterdir())
    assert export([run], form) == expected
    assert set(run.iterdir()) - before == {expected}


@pytest.mark.parametrize("form", FORMATS)
def test_a_run_that_is_none_creates_nothing(tmp_path: Path, form: str) -> None:
    with pytest.raises(HeatliftError, match=r"run\.json"):
        export([tmp_path / "typo"], form, tmp_path / "deep" / "er" / "out")
    with pytest.raises(HeatliftError, match=r"run\.json"):
        export([tmp_path / "typo"], form)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", FORMATS)
def test_a_run_of_an_unknown_kind(tmp_path: Path, form: str) -> None:
    run = write_run(tmp_path / "run", Invented(run={"kind": "dream"}))
    if form == "json":
        assert export([run], form).exists()  # it needs to know nothing of what it holds
        return
    with pytest.raises(HeatliftError, match="another kind, 'dream'"):
        export([run], form, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_folder_with_other_things_is_not_filled(made: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(HeatliftError, match="other things in it"):
        export([made["lift"]], "figures", tmp_path)
    with pytest.raises(HeatliftError, match="is a file"):
        export([made["lift"]], "figures", tmp_path / "notes.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    export([made["lift"]], "figures", tmp_path / "new")
    export([made["lift"]], "figures", tmp_path / "new")


BAD = {
    "no run": ("report", "Missing argument 'RUN...'"),
    "unknown format": ("report {audit} --format pdf", "'pdf' is not a format of reports"),
    "several without a place": ("report {audit} {other}", "--out compared.html"),
    "several figures without a place": ("report {audit} {other} --format figures", "--out compared"),
    "mixed kinds": ("report {audit} {lift} --out {here}/x.html", "only audits can be compared"),
    "two lifts": ("report {lift} {undesirable} --out {here}/x.html", "only audits can be compared"),
    "twice": ("report {audit} {audit} --out {here}/x.html", "given twice"),
    "summary as target": ("report {audit} --format json --out {audit}/summary.json", "part of a run"),
    "folder as target": ("report {audit} --format csv --out {here}", "is a folder"),
    "another run's report": ("report {audit} {other} --out {other}/report.html", "one run alone"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_line_and_status_2(
    case: str, made: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, message = BAD[case]
    before = {path: path.stat().st_mtime_ns for run in made.values() for path in run.rglob("*")}
    assert command_line(shlex.split(text.format(here=tmp_path, **made))) == 2
    said = capsys.readouterr().err.strip()
    assert message in said
    assert "\n" not in said
    assert list(tmp_path.iterdir()) == []
    assert {path: path.stat().st_mtime_ns for run in made.values() for path in run.rglob("*")} == before


def test_the_command_says_what_it_wrote(
    made: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a.csv"
    assert command_line(["report", str(made["lift"]), "--format", "csv", "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"csv: {out}\n"
    both = [str(made["audit"]), str(made["other"])]
    assert command_line(["report", *both, "--out", str(tmp_path / "b.html")]) == 0
    assert capsys.readouterr().out == f"report: {tmp_path / 'b.html'}\n"


def test_every_plate_is_found_wherever_a_page_keeps_it(made: dict[str, Path]) -> None:
    page = build(made["audit"])
    identities = [plate.identity for plate in plates_of(page)]
    assert len(identities) == len(set(identities))
    assert {plate.identity for plate in page.lead} <= set(identities)
    assert plates_of({"a": [page.lead[0]], "b": (page.lead[0],)}) == [page.lead[0]]


def test_help_does_not_load_what_it_does_not_need() -> None:
    found = subprocess.run(
        [sys.executable, "-c", "import sys, heatlift.cli; print('matplotlib' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "False"


def test_an_ending_that_is_another_format_s_is_refused(made: dict[str, Path], tmp_path: Path) -> None:
    for form, ending in (("html", "csv"), ("json", "csv"), ("md", "html")):
        with pytest.raises(HeatliftError, match=f"give --format {ending}, or another ending"):
            export([made["audit"]], form, tmp_path / f"x.{ending}")
    assert not list(tmp_path.iterdir())
    assert export([made["audit"]], "md", tmp_path / "x.txt").is_file()
