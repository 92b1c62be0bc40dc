"""Runs whose folders somebody has spoilt, by accident or on purpose: the viewer says so and goes on."""

from __future__ import annotations

import atexit
import json
import os
import pickle
import resource
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr

from heatlift.errors import HeatliftError
from heatlift.panel import encoded
from heatlift.run.evolutions import Evolutions
from heatlift.run.originals import original_path, reference_path
from heatlift.run.tables import write_part
from heatlift.viewer.confined import confined, confined_folder
from lift_runs import InventedLift, write_lift_run
from runs import Invented, write_example, write_run
from undesirable_runs import InventedMasks, write_undesirable_run
from viewers import (
    Served,
    edit_record,
    part_file,
    put,
    rows_of,
    served,
    split,
    write_reference,
    write_thumbnails,
)

OUTSIDE = "what is outside"

HOSTILE = [
    "<script>alert(1)</script>", "\"quotes' and `ticks`", "two\nlines\r\tand tabs", "../../../etc/passwd",
    "/etc/passwd", "C:\\windows\\win.ini", "nul\x00character", "right\u202eto left", "\u2028 \x1b[31m red",
    "x" * 5000, "", " ", ".", "..", "&lt;b&gt;", "${7*7}{{7*7}}", "%00%2e%2e",
    "emoji \U0001f989", "\ufffe\uffff",
]  # fmt: skip


@pytest.fixture(autouse=True)
def silent(capfd: Any) -> Any:
    """Whatever happens, nothing is printed, least of all where in the program it was."""
    yield
    assert capfd.readouterr().err == ""


def lift(folder: Path, **like: Any) -> Path:
    return write_lift_run(folder, InventedLift(**{"images": 6, "failed": 0, "kept": 2, "steps": 4} | like))


def walk(viewer: Served) -> list[bytes]:
    """Ask for everything that there is about a run's images: all of it is an answer, in JSON or a picture."""
    found = []

    def ask(path: str, **query: Any) -> Any:
        answer = viewer.ask(path, **query)
        found.append(answer.body)
        assert 200 <= answer.status < 500, (path, answer.body[:300])
        if answer.headers["Content-Type"] != "application/json":
            assert answer.status == 200
            return None
        content = answer.json
        if answer.status != 200:
            assert list(content) == ["error"]
            assert content["error"] == " ".join(content["error"].split())
        return content

    assert viewer.ask("/").status == 200
    told = ask("/api/runs")["runs"][0]
    for column in told["columns"][::7]:
        ask("/api/runs/0/distribution", column=column["key"])
        ask("/api/runs/0/images", sort=column["key"])
    for row in ask("/api/runs/0/images", limit=12)["rows"]:
        at = f"/api/runs/0/images/{row['id']}"
        image = ask(at)
        for picture in ("thumbnail", "original", "reference"):
            ask(f"{at}/{picture}")
        for k, layer in enumerate(image.get("layers", [])):
            for frame in {0, layer["own"], len(layer["steps"])}:
                ask(f"{at}/layers/{k}/frames/{frame}")
            if at.endswith("/0.0"):
                ask(f"{at}/layers/{k}/download")
    return found


def first(viewer: Served) -> dict[str, Any]:
    """The first image."""
    found: dict[str, Any] = viewer.get("/api/runs/0/images/0.0")
    return found


def test_hostile_names_and_words_are_only_text(tmp_path: Path) -> None:
    words = [word for word in HOSTILE if word]
    run = lift(tmp_path / "run", images=len(words), kept=0, steps=1)
    rows = rows_of(run, "lift")
    for row, word in zip(rows, words, strict=True):
        row |= {"image": word, "method": word, "operation": word, "status": word}
    write_part(run, "lift", 0, rows)
    classes = [words[0], words[2], "\ud800half"]
    command = ["heatlift", "<b>", "\ud800"]
    edit_record(run, command=command, verify={"name": "<i>"}, model={"classes": classes})
    write_thumbnails(run, words)
    with served(run) as viewer:
        found = walk(viewer)
        shown = viewer.rows()
        assert len(shown) == len(words)
        assert shown[0]["name"] == words[0]
        assert shown[2]["name"] == "two lines and tabs"
        titles = {row["label"] for row in shown}
        assert titles <= {words[0], "two lines and tabs", "half"}
        assert not any(b"\\ud800" in body for body in found)
        for position, word in enumerate(words):
            asked = json.dumps({"column": "name", "contains": word[:100]})
            assert f"0.{position}" in [row["id"] for row in viewer.rows(where=asked)]


def test_hostile_names_of_pairs_and_indicators(tmp_path: Path) -> None:
    words = tuple(word for word in HOSTILE if word)
    run = write_run(
        tmp_path / "run", Invented(images=6, failed=1, methods=words[:9], indicators=words), False
    )
    write_example(run, 0, ("<script>", "two\nlines", "\ud800"))
    with served(run) as viewer:
        walk(viewer)
        titles = [layer["title"] for layer in first(viewer)["layers"]]
        assert titles == ["<script>", "two lines", ""]


@pytest.mark.parametrize(
    "content", [b"<html><script>alert(1)</script>", b"", b"RIFF", b"RIFF" + b"x" * 10**6]
)
def test_thumbnails_that_are_none_are_not_passed_on(tmp_path: Path, content: bytes) -> None:
    run = lift(tmp_path / "run")
    rows = [{"image": f"owl/{i}.png", "thumbnail": content} for i in range(6)]
    write_part(run, "thumbnails", 0, rows)
    with served(run) as viewer:
        assert {row["thumbnail"] for row in viewer.rows()} == {False}
        assert viewer.ask("/api/runs/0/images/0.0/thumbnail").status == 404
        assert content not in walk(viewer) or content == b""


@cache
def template(kind: str) -> Path:
    """A run that has every kind of file that there is, to be copied."""
    folder = Path(mkdtemp()) / kind
    atexit.register(shutil.rmtree, folder.parent)
    if kind == "lift":
        lift(folder)
    elif kind == "undesirable":
        write_undesirable_run(folder, InventedMasks(images=6, failed=0, kept=1, stepped=1, steps=4))
        write_reference(folder, "owl/0.png")
        steps = [{"image": "owl/0.png", "factor": "target", "step": 1, "p_target": 0.5}]
        write_part(folder, "evolutions", 0, steps)
    else:
        write_run(folder, Invented(images=20, wrong=5, indicators=("one",)))
        write_example(folder, 0, ("saliency",))
        write_example(folder, 1, ("saliency",))
    write_thumbnails(folder, [f"owl/{i}.png" for i in range(6)])
    return folder


def everything(folder: Path) -> Path:
    """A run that has every kind of file, of the kind that its name says."""
    return shutil.copytree(template(folder.name), folder)


LINKED = [
    ("lift", "lift/part-000000.parquet"), ("lift", "evolutions/part-000000.parquet"), ("lift", "lift"),
    ("lift", "thumbnails/part-000000.parquet"), ("lift", "thumbnails"), ("lift", "originals"),
    ("lift", "maps.zarr"), ("lift", "ORIGINAL"), ("lift", "MAPS"), ("lift", "MAPS/zarr.json"), ("lift",
    "MAPS/evolution"),
    ("lift", "MAPS/evolution/zarr.json"), ("lift", "MAPS/evolution/c.0.0.0.0"), ("lift", "MAPS/final"),
    ("lift", "summary.json"), ("lift", "run.json"),
    ("undesirable", "undesirable/part-000000.parquet"), ("undesirable", "REFERENCE"),
    ("undesirable", "references"),
    ("audit", "examples"), ("audit", "examples/000.npz"), ("audit", "scores/part-000000.parquet"),
    ("audit", "predictions"), ("audit", "indicators"), ("audit", "summary.json"),
]  # fmt: skip


def located(run: Path, what: str) -> Path:
    """A file of the run, by a name for those that have names made of digits."""
    name = "owl/0.png"
    for word, path in (
        ("ORIGINAL", original_path(run, name)),
        ("REFERENCE", reference_path(run, name)),
        ("MAPS", Evolutions(run).folder(name)),
    ):
        if what.startswith(word):
            return Path(str(path) + what.removeprefix(word))
    return run / what


@pytest.mark.parametrize(("kind", "what"), LINKED)
def test_links_that_lead_out_of_the_run_are_not_followed(tmp_path: Path, kind: str, what: str) -> None:
    """Each file in turn is swapped for a link to a sound one of another run, in which every value differs."""
    run = everything(tmp_path / kind)
    path = located(run, what)
    assert path.exists()
    outside = tmp_path / "outside"
    path.rename(outside)
    if what == "run.json":
        shutil.copy(outside, path)
        with served(run) as viewer:
            outside.write_text(json.dumps(json.loads(outside.read_text()) | {"command": [OUTSIDE]}))
            path.unlink()
            path.symlink_to(outside)
            told = viewer.until(lambda found: found["problems"] != [])
            assert told["problems"] == ["run.json is a link that leads out of the run: it is not read"]
            assert OUTSIDE.encode() not in b"".join(walk(viewer))
        return
    path.symlink_to(outside)
    with served(run) as viewer:
        bodies = walk(viewer)
        told, here = viewer.run(), str(path.relative_to(run))
        at = viewer.rows()
        problems = told["problems"] + (first(viewer)["problems"] if at else [])
    inside = here if what not in ("lift", "thumbnails", "predictions", "indicators", "examples") else what
    if what not in ("originals", "maps.zarr", "references", "REFERENCE"):
        assert any(inside in problem and "leads out of the run" in problem for problem in problems), problems
    if what in ("lift", "predictions", "indicators") or what.split("/")[0] in (
        "scores",
        "undesirable",
        "agreement",
    ):
        assert told["done"] == 0
    if what in ("originals", "ORIGINAL", "maps.zarr") or what.startswith("MAPS"):
        assert problems
    if what == "summary.json":
        assert told["verdict"] is None
    if what in ("references", "REFERENCE"):
        assert not any(
            body.startswith(b"\x89PNG") and body == outside.read_bytes()
            for body in bodies
            if outside.is_file()
        )


def test_what_links_lead_to_is_in_no_answer(tmp_path: Path) -> None:
    """Of a run that is nothing but links, nothing is told."""
    secret = everything(tmp_path / "lift")
    rows = rows_of(secret, "lift")
    for row in rows:
        row["status"] = OUTSIDE
    write_part(secret, "lift", 0, rows)
    run = tmp_path / "links"
    run.mkdir()
    shutil.copy(secret / "run.json", run)
    for path in secret.iterdir():
        if path.name != "run.json":
            (run / path.name).symlink_to(path)
    with served(run) as viewer:
        bodies = b"".join(walk(viewer))
        assert viewer.run()["done"] == 0
        assert len(viewer.run()["problems"]) == 2
    assert OUTSIDE.encode() not in bodies
    assert b"owl/0.png" not in bodies


def test_links_within_the_run_and_to_it_are_fine(tmp_path: Path) -> None:
    run = everything(tmp_path / "lift")
    (run / "lift").rename(run / "moved")
    (run / "lift").symlink_to("moved")
    (tmp_path / "link").symlink_to(run)
    with served(tmp_path / "link") as viewer:
        assert (viewer.run()["done"], viewer.run()["problems"]) == (6, [])
        assert first(viewer)["problems"] == []
        assert viewer.ask("/api/runs/0/images/0.0/original").status == 200


def test_pipes_and_loops_are_not_waited_for(tmp_path: Path) -> None:
    run = everything(tmp_path / "lift")
    folder = Evolutions(run).folder("owl/0.png")
    (folder / "loop").symlink_to(folder / "loop")
    for path in (original_path(run, "owl/0.png"), run / "summary.json", part_file(run, "evolutions")):
        path.unlink()
        os.mkfifo(path)
    with served(run) as viewer:
        walk(viewer)
        assert viewer.run()["problems"] == ["summary.json is no file: it is not read"]
        problems = first(viewer)["problems"]
        assert "evolutions/part-000000.parquet is no file: it is not read" in problems
        assert any(problem.startswith("originals/") for problem in problems)


def test_files_that_are_too_large_are_not_read(tmp_path: Path) -> None:
    run = everything(tmp_path / "lift")
    for path in (run / "summary.json", original_path(run, "owl/0.png"), part_file(run, "thumbnails")):
        with path.open("r+b") as file:
            file.truncate(2**32)  # on disk it takes nothing
    with served(run) as viewer:
        walk(viewer)
        problems = viewer.run()["problems"]
        assert [problem.partition(" ")[0] for problem in problems] == [
            "summary.json",
            "thumbnails/part-000000.parquet",
        ]
        assert all("too large" in problem for problem in problems)
        assert "too large" in first(viewer)["problems"][0]


def arrow(**columns: Any) -> Callable[[Path], None]:
    return lambda path: pq.write_table(pa.table(columns), path)


def not_text(path: Path) -> None:
    table = pq.ParquetFile(path).read()
    names = pa.array([b"\xff\xfe owl"] * table.num_rows, pa.binary()).view(pa.string())
    pq.write_table(table.set_column(0, "image", names), path)


def scramble(path: Path, start: int, length: int) -> None:
    content = bytearray(path.read_bytes())
    content[start : start + length] = os.urandom(length)
    path.write_bytes(content)


PARTS: dict[str, Callable[[Path], object]] = {
    "torn": lambda path: path.write_bytes(path.read_bytes()[:-30]),
    "empty file": lambda path: path.write_bytes(b""),
    "no parquet": lambda path: path.write_bytes(b"<html>" * 100),
    "only magic": lambda path: path.write_bytes(b"PAR1PAR1"),
    "scrambled": lambda path: scramble(path, 40, 160),
    "no columns": lambda path: pq.write_table(pa.table({}), path),
    "other columns": arrow(x=[1, 2], y=["a", "b"]),
    "other types": arrow(image=[1.5, 2.5], status=[[1], [2]], co=["a", "b"]),
    "a struct": arrow(image=[{"image": "a"}], status=["ok"]),
    "names that are no text": not_text,
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("how", sorted(PARTS))
@pytest.mark.parametrize(
    ("kind", "table"), [("lift", "lift"), ("audit", "scores"), ("undesirable", "undesirable")]
)
def test_a_damaged_part_is_left_out_and_named(tmp_path: Path, kind: str, table: str, how: str) -> None:
    run = everything(tmp_path / kind)
    pieces = split(run, kind, 2)
    for number, piece in enumerate(pieces[:3]):
        put(run, number, piece)
    path = part_file(run, table, 1)
    PARTS[how](path)
    with served(run) as viewer:
        walk(viewer)
        told = viewer.run()
        names = {row["name"] for row in viewer.rows()}
    assert {f"owl/{i}.png" for i in (0, 1, 4, 5)} <= names
    if (kind, how) in (("audit", "other columns"), ("audit", "no columns")):
        assert len(names) == 6  # the images are told by another table
        return
    if how in ("other columns", "no columns"):  # no image has a name in it
        assert len(names) == 4
        return
    (problem,) = told["problems"]
    assert f"{table}/part-000001.parquet" in problem
    assert str(tmp_path) not in problem
    assert len(names) == 4


def test_nulls_where_names_are_expected_and_rows_that_come_twice(tmp_path: Path) -> None:
    for kind in ("lift", "audit", "undesirable"):
        run = everything(tmp_path / kind)
        table = {"lift": "lift", "audit": "predictions", "undesirable": "undesirable"}[kind]
        rows = rows_of(run, table)
        doubled = [{"image": None, "status": "ok"}, rows[0], *rows, {**rows[2], "status": None}]
        write_part(run, table, 0, doubled)
        if kind == "audit":
            scores = rows_of(run, "scores")
            write_part(run, "scores", 0, [{"image": None}, {"status": "ok"}, *scores, {"image": "nobody"}])
            write_part(run, "indicators", 0, [{"image": "owl/0.png", "status": "ok", "value": 1.0}])
        with served(run) as viewer:
            walk(viewer)
            names = [row["name"] for row in viewer.rows()]
            assert names == list(dict.fromkeys(row["image"] for row in rows))
            assert viewer.run()["problems"] == []


def test_files_beside_the_parts_are_no_parts(tmp_path: Path) -> None:
    run = everything(tmp_path / "lift")
    digits = ("x", "1", "\u0661" * 6, "", "0000001", "9" * 100)
    names = [f"part-{each}.parquet" for each in digits]
    for name in (*names, ".part-000003.parquet.partial", "part-000009"):
        (run / "lift" / name).write_bytes(b"?")
    with served(run) as viewer:
        assert (viewer.run()["done"], viewer.run()["problems"]) == (6, [])


@pytest.mark.parametrize("table", ["evolutions", "thumbnails"])
def test_what_is_beside_the_figures_may_be_torn(tmp_path: Path, table: str) -> None:
    run = everything(tmp_path / "lift")
    path = part_file(run, table)
    path.write_bytes(path.read_bytes()[:-9])
    with served(run) as viewer:
        image = first(viewer)
        assert viewer.run()["done"] == 6
        assert len(image["layers"]) == 1
        assert image["layers"][0]["problem"] is None
        assert viewer.ask("/api/runs/0/images/0.0/layers/0/frames/2").status == 200
        problems = image["problems"] + viewer.run()["problems"]
        assert [problem.split()[0] for problem in problems] == [f"{table}/part-000000.parquet"]


RECORDS: list[dict[str, Any]] = [
    {"command": 5}, {"command": "text"}, {"command": {"a": 1}}, {"model": 5}, {"model": [1]},
    {"model": {"classes": 7}}, {"model": {"classes": [None, {"a": 1}, "\ud800"], "name": ["<b>"]}},
    {"config": "x"}, {"config": {"target_co": "x"}}, {"config": {"target_co": 10**400, "method": [1]}},
    {"verify": 5}, {"verify": {"name": None}}, {"data": [1]},
    {"data": {"chosen": 10**400}}, {"data": {"chosen": "many"}}, {"data": {"chosen": -5}}, {"timing": 5},
    {"timing": {"images_per_second": 10**400}}, {"timing": {"images_per_second": float("nan")}},
    {"timing": {"images_per_second": "fast"}}, {"status": 5}, {"kind": "audit"}, {"kind": [1]},
    {"status": None},
]  # fmt: skip


@pytest.mark.parametrize("changes", RECORDS, ids=[str(number) for number in range(len(RECORDS))])
def test_records_with_anything_in_them(tmp_path: Path, changes: dict[str, Any]) -> None:
    run = everything(tmp_path / "lift")
    with served(run) as viewer:
        before = viewer.run()
        edit_record(run, **changes, seen=True)
        catalogue = viewer.server.catalogues[0]
        viewer.until(lambda found: "seen" in catalogue.record)
        walk(viewer)
        assert viewer.run()["done"] == before["done"]
    if not isinstance(changes.get("kind"), str | list):
        with served(run) as viewer:
            walk(viewer)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"5", b"\xff\xfe", b"[" * 100_000, b'{"format": 99}', b'{"format": "1"}']
)
def test_a_record_that_is_torn_while_it_is_watched(tmp_path: Path, content: bytes) -> None:
    run = everything(tmp_path / "lift")
    sound = (run / "run.json").read_bytes()
    with served(run) as viewer:
        (run / "run.json").write_bytes(content)
        told = viewer.until(lambda found: found["problems"] != [])
        assert len(told["problems"]) == 1
        assert str(tmp_path) + os.sep not in told["problems"][0]
        assert told["done"] == 6
        walk(viewer)
        (run / "run.json").write_bytes(sound)
        viewer.until(lambda found: found["problems"] == [])


SUMMARIES = [
    b"", b"[]", b"\xff", b"[" * 100_000, b"{}", b'{"verdict": 5, "methods": 5, "baselines": 5}',
    b'{"verdict": {"a": 1}, "methods": [5], "baselines": {"confidence": 5}}',
    b'{"methods": [{"method": 5}], "baselines": {"confidence": {"auroc": {"value": "x"}}}}',
    b'{"methods": [{"method": "saliency", "operation": "add", "scale": "x"}]}',
    b'{"baselines": {"confidence": {"auroc": 5}}}',
    b'{"methods": [{"method": "saliency", "operation": "add", "auroc_label": {"value": NaN}}]}',
]  # fmt: skip


@pytest.mark.parametrize("content", SUMMARIES)
def test_summaries_with_anything_in_them(tmp_path: Path, content: bytes) -> None:
    run = everything(tmp_path / "audit")
    (run / "summary.json").write_bytes(content)
    with served(run) as viewer:
        walk(viewer)
        torn = not content.startswith(b"{")
        assert [problem.split()[0] for problem in viewer.run()["problems"]] == ["summary.json"] * torn


def zarr_json(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def attributes(**changes: Any) -> Callable[[Path], None]:
    return lambda maps: zarr_json(maps / "zarr.json", lambda content: content["attributes"].update(changes))


def shaped(shape: list[int], array: str = "evolution") -> Callable[[Path], None]:
    return lambda maps: zarr_json(maps / array / "zarr.json", lambda content: content.update(shape=shape))


def chunked(chunk: list[int]) -> Callable[[Path], None]:
    def change(content: dict[str, Any]) -> None:
        content["chunk_grid"]["configuration"]["chunk_shape"] = chunk
        for codec in content["codecs"]:
            if "chunk_shape" in codec["configuration"]:
                codec["configuration"]["chunk_shape"] = chunk

    return lambda maps: zarr_json(maps / "evolution" / "zarr.json", change)


def chunk_of(maps: Path) -> Path:
    (found,) = (maps / "evolution").glob("c.*")
    return found


def rewritten(values: Any) -> Callable[[Path], None]:
    def rewrite(maps: Path) -> None:
        shutil.rmtree(maps / "evolution")
        zarr.create_array(maps / "evolution", data=values)

    return rewrite


def array_of(maps: Path, name: str, shape: list[int]) -> None:
    """A description of another shape, whose chunks go with it."""
    zarr_json(maps / name / "zarr.json", lambda content: content.update(shape=shape))


def foreign_codec(maps: Path) -> None:
    """A codec of somebody's own before all others."""

    def change(content: dict[str, Any]) -> None:
        content["codecs"].insert(0, {"name": "numcodecs.pickle", "configuration": {}})

    zarr_json(maps / "evolution" / "zarr.json", change)


MAPS: dict[str, Callable[[Path], object]] = {
    "missing chunk": lambda maps: chunk_of(maps).unlink(),
    "torn chunk": lambda maps: chunk_of(maps).write_bytes(chunk_of(maps).read_bytes()[:50]),
    "empty chunk": lambda maps: chunk_of(maps).write_bytes(b""),
    "flipped": lambda maps: chunk_of(maps).write_bytes(bytes(b ^ 1 for b in chunk_of(maps).read_bytes())),
    "no evolution": lambda maps: shutil.rmtree(maps / "evolution"),
    "no description": lambda maps: (maps / "zarr.json").unlink(),
    "no array description": lambda maps: (maps / "evolution" / "zarr.json").unlink(),
    "torn description": lambda maps: (maps / "zarr.json").write_text("{"),
    "deep description": lambda maps: (maps / "zarr.json").write_text("[" * 100_000),
    "deep array": lambda maps: (maps / "evolution" / "zarr.json").write_text("[" * 100_000),
    "no object": lambda maps: (maps / "evolution" / "zarr.json").write_text("5"),
    "fewer": shaped([2, 3, 24, 24]),
    "flat": shaped([5, 24]),
    "none": shaped([0, 3, 24, 24]),
    "five channels": shaped([5, 5, 24, 24]),
    "huge": shaped([5, 3, 100_000, 100_000]),
    "negative": shaped([5, -3, 24, 24]),
    "shape of words": shaped(["a", "b", "c", "d"]),  # type: ignore[list-item]
    "huge chunks": chunked([32, 3, 10**5, 10**5]),
    "chunks of nothing": chunked([0, 0, 0, 0]),
    "small": rewritten(np.zeros((5, 3, 8, 8), np.int8)),
    "steps are a word": attributes(steps="abc"),
    "steps are a number": attributes(steps=5),
    "steps are null": attributes(steps=None),
    "steps are mixed": attributes(steps=[0, "1", None, [3], 4.0]),
    "steps come twice": attributes(steps=[0, 0, 0, 0, 0]),
    "steps are bools": attributes(steps=[False, True]),
    "more steps": attributes(steps=list(range(60))),
    "scale is a word": attributes(scale="x"),
    "scale is not finite": attributes(scale=float("nan")),
    "scale is giant": attributes(scale=1e300),
    "levels are none": attributes(levels=0),
    "chunks are none": attributes(chunk_steps=0),
    "attributes are a list": lambda maps: zarr_json(maps / "zarr.json", lambda c: c.update(attributes=[])),
    "another format": attributes(format=99),
    "another chunk length": attributes(chunk_steps=16),
    "another codec": foreign_codec,
    "very many steps": lambda maps: array_of(maps, "final", [4000, 4096, 4096]),
}  # fmt: skip


@pytest.mark.parametrize("how", sorted(MAPS))
def test_heatmaps_that_are_damaged_are_named(tmp_path: Path, how: str) -> None:
    run = everything(tmp_path / "lift")
    maps = Evolutions(run).folder("owl/0.png")
    MAPS[how](maps)
    with served(run) as viewer:
        walk(viewer)
        image = first(viewer)
        (layer,) = image["layers"]
        assert layer["problem"] == image["problems"][0]
        named = maps.name in layer["problem"] or "24 x 24 pixels" in layer["problem"]
        assert named, layer["problem"]
        assert str(tmp_path) not in json.dumps(image)
        answer = viewer.ask("/api/runs/0/images/0.0/layers/0/frames/3")
        if how not in ("small", "more steps", "very many steps"):
            assert (answer.status, list(answer.json)) == (404, ["error"])
            assert str(tmp_path) not in answer.json["error"]
        other = viewer.get("/api/runs/0/images/0.3")
        assert (other["problems"], other["layers"][0]["problem"]) == ([], None)


@pytest.mark.parametrize("exponent", ["x", 10**6, None, 2.5, 127])
def test_a_single_heatmap_with_a_hostile_scale(tmp_path: Path, exponent: Any) -> None:
    run = write_undesirable_run(tmp_path / "run", InventedMasks(images=2, failed=0, kept=2, stepped=0))
    maps = Evolutions(run).folder("non_target/owl/0.png")
    attributes(exponent=exponent)(maps)
    # As an earlier version wrote it: with the digest of today every change would show.
    zarr_json(maps / "zarr.json", lambda content: content["attributes"].pop("digest"))
    with served(run) as viewer:
        walk(viewer)
        layers = first(viewer)["layers"]
        fine = [layer["problem"] is None for layer in layers]
        assert fine == [True, exponent == 127, True]
        assert layers[2]["title"].endswith("no factor")
        sound = viewer.ask("/api/runs/0/images/0.0/layers/2/frames/0")
        assert sound.status == 200
        wanted = encoded(Evolutions(run).final("none/owl/0.png"), 0.0)
        assert sound.body == wanted.levels.tobytes()


class Bomb:
    """What runs a command when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def packed(path: Path, **members: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)


def header(descr: str, shape: tuple[int, ...]) -> bytes:
    text = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


EXAMPLES: dict[str, Callable[[Path], object]] = {
    "torn": lambda path: path.write_bytes(path.read_bytes()[:-500]),
    "no zip": lambda path: path.write_bytes(b"<html>" * 50),
    "empty": lambda path: path.write_bytes(b""),
    "scrambled": lambda path: scramble(path, 2000, 500),
    "other arrays": lambda path: np.savez(path, x=np.zeros(3)),
    "only a name": lambda path: np.savez(path, name="owl/0.png"),
    "pickle alone": lambda path: path.write_bytes(pickle.dumps(Bomb(path.parent / "gone off"))),
    "pickle inside": lambda path: np.savez(path, name=np.array([Bomb(path.parent / "gone off")], object)),
    "pickle for pixels": lambda path: np.savez(
        path, name="owl/0.png", image=np.array([Bomb(path.parent / "gone off")], object), heatmaps=0,
        scales=0, methods=0,
    ),
    "huge name": lambda path: packed(path, name=header("<U1000000", (10**6, 10**6))),
    "huge pixels": lambda path: packed(path, name=header("<U9", ()) + "owl/0.png".encode("utf-32-le"),
                                       image=header("|u1", (10**6, 10**6, 3))),
    "bomb": lambda path: np.savez_compressed(path, name="owl/0.png", image=np.zeros(3 * 10**6, np.uint8)),
    "bad header": lambda path: packed(path, name=b"\x93NUMPY\x01\x00\x08\x00__import__('os').abort()"),
}  # fmt: skip


@pytest.mark.parametrize("how", sorted(EXAMPLES))
def test_examples_that_are_damaged(tmp_path: Path, how: str, monkeypatch: Any) -> None:
    monkeypatch.setattr("heatlift.viewer.examples.LARGEST", 2 * 10**6)  # a smaller bomb does
    run = everything(tmp_path / "audit")
    path = run / "examples" / "000.npz"
    EXAMPLES[how](path)
    with served(run) as viewer:
        walk(viewer)
        problems = viewer.run()["problems"] + first(viewer)["problems"]
        assert any("examples/000.npz" in problem for problem in problems)
        assert str(tmp_path) not in json.dumps(problems)
        assert viewer.get("/api/runs/0/images/0.1")["layers"][0]["problem"] is None
    assert not (run / "examples" / "gone off").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"image": np.zeros((4, 4), np.uint8)}, {"image": np.zeros((0, 0, 3), np.uint8)}, {"image": "x"},
        {"image": np.zeros((224, 224, 3))}, {"heatmaps": np.zeros((1, 3, 9, 9), np.float16)}, {"heatmaps": 5},
        {"heatmaps": np.zeros((1, 3, 224, 224), complex)}, {"heatmaps": np.zeros((1, 3, 224, 224), "U1")},
        {"heatmaps": np.full((1, 3, 224, 224), np.nan, np.float16)},
        {"heatmaps": np.zeros((1, 7, 224, 224), np.float16)},
        {"scales": np.array(["x"])}, {"scales": 1.0}, {"scales": np.array([np.inf])},
        {"scales": np.array([1.0, 2.0])},
        {"methods": 5}, {"methods": np.array([5])}, {"methods": "saliency"},
        {"heatmaps": np.full((1, 3, 224, 224), 60000, np.float16), "scales": np.array([1e38])},
    ],
)  # fmt: skip
def test_examples_that_hold_something_else(tmp_path: Path, changes: dict[str, Any]) -> None:
    run = everything(tmp_path / "audit")
    path = run / "examples" / "000.npz"
    with np.load(path) as sound:
        np.savez(path, **({name: sound[name] for name in sound.files} | changes))
    with served(run) as viewer:
        walk(viewer)
        (layer,) = first(viewer)["layers"]
        assert layer["problem"]
        assert viewer.ask("/api/runs/0/images/0.0/layers/0/frames/0").status == 404


def png(width: int, height: int, data: bytes = b"") -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">L", len(content)) + kind + content + struct.pack(">L", checksum)

    start = chunk(b"IHDR", struct.pack(">2L5B", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + start + chunk(b"IDAT", data) + chunk(b"IEND", b"")


PICTURES: dict[str, Callable[[bytes], bytes]] = {
    "torn": lambda sound: sound[:-200],
    "empty": lambda sound: b"",
    "short": lambda sound: sound[:20],
    "html": lambda sound: b"<html><script>alert(1)</script></html>",
    "svg": lambda sound: b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
    "gif": lambda sound: b"GIF89a" + bytes(100),
    "giant": lambda sound: png(60_000, 60_000, zlib.compress(bytes(10_000))),
    "bomb": lambda sound: png(20_000, 20_000, zlib.compress(bytes(10**7))),
    "second header": lambda sound: sound[:33] + png(60_000, 60_000)[8:33] + sound[33:],
    "no size": lambda sound: png(0, 0, zlib.compress(b"")),
    "no data": lambda sound: png(24, 24),
    "scrambled": lambda sound: sound[:60] + bytes(b ^ 0x55 for b in sound[60:]),
    "other size": lambda sound: png(2, 1, zlib.compress(b"\x00" + bytes(6))),
}


@pytest.mark.parametrize("how", sorted(PICTURES))
def test_pictures_that_are_none(tmp_path: Path, how: str) -> None:
    run = everything(tmp_path / "undesirable")
    paths = original_path(run, "owl/0.png"), reference_path(run, "owl/0.png")
    for path in paths:
        path.write_bytes(PICTURES[how](path.read_bytes()))
    with served(run) as viewer:
        walk(viewer)
        for which in ("original", "reference"):
            answer = viewer.ask(f"/api/runs/0/images/0.0/{which}")
            if how == "other size":
                assert answer.status == 200
                continue
            assert (answer.status, list(answer.json)) == (404, ["error"])
            assert f"{which}s/" in answer.json["error"]
            assert str(tmp_path) not in answer.json["error"]
        image = first(viewer)
        assert image["problems"]
        assert image["reference"] is (how == "other size")


def test_bytes_at_random_in_a_picture(tmp_path: Path) -> None:
    run = lift(tmp_path / "run", images=1, kept=1)
    path = original_path(run, "owl/0.png")
    sound, draw = path.read_bytes(), np.random.default_rng(0)
    with served(run) as viewer:
        for _ in range(60):
            content = bytearray(sound)
            for place in draw.integers(8, 80, 3):
                content[place] = int(draw.integers(256))
            path.write_bytes(content)
            assert viewer.ask("/api/runs/0/images/0.0/original").status in (200, 404)


def test_heatmaps_and_image_of_different_sizes(tmp_path: Path) -> None:
    run = lift(tmp_path / "run", images=1, kept=1)
    original_path(run, "owl/0.png").write_bytes(PICTURES["other size"](b""))
    with served(run) as viewer:
        image = first(viewer)
        problem = "the heatmap has 24 x 24 pixels, its image 2 x 1 pixels"
        assert (image["problems"], image["layers"][0]["problem"]) == ([problem], problem)
        assert viewer.ask("/api/runs/0/images/0.0/layers/0/download").json == {"error": problem}


def test_without_its_picture_a_heatmap_still_has_its_size(tmp_path: Path) -> None:
    run = lift(tmp_path / "run", images=1, kept=1)
    original_path(run, "owl/0.png").unlink()
    with served(run) as viewer:
        image = first(viewer)
        assert (image["original"], image["size"]) == (False, [24, 24])
        assert image["layers"][0]["problem"] is None
        assert image["problems"] == ["the run does not keep this picture"]


def test_very_many_columns_and_problems_have_an_end(tmp_path: Path) -> None:
    run = everything(tmp_path / "audit")
    pieces = split(run, "audit", 10)
    put(run, 0, pieces[0])
    many = [{"image": "owl/11.png", "indicator": str(i), "value": 1.0, "status": "ok"} for i in range(2_001)]
    put(run, 1, {**pieces[1], "indicators": many})
    for number in range(2, 40):
        for table in ("predictions", "scores", "indicators"):
            part_file(run, table, number).write_bytes(b"?")
    with served(run) as viewer:
        told = viewer.run()
    assert told["done"] == 10
    assert len(told["columns"]) < 100
    assert len(told["problems"]) == 21
    assert told["problems"][-1] == "and 19 problems more"


def test_what_is_confined(tmp_path: Path) -> None:
    (tmp_path / "run2").mkdir()
    run = tmp_path / "run"
    (run / "sub").mkdir(parents=True)
    (tmp_path / "run2" / "file").write_text("x")
    (run / "file").write_text("x")
    (run / "sub" / "up").symlink_to("../file")
    (run / "sub" / "beside").symlink_to("../../run2/file")
    assert confined(run, run / "file") == run / "file"
    assert confined(run, run / "sub" / "up")
    assert confined(run, run / "nothing")
    for path in (run / "sub" / "beside", run / ".." / "run2" / "file", run / "sub", run):
        with pytest.raises(HeatliftError):
            confined(run, path)
    with pytest.raises(HeatliftError, match="sub/beside is a link"):
        confined_folder(run, run / "sub")
    (run / "sub" / "beside").unlink()
    assert confined_folder(run, run / "sub")


@pytest.mark.parametrize("name", ["final", "evolution"])
def test_arrays_of_the_older_format_are_not_even_opened(tmp_path: Path, name: str) -> None:
    """There a filter may be a pickle, which would run."""
    run = everything(tmp_path / "lift")
    maps = Evolutions(run).folder("owl/0.png")
    ran = tmp_path / "ran"
    for file in (maps / name).iterdir():
        file.unlink()
    described = {
        "zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "|O", "fill_value": None, "order": "C",
        "compressor": None, "filters": [{"id": "vlen-utf8"}, {"id": "pickle", "protocol": 5}],
    }  # fmt: skip
    (maps / name / ".zarray").write_text(json.dumps(described))
    (maps / name / "0").write_bytes(pickle.dumps(Bomb(ran)))
    with served(run) as viewer:
        image = first(viewer)
        assert maps.name in image["layers"][0]["problem"]
        for frame in range(5):
            viewer.ask(f"/api/runs/0/images/0.0/layers/0/frames/{frame}")
    with pytest.raises(HeatliftError, match=r"damaged|can't be read"):
        Evolutions(run).final("owl/0.png") if name == "final" else Evolutions(run).frame("owl/0.png", 1)
    assert not ran.exists()


@pytest.mark.parametrize("values", [2**20, 2**25])
def test_a_word_repeated_very_often_takes_no_memory(tmp_path: Path, values: int) -> None:
    run = everything(tmp_path / "lift")
    pieces = split(run, "lift", 3)
    for number, piece in enumerate(pieces):
        put(run, number, piece)
    path = part_file(run, "lift", 1)
    word = pa.array(["x" * 3000 if values == 2**20 else "x"])
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(values, np.int32)), word)
    pq.write_table(pa.table({"image": column}), path, compression="zstd", store_schema=False)
    assert path.stat().st_size < 2**21
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with served(run) as viewer:
        (problem,) = viewer.run()["problems"]
        assert "lift/part-000001.parquet" in problem
        assert {row["name"] for row in viewer.rows()} == {f"owl/{i}.png" for i in range(3)}
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024  # MB
    assert grown < 1000
