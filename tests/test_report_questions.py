"""The questions of an audit's report: figures hold the summary's numbers, and titles claim no more."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from heatlift.report import write_report
from heatlift.report.added_plates import added_plate
from heatlift.report.figures import draw
from heatlift.report.pages import build_page
from heatlift.report.plate import Groups, Plate, Risks, Scales
from heatlift.report.summary import known_figure, read_audit
from heatlift.report.wording import p_text
from pages import Elements, asked
from runs import Invented, write_example, write_run

STAGES = ("stem", "early", "late")
METHODS = ("saliency", *(f"layer_gradcam@{layer}" for layer in STAGES))
RECORD = {
    "stages": [
        {
            "method": f"layer_gradcam@{layer}",
            "base": "layer_gradcam",
            "layer": layer,
            "size": [side, 2 * side],
        }
        for layer, side in zip(STAGES, (56, 28, 7), strict=True)
    ]
}
FULL = Invented(
    images=200,
    wrong=60,
    methods=METHODS,
    controls=("zero", "noise"),
    scales=(0.1, 1.0),
    indicators=("lab.tests:good", "lab.tests:flat"),
    run=RECORD,
)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with everything that an audit can be asked for."""
    run = write_run(tmp_path_factory.mktemp("full") / "run", FULL)
    write_example(run, 0, ("saliency",))
    return run


def summary(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    return found


def rewritten(run: Path, to: Path, **changes: Any) -> Path:
    """A copy of the run whose summary's entries are changed; those that are None go."""
    to.mkdir()
    for part in run.iterdir():
        (to / part.name).symlink_to(part)
    (to / "summary.json").unlink()
    changed = {key: value for key, value in (summary(run) | changes).items() if value is not None}
    (to / "summary.json").write_text(json.dumps(changed), encoding="utf-8")
    return to


def told(run: Path, finding: str, name: str, run_to: Path, low: float = 0.02) -> Path:
    """A copy of the run in which one score has this finding, and a gain of 0.04."""
    methods = summary(run)["methods"]
    for method in methods:
        if f"{method['method']} {method['operation']} {method['scale']}" == name:
            method["finding"] = finding
            method["added"]["confidence"]["auroc"] = {"value": 0.04, "low": low, "high": 0.06, "n": 200}
    indicators = [one | {"finding": "nothing"} for one in summary(run)["indicators"]]
    return rewritten(run, run_to, methods=methods, indicators=indicators)


def plate(run: Path, question: str, identity: str) -> Plate:
    return {found.identity: found for found in asked(build_page(run), question).plates}[identity]


# What a heatmap adds


def test_the_first_figure_is_the_gain_beside_confidence(full: Path) -> None:
    first = build_page(full).lead[0]
    assert isinstance(first.content, Groups)
    rows = {(row.name, row.note): row.known[0] for row in first.content.rows}
    for method in summary(full)["methods"]:
        found = rows.get((method["method"], method["operation"]))
        assert (method["scale"] == 1) <= (found is not None)
        if method["scale"] == 1:
            assert found == known_figure(method["added"]["confidence"]["auroc"])
    for one in summary(full)["indicators"]:
        assert rows[one["indicator"], "indicator"] == known_figure(one["added"]["confidence"]["auroc"])
    best = max(
        (method for method in summary(full)["methods"] if not method["control"]),
        key=lambda method: method["added"]["confidence"]["auroc"]["value"],
    )
    assert best["scale"] == 0.1  # drawn too, although figures show full scale
    assert (f"{best['method']} x0.1", best["operation"]) in rows
    assert len(rows) == len(first.content.rows) == 2 * (len(METHODS) + 2) + 2 + 1
    controls = [row.control for row in first.content.rows]
    assert controls == sorted(controls)


@pytest.mark.parametrize(
    ("finding", "name", "title"),
    [
        ("adds", "saliency add 1.0", "saliency/add adds to confidence: AUROC +0.040 [0.020, 0.060]"),
        ("adds", "saliency add 0.1", "saliency/add x0.1 adds to confidence: AUROC +0.040 [0.020, 0.060]"),
        ("nothing", "saliency add 1.0", "No heatmap adds to what confidence tells: the best, saliency/add,"),
        ("control_too", "saliency add 1.0", "What saliency/add adds to confidence, a control adds too"),
        ("adds", "noise add 1.0", "No heatmap adds to what confidence tells"),
    ],
)
def test_the_first_title_says_what_the_findings_say(
    full: Path, tmp_path: Path, finding: str, name: str, title: str
) -> None:
    run = told(full, finding, name, tmp_path / "run")
    first = added_plate(read_audit(run))
    assert first is not None
    assert first.title.startswith(title)


def test_a_gain_at_another_scale_is_drawn(full: Path, tmp_path: Path) -> None:
    first = added_plate(read_audit(told(full, "adds", "saliency add 0.1", tmp_path / "run")))
    assert first is not None
    assert [row.name for row in first.content.rows][:1] == ["lab.tests:good"]
    assert ("saliency x0.1", "add") in {(row.name, row.note) for row in first.content.rows}


def with_gain(run: Path, to: Path, entry: str, gain: float, **changes: Any) -> Path:
    """A copy of the run in which one entry gains so much, with its whole interval, and p is small."""
    methods = summary(run)["methods"]
    for method in methods:
        if f"{method['method']} {method['operation']} {method['scale']}" == entry:
            figure = {"value": gain, "low": gain - 0.01, "high": gain + 0.01, "n": 198}
            method["added"]["confidence"] |= {"auroc": figure, "p": 1e-6}
            method |= changes
    return rewritten(run, to, methods=methods)


def test_the_control_that_speaks_against_a_gain_is_named_and_drawn(full: Path, tmp_path: Path) -> None:
    run = told(full, "control_too", "saliency add 0.1", tmp_path / "a")
    run = with_gain(run, tmp_path / "b", "saliency add 0.1", 0.3, equalled_by="noise/add x0.1")
    run = with_gain(run, tmp_path / "c", "zero add 1.0", 0.2)  # at another scale
    first = added_plate(read_audit(with_gain(run, tmp_path / "d", "noise add 0.1", 0.02)))
    assert first is not None
    assert first.title == "What saliency/add x0.1 adds to confidence, the control noise/add x0.1 adds too"
    drawn = {(row.name, row.note): row for row in first.content.rows}
    assert drawn["noise x0.1", "add"].control
    assert drawn["noise x0.1", "add"].known[0].value == 0.02
    assert drawn["saliency x0.1", "add"].known[0].value == 0.3
    assert ("noise x0.1", "multiply") not in drawn


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("noise add 1.0", "Here noise/add gains: then the score, and not the heatmap, knows something. "),
        (
            "zero multiply 1.0",
            "Here zero/multiply gains: then the score, and not the heatmap, knows something (zeros",
        ),
    ],
)
def test_what_it_means_that_a_control_gains(full: Path, tmp_path: Path, entry: str, words: str) -> None:
    first = added_plate(read_audit(with_gain(full, tmp_path / "gains", entry, 0.06)))
    assert first is not None
    assert words in first.caption
    first = added_plate(read_audit(with_gain(full, tmp_path / "not", entry, 0.0)))
    assert first is not None
    assert words not in first.caption


def test_the_best_is_the_best_of_all_scales(full: Path, tmp_path: Path) -> None:
    run = with_gain(
        told(full, "nothing", "zero add 1.0", tmp_path / "a"), tmp_path / "b", "saliency add 0.1", 0.3
    )
    first = added_plate(read_audit(run))
    assert first is not None
    assert "the best, saliency/add x0.1, AUROC +0.30" in first.title
    assert ("saliency x0.1", "add") in {(row.name, row.note) for row in first.content.rows}


@pytest.mark.parametrize(
    ("designs", "ending"),
    [
        ({"signals": 0.01, "predicted_class": 0.01}, "0.060]"),
        ({"signals": -0.01, "predicted_class": 0.01}, ", but not to the classifier’s other signals"),
        (
            {"signals": -0.01, "predicted_class": -0.01},
            ", but not to the classifier’s other signals or the predicted class",
        ),
        ({"signals": 0.01}, "; whether it only tells classes apart was not tested"),
    ],
)
def test_the_first_title_says_what_the_gain_is_not_cleared_of(
    full: Path, tmp_path: Path, designs: dict[str, float], ending: str
) -> None:
    run = told(full, "nothing", "saliency add 1.0", tmp_path / "a")
    entry = next(m for m in summary(run)["methods"] if m["method"] == "saliency" and m["scale"] == 1)
    added = {"confidence": entry["added"]["confidence"], "label": None, "predicted_class": None}
    added |= {
        name: {"auroc": {"value": 0.02, "low": low, "high": 0.05, "n": 198}} for name, low in designs.items()
    }
    run = with_gain(run, tmp_path / "b", "saliency add 1.0", 0.04, added=added, finding="adds")
    first = added_plate(read_audit(run))
    assert first is not None
    assert first.title.startswith("saliency/add adds to confidence: AUROC +0.040 [0.020, 0.060]")
    assert first.title.endswith(ending)


def test_a_figure_of_fewer_images_is_said_to_be(full: Path, tmp_path: Path) -> None:
    first = added_plate(read_audit(full))
    assert first is not None
    assert "n = 138 correct, 60 wrong." in first.caption
    methods = summary(full)["methods"]
    for method in methods:
        if method["method"] == "saliency":
            for figure in (
                method["added"]["confidence"]["auroc"],
                method["auroc_label_free"],
                method["within"],
            ):
                figure["n"] = 150
    run = rewritten(full, tmp_path / "run", methods=methods)
    words = "fewer where rows failed (the table has each)"
    assert words in build_page(run).lead[0].caption
    assert words in plate(run, "telling", "auroc").caption
    assert words in plate(run, "classes", "within").caption
    assert words not in plate(full, "classes", "within").caption
    table = dict(asked(build_page(run), "telling").tables)["added-values"]
    assert {row.cells[-1].text for row in table.rows if row.cells[0].text.startswith("saliency")} == {"150"}


def test_an_indicator_that_adds_is_named(full: Path) -> None:
    assert summary(full)["indicators"][0]["finding"] == "adds"
    title = build_page(full).lead[0].title
    assert "indicator lab.tests:good does" in title or "adds to confidence" in title


def test_a_summary_without_gains_leads_with_the_aurocs(full: Path, tmp_path: Path) -> None:
    entries = ("added", "finding", "improvement", "mcnemar", "scale", "within", "p_corrected", "ks")
    older = [
        {key: value for key, value in method.items() if key not in entries}
        for method in summary(full)["methods"]
        if method["scale"] == 1
    ]
    gone = dict.fromkeys(("indicators", "by_class", "curves", "temperature", "classes"))
    run = rewritten(full, tmp_path / "older", methods=older, **gone)
    page = build_page(run)
    assert [found.identity for found in page.lead] == ["auroc", "closer"]
    assert "auroc" not in [found.identity for found in asked(page, "telling").plates]
    titles = {identity: table for question in page.questions for identity, table in question.tables}
    assert set(titles) == {"signals", "improvement"}
    assert write_report(run, tmp_path / "older.html").stat().st_size > 0


# What tells correct from wrong


def test_risk_curves_are_those_of_the_summary(full: Path) -> None:
    risk = plate(full, "telling", "risk")
    assert isinstance(risk.content, Risks)
    curves = summary(full)["curves"]
    assert list(risk.content.coverage) == curves["coverage"]
    lines = {line.role: line for line in risk.content.lines}
    assert list(lines["all"].risk) == curves["risk"]["confidence"]
    assert list(lines["bound"].risk) == curves["risk"]["best possible"]

    def mean(name: str) -> float:
        return sum(curves["risk"][name])

    for role, control in (("ink", False), ("control", True)):
        names = [
            f"{m['method']}/{m['operation']}"
            for m in summary(full)["methods"]
            if m["control"] is control and m["scale"] == 1
        ]
        assert list(lines[role].risk) == curves["risk"][min(names, key=mean)]
    assert lines["hollow"].name == "lab.tests:good"
    assert risk.content.random == pytest.approx(60 / 198)
    assert f"are kept: {mean('confidence') / 50:.1%} by confidence, " in risk.title


def test_every_heatmap_has_a_curve_of_its_own(full: Path) -> None:
    curves = summary(full)["curves"]["risk"]
    for choice in build_page(full).choices:
        line = next(line for line in choice.plates[-1].content.lines if line.role in ("ink", "control"))
        assert list(line.risk) == curves[choice.name]


def test_only_scores_of_all_images_compete_for_the_lowest_curve(full: Path, tmp_path: Path) -> None:
    curves = summary(full)["curves"]
    easy = {"saliency/add", "noise/add", "lab.tests:good"}
    curves["risk"] |= {name: [0.0] * 50 for name in easy}
    whole = dict.fromkeys(curves["risk"], 198)
    run = rewritten(full, tmp_path / "few", curves=curves | {"n": whole | dict.fromkeys(easy, 150)})
    risk = plate(run, "telling", "risk")
    assert not easy & {line.name.removesuffix(" (control)") for line in risk.content.lines}
    assert len(risk.content.lines) == 5
    assert "3 scores that failed at some images left out" in risk.caption
    own = {choice.name: choice.plates[-1].caption for choice in build_page(run).choices}
    assert "saliency/add: n = 150 images, the others: n = 138 correct, 60 wrong" in own["saliency/add"]
    assert "150" not in own["saliency/multiply"]
    for counts in ({"n": whole}, {}):
        older = {key: value for key, value in curves.items() if key != "n"} | counts
        risk = plate(rewritten(full, tmp_path / str(len(counts)), curves=older), "telling", "risk")
        assert easy <= {line.name.removesuffix(" (control)") for line in risk.content.lines}
        assert "left out" not in risk.caption


def test_the_distance_of_kolmogorov_and_smirnov_stands_with_its_p(full: Path, tmp_path: Path) -> None:
    methods, baselines = summary(full)["methods"], summary(full)["baselines"]
    bare = {"value": 0.25, "low": None, "high": None, "n": 198}
    baselines["confidence"] |= {"ks": bare, "ks_p": 1e-9}
    methods[0] |= {"ks": bare, "ks_p": 0.031, "ks_label": bare, "ks_label_p": None}
    page = build_page(
        rewritten(full, tmp_path / "run", methods=methods, baselines=baselines, temperature=None)
    )
    signals = dict(asked(page, "telling").tables)["signals"]
    place = [column.title for column in signals.columns].index("KS")
    assert (signals.rows[0].cells[place].text, signals.rows[0].cells[place].detail) == ("0.25", "p < 0.001")
    titles = [column.title for column in page.methods.columns]
    cells = page.methods.rows[0].cells
    assert cells[titles.index("KS")].detail == "p = 0.031"
    assert cells[titles.index("KS with label")].detail == ""


def test_the_signals_are_in_a_table_with_the_indicators(full: Path) -> None:
    table = dict(asked(build_page(full), "telling").tables)["signals"]
    names = [row.cells[0].text for row in table.rows]
    assert names == [*summary(full)["baselines"], "lab.tests:good", "lab.tests:flat"]
    titles = [column.title for column in table.columns]
    for row, name in zip(table.rows, names, strict=True):
        entry = (summary(full)["baselines"] | {one["indicator"]: one for one in summary(full)["indicators"]})[
            name
        ]
        assert row.cells[titles.index("KS")].value == entry["ks"]["value"]
        assert row.cells[titles.index("Surest 80%")].value == entry["accuracy_at"]["0.8"]["value"]
    assert "Temperature" in table.caption


def test_what_every_score_adds_is_in_a_table(full: Path) -> None:
    table = dict(asked(build_page(full), "telling").tables)["added-values"]
    assert len(table.rows) == len(summary(full)["methods"]) + 2
    gains = [row.cells[1].value for row in table.rows]
    scores = [*summary(full)["methods"], *summary(full)["indicators"]]
    assert gains == [score["added"]["confidence"]["auroc"]["value"] for score in scores]


# Within each class


def test_classes_stand_in_rows_with_their_errors(full: Path) -> None:
    found = plate(full, "classes", "by-class")
    classes = summary(full)["by_class"]
    assert [row.note for row in found.content.rows] == [
        f"{one['n_wrong']}/{one['n_wrong'] + one['n_correct']}" for one in classes
    ]
    assert [row.name for row in found.content.rows] == [FULL.classes[one["class"]] for one in classes]
    assert [row.known[0] for row in found.content.rows] == [known_figure(c["confidence"]) for c in classes]


def test_classes_without_a_figure_are_not_counted(full: Path, tmp_path: Path) -> None:
    def figure(value: float | None) -> dict[str, float | None]:
        low, high = (None, None) if value is None else (value - 0.1, value + 0.1)
        return {"value": value, "low": low, "high": high, "n": 60 if value is not None else 1}

    classes = summary(full)["by_class"]
    names = list(classes[0]["methods"])
    for one, confidence, other in zip(classes, (0.8, 0.8, 0.5), (0.8, None, 0.5), strict=True):
        one["confidence"] = figure(confidence)
        one["methods"] = dict.fromkeys(names, figure(other))
    found = plate(rewritten(full, tmp_path / "run", by_class=classes), "classes", "by-class")
    assert found.title.startswith(
        "Of 3 predicted classes, correct and wrong differ with the whole interval in 2 by confidence, in 1 "
        "of 2 by "
    )
    assert "missing where too few were left" in found.caption
    for one in classes:
        one["methods"] = dict.fromkeys(names, figure(None))
    alone = plate(rewritten(full, tmp_path / "none", by_class=classes), "classes", "by-class")
    assert [words for words, _ in alone.content.series] == ["confidence"]


def test_without_errors_in_a_class_the_question_is_not_asked(full: Path, tmp_path: Path) -> None:
    page = build_page(rewritten(full, tmp_path / "run", by_class=[]))
    assert "classes" not in [question.identity for question in page.questions]


# Does it help


def test_changes_are_drawn_for_correct_and_wrong_apart(full: Path) -> None:
    found = plate(full, "helping", "help-0-change")
    assert [role for _, role in found.content.series] == ["correct", "wrong"]
    entries = {m["method"]: m for m in summary(full)["methods"] if (m["operation"], m["scale"]) == ("add", 1)}
    assert {row.name for row in found.content.rows} == set(entries)
    for row in found.content.rows:
        parts = entries[row.name]["improvement"]
        assert row.known == tuple(known_figure(parts[kind]["delta_p_label"]) for kind in ("correct", "wrong"))


def test_scales_have_a_panel_for_each_heatmap(full: Path) -> None:
    found = plate(full, "helping", "help-0-scales")
    assert isinstance(found.content, Scales)
    assert found.content.scales == (0.1, 1.0)
    assert {panel.name for panel in found.content.panels} == {*METHODS, "zero", "noise"}
    svg = draw(found)
    assert ">0.1</text>" in svg
    assert ">1</text>" in svg


def test_the_scale_is_explained_for_each_operation(full: Path) -> None:
    assert "x + s h." in plate(full, "helping", "help-0-scales").caption
    multiplied = plate(full, "helping", "help-1-scales")
    assert "(1 − s) x + s x × h." in multiplied.caption
    assert "multiplied by the scale" not in multiplied.caption


def test_at_one_scale_there_is_no_curve_over_it(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    assert not [p for p in asked(build_page(run), "helping").plates if isinstance(p.content, Scales)]


def test_figures_show_full_scale_and_tables_everything(full: Path) -> None:
    page = build_page(full)
    assert not [choice.name for choice in page.choices if " x" in choice.name]
    boxplots = asked(page, "scores").plates[0].content.rows
    assert len(boxplots) == len(METHODS) + 2
    assert boxplots[0].boxes["correct"].n == 138
    assert len(page.methods.rows) == len(summary(full)["methods"]) == 2 * 2 * (len(METHODS) + 2)
    place = [column.title for column in page.methods.columns].index("Scale")
    assert {row.cells[place].text for row in page.methods.rows} == {"0.1", "1"}


def test_without_full_scale_the_largest_is_shown(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", Invented(scales=(0.1, 0.3)))
    page = build_page(run)
    assert {choice.name for choice in page.choices} >= {"saliency/add x0.3", "noise/multiply x0.3"}
    assert not [choice.name for choice in page.choices if "x0.1" in choice.name]
    assert len(asked(page, "scores").plates) == 4


def test_turned_predictions_are_counted(full: Path) -> None:
    table = dict(asked(build_page(full), "helping").tables)["improvement"]
    titles = [column.title for column in table.columns]
    for row, method in zip(table.rows, summary(full)["methods"], strict=True):
        turned = method["mcnemar"]
        assert row.cells[titles.index("Turned right")].value == turned["turned_right"]
        assert row.cells[titles.index("Turned wrong")].value == turned["turned_wrong"]
        assert row.cells[titles.index("McNemar’s p")].text == p_text(turned["p"])


def test_many_rows_are_said_to_be_uncorrected(full: Path, tmp_path: Path) -> None:
    caption = dict(asked(build_page(full), "helping").tables)["improvement"].caption
    assert "not corrected for the number of rows" in caption
    text = " ".join(write_report(full, tmp_path / "report.html").read_text(encoding="utf-8").split())
    assert re.search(r"<dt>McNemar’s p</dt><dd>[^<]*not corrected for the number of rows", text)
    assert re.search(r"<dt>KS</dt><dd>[^<]*By construction it is above 0", text)
    assert "beyond doubt" not in text


# Which layer


def test_the_best_layer_stands_beside_confidence(full: Path) -> None:
    plain = summary(full)["baselines"]["confidence"]["auroc"]["value"]
    assert plate(full, "layers", "layers-0-0-tells").title.endswith(f"; confidence has {plain:.2f}")


def test_layers_stand_in_the_order_in_which_they_run(full: Path) -> None:
    question = asked(build_page(full), "layers")
    assert len(question.plates) == 4  # two operations; what tells, and what helps
    for found in question.plates:
        assert [row.name for row in found.content.rows] == list(STAGES)
        assert [row.note for row in found.content.rows] == ["56×112", "28×56", "7×14"]
        assert found.content.joined
    entries = {m["method"]: m for m in summary(full)["methods"] if (m["operation"], m["scale"]) == ("add", 1)}
    for layer, row in zip(STAGES, question.plates[0].content.rows, strict=True):
        entry = entries[f"layer_gradcam@{layer}"]
        assert row.known == (known_figure(entry["auroc_label_free"]), known_figure(entry["auroc_label"]))


def test_without_stages_no_layer_is_spoken_of(tmp_path: Path) -> None:
    page = build_page(write_run(tmp_path / "run"))
    assert "layers" not in [question.identity for question in page.questions]


# The whole page


def test_every_section_is_in_the_navigation_once(full: Path, tmp_path: Path) -> None:
    text = write_report(full, tmp_path / "report.html").read_text(encoding="utf-8")
    links = [attrs["href"] for tag, attrs in Elements(text).elements if tag == "a" and "href" in attrs]
    assert links == [
        "#telling",
        "#scores",
        "#classes",
        "#helping",
        "#layers",
        "#examples",
        "#closer",
        "#all",
        "#failures",
        "#reading",
        "#configuration",
    ]
    assert re.findall(r'<h2 id="([^"]*)"', text) == ["answer", *(link[1:] for link in links)]


def test_failed_indicators_are_among_the_failures(full: Path, tmp_path: Path) -> None:
    indicators = summary(full)["indicators"]
    indicators[1]["failures"] = {"value is not a finite number": 3}
    page = build_page(rewritten(full, tmp_path / "run", indicators=indicators))
    assert ("lab.tests:flat", "value is not a finite number", "3") in {
        (failure.where, failure.reason, failure.images) for failure in page.failures
    }


def test_alternative_texts_hold_the_numbers(full: Path) -> None:
    page = build_page(full)
    for found in (*page.lead, *(p for question in page.questions for p in question.plates)):
        assert found.alt
        assert found.title
        assert re.search(r"\d", found.alt)
        assert (
            re.search(r"n (=|up to) \d", found.caption)
            or found.identity in ("by-class",)
            or (found.identity.endswith("scales"))
        )


@pytest.mark.slow
def test_many_classes_and_methods_stay_small(tmp_path: Path) -> None:
    methods = tuple(f"layer_gradcam@block{i}" for i in range(9)) + tuple(f"method_{i}" for i in range(6))
    stages = [
        {"method": name, "base": "layer_gradcam", "layer": name[14:], "size": [7, 7]} for name in methods[:9]
    ]
    names = tuple(f"a class with quite a long name, {i}" for i in range(1000))
    like = Invented(
        images=70,
        wrong=32,
        methods=methods,
        controls=("zero", "noise", "shuffled", "image"),
        scales=(0.3, 1.0),
        classes=names,
        run={"stages": stages},
    )
    run = write_run(tmp_path / "run", like)
    for place in range(12):
        write_example(run, place, (*methods, "noise", "shuffled", "image"))
    path = write_report(run)
    assert path.stat().st_size < 5e6
    drawn = re.findall(r"<svg.*?</svg>", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert sum(len(re.findall(r"<(path|use|rect|circle)\b", svg)) for svg in drawn) < 5000


def test_p_values_are_not_printed_as_zero() -> None:
    assert [p_text(p) for p in (0.2, 0.031, 1e-9, 0.0, None)] == ["0.20", "0.031", "< 0.001", "< 0.001", "–"]
