"""Filters, order, pages and distributions of a run's images, against plain loops over its tables."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heatlift.errors import HeatliftError
from heatlift.run.tables import write_part
from heatlift.viewer.catalogue import Catalogue
from heatlift.viewer.distribution import distribution
from heatlift.viewer.query import ordered, parsed, selected
from lift_runs import InventedLift, write_lift_run
from runs import Invented, write_run
from viewers import Rows, opened, rows_of, served

NUMBERS = ("co", "p_before", "steps", "change", "co_verify")
CLASSES = ("crane", "crane", "Émile")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    like = InventedLift(images=60, failed=9, steps=4, kept=1, classes=CLASSES, image_name="Owl/a{}.png")
    return write_lift_run(tmp_path_factory.mktemp("run"), like)


@pytest.fixture(scope="module")
def catalogue(run: Path) -> Catalogue:
    return opened(run)


@pytest.fixture(scope="module")
def table(run: Path) -> Rows:
    return rows_of(run, "lift")


def holds(row: dict[str, Any], asked: dict[str, Any]) -> bool:
    """What a filter means, for one row of the table."""
    key = asked["column"]
    if key == "name":
        return asked["contains"].lower() in row["image"].lower()
    if key in NUMBERS:
        value = row[key]
        if asked.get("missing"):
            return value is None
        if value is None or ("low" in asked and value < asked["low"]):
            return False
        return "high" not in asked or (
            value < asked["high"] if asked.get("below") else value <= asked["high"]
        )
    said = {"reached": {True: "yes", False: "no", None: None}[row["reached"]], "label": str(row["label"])}
    if asked.get("missing"):
        return said[key] is None
    if "contains" in asked:
        return asked["contains"].casefold() in CLASSES[row["label"]].casefold()
    return said[key] in asked["in"]


def values(run_table: Rows, key: str) -> list[float]:
    return [row[key] for row in run_table if row[key] is not None]


@st.composite
def filters(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(["range", "missing", "name", "reached", "label", "like"]))
    if kind == "range":
        place = draw(st.tuples(st.integers(0, 59), st.integers(0, 59)))
        ends = draw(st.sampled_from([("low",), ("high",), ("low", "high")]))
        key = draw(st.sampled_from(NUMBERS))
        return {"column": key, "below": draw(st.booleans()), **dict(zip(ends, place, strict=False))}
    if kind == "missing":
        return {"column": draw(st.sampled_from([*NUMBERS, "reached"])), "missing": True}
    if kind == "name":
        return {"column": "name", "contains": draw(st.text("owOWLl/a1.2%", max_size=3))}
    if kind == "reached":
        return {"column": "reached", "in": draw(st.lists(st.sampled_from(["yes", "no", "maybe"])))}
    if kind == "label":
        return {"column": "label", "in": draw(st.lists(st.sampled_from(["0", "1", "2", "7"])))}
    return {"column": "label", "contains": draw(st.sampled_from(["CRA", "é", "x", ""]))}


@settings(max_examples=150, deadline=None)
@given(asked=st.lists(filters(), max_size=3))
def test_filters_are_plain_loops(catalogue: Catalogue, table: Rows, asked: list[dict[str, Any]]) -> None:
    for each in asked:  # ends are places in the sorted values, so that equality happens
        for end in ("low", "high"):
            if end in each:
                known = sorted(values(table, each["column"]))
                each[end] = known[min(each[end], len(known) - 1)]
    found = selected(catalogue.images, [parsed(json.dumps(each)) for each in asked])
    assert found.tolist() == [all(holds(row, each) for each in asked) for row in table]


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("key", [*NUMBERS, "name", "reached", "label", ""])
def test_order(catalogue: Catalogue, table: Rows, key: str, descending: bool) -> None:
    chosen = np.array([place % 7 != 0 for place in range(len(table))])
    found = ordered(catalogue.images, chosen, key, descending)
    rows = [(place, row) for place, row in enumerate(table) if chosen[place]]
    if key == "":
        assert found.tolist() == [place for place, _ in rows][:: -1 if descending else 1]
        return
    said: dict[str, Any] = {
        "name": lambda row: row["image"],
        "reached": lambda row: None if row["reached"] is None else "yes" if row["reached"] else "no",
        "label": lambda row: CLASSES[row["label"]],
    }
    value = said.get(key, lambda row: row[key])
    known = [(place, row) for place, row in rows if value(row) is not None]
    missing = [place for place, row in rows if value(row) is None]
    if key == "label":  # two classes have the same name: each stays together
        assert [CLASSES[table[place]["label"]] for place in found] == sorted(
            (CLASSES[row["label"]] for _, row in rows), reverse=descending
        )
        assert sum(table[a]["label"] != table[b]["label"] for a, b in pairwise(found)) == 2
        return
    in_order = sorted(known, key=lambda each: value(each[1]), reverse=descending)
    assert found.tolist() == [place for place, _ in in_order] + missing
    assert missing or key == "name"


def test_pages_cover_everything_once(run: Path, table: Rows) -> None:
    with served(run) as viewer:
        for size in (1, 7, 60, 500):
            found = []
            for offset in range(0, 70, size):
                page = viewer.get("/api/runs/0/images", sort="co", descending=1, offset=offset, limit=size)
                assert (page["total"], page["of"], page["offset"]) == (60, 60, offset)
                assert len(page["rows"]) == max(0, min(size, 60 - offset))
                found += [row["name"] for row in page["rows"]]
            scores = {row["image"]: row["co"] for row in table}
            assert len(set(found)) == len(found) == 60
            assert found == sorted(scores, key=lambda name: -(scores[name] or -math.inf))
        best = viewer.rows(sort="co", descending=1)[0]
        assert best["shown"] == f"CO score {max(values(table, 'co')):.1f}"
        assert viewer.rows(sort="co")[-1]["shown"] == "CO score –"
        assert len(viewer.get("/api/runs/0/images")["rows"]) == 60
        assert viewer.get("/api/runs/0/images", limit=0)["rows"] == []


def test_several_filters_all_hold(run: Path, table: Rows) -> None:
    wanted = [json.dumps({"column": "reached", "in": ["no"]}), json.dumps({"column": "co", "low": 20})]
    with served(run) as viewer:
        found = viewer.get("/api/runs/0/images", where=wanted)
    expected = [row["image"] for row in table if row["reached"] is False and row["co"] >= 20]
    assert [row["name"] for row in found["rows"]] == expected
    assert 0 < found["total"] == len(expected) < 6


@pytest.mark.parametrize("key", ["co", "p_before", "steps"])
@pytest.mark.parametrize("bins", [1, 7, 40])
def test_a_distribution_counts_every_image_in_its_group(
    catalogue: Catalogue, table: Rows, key: str, bins: int
) -> None:
    chosen = np.ones(len(table), bool)
    chosen[:5] = False
    found = distribution(catalogue.images, chosen, key, bins)
    known = [row for row in table[5:] if row[key] is not None]
    assert (found["n"], found["missing"]) == (len(known), 9)
    edges = found["edges"]
    assert len(edges) == bins + 1
    counts: dict[str, list[int]] = {"correct": [0] * bins, "wrong": [0] * bins}
    for row in known:
        inside = min(max(row[key], edges[0]), edges[-1])
        place = max(place for place in range(bins) if edges[place] <= inside)
        counts["correct" if row["label"] == row["predicted_before"] else "wrong"][place] += 1
    assert {group["value"]: group["counts"] for group in found["groups"]} == counts


def test_bins_lead_to_their_images(run: Path) -> None:
    """What a page asks for when somebody clicks a bin: ends outside have no limit."""
    with served(run) as viewer:
        found = viewer.get("/api/runs/0/distribution", column="co", bins=9)
        edges = found["edges"]
        for place in range(9):
            asked: dict[str, Any] = {"column": "co", "below": place < 8}
            asked |= {"low": edges[place]} if place else {}
            asked |= {"high": edges[place + 1]} if place < 8 else {}
            if "high" not in asked and "low" not in asked:
                continue
            total = viewer.get("/api/runs/0/images", where=json.dumps(asked))["total"]
            assert total == sum(group["counts"][place] for group in found["groups"])


def test_a_distribution_of_one_value_and_of_giants(tmp_path: Path) -> None:
    run = write_lift_run(tmp_path / "run", InventedLift(images=10, failed=0))
    rows = rows_of(run, "lift")
    for row, co in zip(
        rows, [1.7e308, -1.7e308, math.inf, math.nan, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0], strict=True
    ):
        row |= {"co": co, "change": 0.5}
    write_part(run, "lift", 0, rows)
    with served(run) as viewer:
        one = viewer.get("/api/runs/0/distribution", column="change", bins=4)
        assert sum(sum(group["counts"]) for group in one["groups"]) == 10
        assert one["edges"][0] < 0.5 < one["edges"][-1]
        giants = viewer.get("/api/runs/0/distribution", column="co", bins=4)
        assert (giants["n"], giants["missing"]) == (8, 2)
        assert viewer.run()["status"] == "finished"


def test_the_summarys_figure_is_told_with_its_score(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", Invented(scales=(0.3, 1.0)))
    summary = json.loads((run / "summary.json").read_text())
    (one,) = (
        each
        for each in summary["methods"]
        if (each["method"], each["operation"], each.get("scale")) == ("saliency", "add", 0.3)
    )
    with served(run) as viewer:
        for key, name in (("co_predicted", "auroc_label_free"), ("co_label", "auroc_label")):
            asked = viewer.get("/api/runs/0/distribution", column=f"saliency/add x0.3:{key}")
            assert asked["figure"] == "AUROC {value:.2f} [{low:.2f}, {high:.2f}]".format(**one[name])
        figure = viewer.get("/api/runs/0/distribution", column="confidence")["figure"]
        expected = summary["baselines"]["confidence"]["auroc"]
        assert figure == "AUROC {value:.2f} [{low:.2f}, {high:.2f}]".format(**expected)
        assert viewer.get("/api/runs/0/distribution", column="saliency/add:delta_p_label")["figure"] is None


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "5", '"co"', "{}", "null", '{"column": "co"}', '{"column": "nothing", "low": 1}',
        '{"column": "co", "low": "x"}', '{"column": "co", "low": [1]}', '{"column": "co", "in": ["1"]}',
        '{"column": "co", "low": ' + "9" * 400 + "}", '{"column": "co", "low": 1' + " " * 5000 + "}",
        '{"column": "reached"}', '{"column": "reached", "low": 0}', '{"column": "reached", "in": 5}',
        '{"column": "name"}', '{"column": "name", "in": ["a"]}', '{"column": "name", "contains": "\\ud800"}',
        "[" * 4000, '{"column": {"a": 1}, "low": 1}', '{"column": "../../etc/passwd", "contains": ""}',
    ],
)  # fmt: skip
def test_what_is_no_filter_is_refused(catalogue: Catalogue, text: str) -> None:
    with pytest.raises(HeatliftError):
        selected(catalogue.images, [parsed(text)])


@settings(max_examples=200, deadline=None)
@given(
    given_filter=st.dictionaries(
        st.sampled_from(["column", "in", "low", "high", "below", "contains", "missing"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
            | st.sampled_from(["co", "name", "reached", "label"]),
            lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.just("co"), inner),
            max_leaves=3,
        ),
    )
)  # fmt: skip
def test_any_filter_selects_or_is_refused(catalogue: Catalogue, given_filter: dict[str, Any]) -> None:
    try:
        found = selected(catalogue.images, [parsed(json.dumps(given_filter))])
    except HeatliftError:
        return
    assert found.dtype == bool
    assert len(found) == len(catalogue.images)
