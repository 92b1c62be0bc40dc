"""Manifests that a stranger may have written: the right images and labels, or one line that says why not."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heatlift.cli import run
from heatlift.data import find_images
from heatlift.errors import HeatliftError
from heatlift.run.tables import read_table
from pictures import picture

CLASSES = ["cat", "dog, domestic dog", "7"]


def parquet(folder: Path, **columns: Any) -> Path:
    path = folder / "m.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def text(folder: Path, content: str | bytes) -> Path:
    path = folder / "m.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refusal(manifest: Path) -> str:
    with pytest.raises(HeatliftError) as caught:
        find_images(manifest, 3, CLASSES)
    line = str(caught.value)
    assert line.isprintable()
    assert len(line) < 1200
    return line.replace(str(manifest), "M")


def audited(manifest: Path, out: Path) -> int:
    command = ["audit", str(manifest), "--model", "networks:small", "--out", str(out)]
    return run([*command, "--methods", "saliency", "--operations", "add", "--controls", "none"])


LEAVING = (
    "../secret.png",
    "a/../../secret.png",
    "{outside}/secret.png",
    "..",
    "a/../..",
    "//{outside}/secret.png",
)


@pytest.mark.parametrize("path", LEAVING)
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_path_that_leads_out_of_the_folder_is_refused(
    path: str, ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    picture(1).save(tmp_path / "secret.png")
    picture(2).save(inside / "own.png")
    paths = ["own.png", path.format(outside=tmp_path)]
    if ending == "parquet":
        manifest = parquet(inside, path=paths, label=[0, 1])
    else:
        manifest = text(inside, f"path,label\nown.png,0\n{paths[1]},1\n")
    assert audited(manifest, tmp_path / "run") == 2
    line = capsys.readouterr().err
    assert line.startswith(f"heatlift: {manifest}, {'row 2' if ending == 'parquet' else 'line 3'}: ")
    assert "leads out of the manifest's folder: move the manifest up to a folder that holds all" in line
    assert line.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_what_the_line_says_to_do_is_possible(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "inside").mkdir()
    picture(1).save(tmp_path / "elsewhere" / "1.png")
    moved = text(tmp_path, "path,label\nelsewhere/1.png,0\n")
    assert [item.name for item in find_images(moved, 3, None).items] == ["elsewhere/1.png"]
    (tmp_path / "inside" / "there").symlink_to(tmp_path / "elsewhere")
    linked = text(tmp_path / "inside", "path,label\nthere/1.png,0\n")
    assert audited(linked, tmp_path / "run") == 0
    (row,) = read_table(tmp_path / "run", "predictions").to_pylist()
    assert (row["image"], row["status"]) == ("there/1.png", "ok")


def test_names_that_lead_nowhere_become_failed_rows(tmp_path: Path) -> None:
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "broken.png").symlink_to("nowhere.png")
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    picture(1).save(tmp_path / "sound.png")
    reasons = {
        "sound.png": "ok",
        "loop.png": "unreadable: Too many levels of symbolic links",
        "broken.png": "unreadable: file is missing",
        "folder.png": "unreadable: a folder",
        ".": "unreadable: a folder",
        "pipe.png": "unreadable: not a regular file",
        "gone.png": "unreadable: file is missing",
        "x" * 300 + ".png": "unreadable: File name too long",
        "/".join(["deep"] * 700): "unreadable: file is missing",
        "\x1b[31m‮gnp": "unreadable: file is missing",
        "m.csv": "unreadable: not an image that Pillow can read",
    }
    with (tmp_path / "m.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *((name, "") for name in reasons)])
    assert audited(tmp_path / "m.csv", tmp_path / "run") == 0
    found = {row["image"]: row["status"] for row in read_table(tmp_path / "run", "predictions").to_pylist()}
    assert found == reasons


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("path,label\na.png,0\n".encode("utf-16"), "M is not in UTF-8"),
        ("path,label\na.png,0\n".encode("utf-16-le"), "M has no column named 'path' (its columns: p\\x00a"),
        ("path,label\na.png,0\n".encode("utf-32"), "M is not in UTF-8"),
        (b"path,label\n\xff.png,0\n", "M is not in UTF-8"),
        (b"\0" * 5000, "M has no column named 'path'"),
        (
            b"\x1b]0;owned\x07,label\n",
            "M has no column named 'path' (its columns: \\x1b]0;owned\\x07, label)",
        ),
        ('path,label\n"a.png,0\n' + "b.png,1\n" * 20_000, "M, line"),
        ("path,label\na.png,0\n" + "ä" * 2049 + ",x\n", "M, line 3: 'path' has 4098 bytes"),
        ("path,label\n" + "a" * 4096 + ",x\n", "M, line 2: the network has no class 'x'"),
        (
            "path,label\na.png," + "x" * 131_000,
            "M, line 2: 'label' has 131000 bytes: a path or label has at most",
        ),
        ("path,label\na.png," + "x" * 4096, "M, line 2: the network has no class 'xxx"),
        ("path,label\na.png,\x1b[31mdog\n", "M, line 2: the network has no class '\\x1b[31mdog'"),
        ("path,label\na.png,1e0\n", "M, line 2: the network has no class '1e0'"),
        ("path,label\na.png,٣\n", "M, line 2: the network has no class '٣'"),  # a 3, in another script
        ("path,label\na.png," + "9" * 19, "M, line 2: the network has no class '999"),
        ("path," * 30_000 + "label\n", "M has more than one column named 'path'"),
        ('path,label\n"a\n.png",9\n', "M, line 3: the network has no output 9"),
    ],
)
def test_hostile_text(content: str | bytes, expected: str, tmp_path: Path) -> None:
    assert refusal(text(tmp_path, content)).startswith(expected)


@pytest.mark.parametrize("newline", ["\r", "\n", "\r\n"])
def test_every_kind_of_line_end(newline: str, tmp_path: Path) -> None:
    data = find_images(text(tmp_path, newline.join(["path,label", "a.png,0", "", "b.png,2", ""])), 3, None)
    assert {item.name: item.label for item in data.items} == {"a.png": 0, "b.png": 2}


def test_the_row_of_a_long_text_is_named(tmp_path: Path) -> None:
    """Also beyond the rows that are read together, of a text that stands in many rows, and with gaps."""
    labels: list[str | None] = [None, "cat"] * 400 + ["x" * 4097, None, "x" * 4097]
    paths = [f"{row}.png" for row in range(len(labels))]
    for column in (
        pa.array(labels),
        pa.array(labels).dictionary_encode(),
        pa.array(labels, pa.large_string()),
    ):
        line = refusal(parquet(tmp_path, path=paths, label=column))
        assert line == "M, row 801: 'label' has 4097 bytes: a path or label has at most 4096"


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_file_that_is_read_is_the_one_that_was_checked(ending: str, tmp_path: Path) -> None:
    """A link's own way up leads elsewhere than the name's."""
    for number, folder in enumerate((tmp_path / "away", tmp_path / "data")):
        (folder / "deep").mkdir(parents=True)
        picture(number).save(folder / "x.png")
    (tmp_path / "data" / "link").symlink_to(tmp_path / "away" / "deep")
    rows = {"path": ["link/../x.png"], "label": [0]}
    manifest = (
        parquet(tmp_path / "data", **rows)
        if ending == "parquet"
        else text(tmp_path / "data", "path,label\nlink/../x.png,0\n")
    )
    (item,) = find_images(manifest, 3, None).items
    assert item.name == "x.png"
    assert isinstance(item.path, Path)
    assert item.path.read_bytes() == (tmp_path / "data" / "x.png").read_bytes()


def nested() -> dict[str, Any]:
    paths = ["a.png", "b.png"]
    return {
        "list": {"path": [paths], "label": [0]},
        "record": {"path": [{"path": "a.png"}], "label": [0]},
        "label list": {"path": paths, "label": [[0], [1]]},
        "label record": {"path": paths, "label": [{"label": 0}, {"label": 1}]},
        "bytes": {"path": [b"a.png"], "label": [0]},
        "map": {"path": paths, "label": pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int8()))},
    }


@pytest.mark.parametrize("kind", nested())
def test_columns_that_are_no_plain_values(kind: str, tmp_path: Path) -> None:
    assert "write text, or numbers as labels" in refusal(parquet(tmp_path, **nested()[kind]))


def test_other_types_and_texts_are_said_in_short(tmp_path: Path) -> None:
    paths = pa.array(["a.png"])
    cases: list[tuple[Any, Any, str]] = [
        (paths, pa.array([2.5]), "M, row 1: the network has no class '2.5'"),
        (paths, pa.array([float("inf")]), "M, row 1: the network has no class 'inf'"),
        (paths, pa.array([10**15]), "M, row 1: the network has no output 1000000000000000"),
        (paths, pa.array([0], pa.timestamp("s")), "M, row 1: label datetime.datetime(1970"),
        (paths, pa.array(["x" * 4000]), "M, row 1: the network has no class 'xxx"),
        (paths, pa.array(["x" * 5000]), "M, row 1: 'label' has 5000 bytes"),
        (pa.array(["x" * 5000]), pa.array([0]), "M, row 1: 'path' has 5000 bytes"),
        (pa.nulls(1), pa.array([0]), "M, row 1: the path is missing"),
    ]
    for path, label, expected in cases:
        assert refusal(parquet(tmp_path, path=path, label=label)).startswith(expected)
    columns = [pa.array(["a.png"]), pa.array(["b.png"]), pa.array([0])]
    pq.write_table(pa.Table.from_arrays(columns, names=["path", "path", "label"]), tmp_path / "m.parquet")
    assert refusal(tmp_path / "m.parquet").startswith("M has more than one column named 'path'")


def test_a_small_file_does_not_unpack_to_all_memory(tmp_path: Path) -> None:
    """Twenty million bytes a row, twenty thousand rows, and a file of a few kilobytes."""
    bomb = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), pa.array(["x" * 20_000_000]))
    for name, columns in (
        ("path", {"path": bomb, "label": pa.nulls(20_000, pa.int8())}),
        ("label", {"path": pa.array(map(str, range(20_000))), "label": bomb}),
    ):
        table = pa.table(columns)
        pq.write_table(
            table, tmp_path / f"{name}.parquet", compression="zstd", use_dictionary=["path", "label"]
        )
        assert (tmp_path / f"{name}.parquet").stat().st_size < 200_000
    program = (
        "import resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_AS, (8 * 2**30, 8 * 2**30))\n"
        "from heatlift.data import find_images\n"
        "from heatlift.errors import HeatliftError\n"
        "for path in sys.argv[1:]:\n"
        "    try: find_images(path, 3, None)\n"
        "    except HeatliftError as error: print(error)\n"
        # Of this program alone: a child's ru_maxrss begins with that of the process it was forked from.
        "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])\n"
    )
    files = [str(tmp_path / f"{name}.parquet") for name in ("path", "label")]

    done = subprocess.run(
        [sys.executable, "-c", program, *files],
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    first, second, kilobytes = done.stdout.splitlines()
    assert "path.parquet, row 1: 'path' has 20000000 bytes" in first
    assert "label.parquet, row 1: 'label' has 20000000 bytes" in second
    assert int(kilobytes) < 1_500_000


cells = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["", "a.png", "./a.png", "b/../a.png", "../x", "/etc/passwd", "cat", "DOG", "7", "1", "1.0", "-1"]
    ),
)


def expected_label(cell: str) -> int | str | None:
    """The output that a label stands for, told another way than by the reader; ``refused`` for none."""
    plain = cell.strip()
    known = {"": None, "cat": 0, "dog": 1, "0": 0, "1": 1, "2": 2, "1.0": 1}
    return known.get(plain.lower() if plain.isascii() else plain, "refused")


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(cells, cells), max_size=5), ending=st.sampled_from(["csv", "parquet"]))
def test_any_rows_give_the_images_or_one_line(
    tmp_path: Path, rows: list[tuple[str, str]], ending: str
) -> None:
    manifest = tmp_path / f"m.{ending}"
    try:
        if ending == "csv":
            buffer = io.StringIO(newline="")
            csv.writer(buffer, quoting=csv.QUOTE_ALL).writerows([("path", "label"), *rows])
            manifest.write_bytes(buffer.getvalue().encode())
        else:
            columns = {"path": [row[0] for row in rows], "label": [row[1] for row in rows]}
            pq.write_table(
                pa.table(columns, pa.schema({"path": pa.string(), "label": pa.string()})), manifest
            )
    except UnicodeEncodeError:
        return  # half a character can't be written at all
    line = ""
    try:
        data = find_images(manifest, 3, CLASSES)
    except HeatliftError as error:
        line = str(error)
    if line:
        assert line.isprintable()
        assert str(manifest) in line
        places = [os.path.normpath(os.path.join(tmp_path, path)) for path, _ in rows]
        sound = all(path.strip() and "\0" not in path for path, _ in rows) and all(
            place.startswith(f"{tmp_path}/") for place in places
        )
        fitting = all(expected_label(label) != "refused" for _, label in rows)
        assert not (rows and sound and fitting and len(set(places)) == len(rows)), line
    else:
        assert len(data.items) == len(rows) == len({item.name for item in data.items})
        assert {os.path.normpath(item.path) for item in data.items} == {
            os.path.normpath(os.path.join(tmp_path, path)) for path, _ in rows
        }
        by_place = {os.path.normpath(os.path.join(tmp_path, path)): label for path, label in rows}
        for item in data.items:
            assert str(item.path).startswith(f"{tmp_path}/")
            wanted = expected_label(by_place[os.path.normpath(item.path)])
            assert wanted in ("refused", item.label)
