"""A reproduction's page and JSON: what is printed beside what is measured, and nothing that could run."""

from __future__ import annotations

import json
from html import unescape
from pathlib import Path

import pytest

from heatlift.cli import run
from heatlift.reproduce.page import (
    FORMAT,
    build_reproduction_page,
    headline,
    measured_text,
    told,
    write_reproduction,
)
from heatlift.reproduce.parts import Drawing, Line, Part, Reproduction
from heatlift.reproduce.request import Request, command
from pages import EVIL, Elements

NARROW = '<svg role="img" viewBox="0 0 460 100" width="460" height="100"><text>narrow</text></svg>'
WIDE = '<svg role="img" viewBox="0 0 900 100" width="900" height="100"><text>wide</text></svg>'


def figure(
    value: float, low: float | None = None, high: float | None = None, n: int = 200
) -> dict[str, object]:
    return {"value": value, "low": low, "high": high, "n": n}


def reproduction(text: str = "", **settings: object) -> Reproduction:
    lines = (
        Line(f"phi{text}", "48.741", figure(42.61, 38.2, 46.9), f"of all{text}"),
        Line("median", None, figure(47.9, 38.0, 54.0)),
        Line("area", "0.0373", None, "could not be measured"),
    )
    table = Part(
        "table-1",
        "Table 1",
        f"Found{text}",
        f"Claimed{text}",
        lines,
        (Drawing(NARROW, f"Narrow{text}"), Drawing(WIDE, f"Wide{text}")),
        (f"Another network{text}",),
        ("runs/there", f"runs/gone{text}"),
    )
    alone = Part("figure-1", "Figure 1", "Nothing was run", "", differs=("No X-rays",))
    return Reproduction("kang2019", f"Kang 2019{text}", (alone, table), settings)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "runs" / "there").mkdir(parents=True)
    (tmp_path / "runs" / "there" / "report.html").write_text("a report", encoding="utf-8")
    return tmp_path


def test_the_first_table_has_printed_and_measured_numbers_side_by_side(out: Path) -> None:
    page = build_reproduction_page(reproduction(), out)
    rows = [[cell.text for cell in row.cells] for row in page.overview.rows]
    assert [column.title for column in page.overview.columns] == ["Where", "What", "Printed", "Measured", "n"]
    assert rows == [
        ["Figure 1", "Nothing was run", "–", "–", "–"],
        ["Table 1", "phi", "48.741", "42.6 [38.2, 46.9]", "200"],
        ["Table 1", "area", "0.0373", "–", "–"],
    ]
    assert [row.cells[0].link for row in page.overview.rows] == ["#figure-1", "#table-1", "#table-1"]


def test_a_part_without_printed_numbers_is_there_by_its_first_line() -> None:
    part = Part("f", "F", "t", "c", (Line("a", None, figure(1.0)), Line("b", None, figure(2.0))))
    assert [line.what for line in headline(part)] == ["a"]


def test_printed_numbers_are_counted_apart_from_words(out: Path) -> None:
    printed = ["48.741", "−0.79 (−π/4)", "48 or more", "above 0", "most", None, None]
    measured = [figure(1.0), None, figure(2.0), figure(3.0), None, figure(4.0), None]
    lines = tuple(Line(f"{place}", *each) for place, each in enumerate(zip(printed, measured, strict=True)))
    page = build_reproduction_page(Reproduction("tjoa2022", "", (Part("f", "F", "t", "c", lines),), {}), out)
    assert [(fact.term, fact.text, fact.note) for fact in page.facts[1:]] == [
        ("Printed numbers", "3", "2 of them measured here"),
        ("Printed in words", "2", "1 of them measured here"),
        ("Further measured", "1", ""),
    ]


def test_a_figure_that_is_no_number_is_not_measured() -> None:
    for measured in (None, figure(float("nan")), {"value": None, "low": None, "high": None, "n": 3}):
        assert measured_text(Line("a", "1", measured)) == "–"


def test_the_page_has_each_part_with_its_box_its_drawings_and_links_to_runs_that_have_reports(
    out: Path,
) -> None:
    path = write_reproduction(reproduction(), out)
    page = Elements(path.read_text(encoding="utf-8"))
    text = " ".join(" ".join(page.text).split())
    assert path == out / "report.html"
    assert text.index("Printed and measured") < text.index("Found") < text.index("Another network")
    assert text.count("What differs from the paper, and why") == 2
    assert [href for href in page.values("href") if href.startswith("runs/")] == ["runs/there/report.html"]
    assert "runs/gone" in text
    identities = page.values("id")
    assert {"figure-1", "table-1", "configuration"} <= set(identities)
    assert len(identities) == len(set(identities))
    assert {href[1:] for href in page.values("href") if href.startswith("#")} <= set(identities)
    assert page.tags()["svg"] == 2
    # What is wide is scrolled within its figure, so that a phone does not scroll the page.
    assert [style for style in page.values("style") if "min-width" in style] == ["min-width: 675px"]


def test_nothing_in_it_can_break_out_of_the_page(out: Path) -> None:
    written = write_reproduction(
        reproduction(EVIL, command=["a", EVIL], **{EVIL: EVIL, "g": {EVIL: EVIL}}), out
    )
    page = Elements(written.read_text(encoding="utf-8"))
    assert page.tags()["script"] == 1
    assert page.tags()["img"] == 0
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert "alert(1)" not in "".join(page.scripts)
    assert "onerror=alert(2)" in unescape(" ".join(page.text))
    assert not [href for href in page.values("href") if not href.startswith(("#", "runs/there"))]


def test_the_json_has_the_same_with_a_format_and_nothing_is_left_beside_it(out: Path) -> None:
    found = reproduction(seed=3, versions={"heatlift": "1"})
    write_reproduction(found, out)
    content = json.loads((out / "reproduction.json").read_text(encoding="utf-8"))
    assert content["format"] == FORMAT
    assert content["paper"] == "kang2019"
    assert [part["anchor"] for part in content["parts"]] == ["figure-1", "table-1"]
    assert content["parts"][1]["lines"][0] == {
        "what": "phi",
        "printed": "48.741",
        "measured": figure(42.61, 38.2, 46.9),
        "note": "of all",
    }
    assert content["parts"][1]["drawings"][0] == {"svg": NARROW, "caption": "Narrow"}
    assert content["settings"] == {"seed": 3, "versions": {"heatlift": "1"}}
    assert sorted(file.name for file in out.iterdir()) == ["report.html", "reproduction.json", "runs"]


def test_a_terminal_reads_findings_and_numbers() -> None:
    assert list(told(reproduction())) == [
        "Figure 1: Nothing was run",
        "Table 1: Found",
        "  phi: printed 48.741, measured 42.6 [38.2, 46.9], 200 images",
        "  area: printed 0.0373, not measured",
    ]


def test_the_command_of_a_request_asks_for_the_same() -> None:
    asked = Request(Path("o"), imagenet="i", limit=7, only=("figure-1", "table-1"), seed=3, batch_size=4)
    said = "--imagenet i --out o --limit 7 --only figure-1,table-1 --seed 3 --batch-size 4"
    assert command("kang2019", asked) == f"heatlift reproduce kang2019 {said}".split()
    assert command("kang2019", Request(Path("o"))) == "heatlift reproduce kang2019 --out o".split()


BAD = {
    "figure-9, table-7: kang2019 has figure-1, figure-2": ["--only", "figure-9,table-7"],
    "does not exist: give a folder": ["--imagenet", "{tmp}/nothing"],
    "is no folder: give a folder": ["--imagenet", "{tmp}/file"],
    "has no X-rays": ["--chest-xray", "{tmp}"],
    "is a file: give a folder": ["--out", "{tmp}/file"],
    "is the folder of a run": ["--out", "{tmp}/run"],
    "holds a reproduction of tjoa2022": ["--out", "{tmp}/other"],
    "this machine's own": ["--out", "s3://bucket/folder"],
    "--batch-size many: give a number": ["--batch-size", "many"],
    "--batch-size 0: give a number": ["--batch-size", "0"],
    "--seed -1: give a number": ["--seed", "-1"],
    "--limit": ["--limit", "0"],
    "--precision": ["--precision", "fp8"],
}


@pytest.mark.parametrize(("said", "arguments"), BAD.items(), ids=BAD)
def test_bad_input_is_one_line(
    said: str, arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    for folder, name in (("run", "run.json"), ("other", "reproduction.json")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text('{"paper": "tjoa2022"}', encoding="utf-8")
    given = [argument.format(tmp=tmp_path) for argument in arguments]
    assert run(["reproduce", "kang2019", "--out", str(tmp_path / "out"), *given]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_unknown_paper_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["reproduce", "smith2020", "--out", "o"]) == 2
    assert "tjoa2022" in capsys.readouterr().err
