"""Manifests: paths and labels as people write them, and one line that names the row where they can't be."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from heatlift.data import Dataset, find_images
from heatlift.errors import HeatliftError

CLASSES = ["cat", "dog, domestic dog", "7"]


def csv_file(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "manifest.csv"
    path.write_bytes(text.encode(encoding))
    return path


def parquet_file(folder: Path, **columns: pa.Array) -> Path:
    path = folder / "manifest.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def labels(data: Dataset) -> dict[str, int | None]:
    return {item.name: item.label for item in data.items}


def refusal(manifest: Path, num_classes: int = 3, classes: list[str] | None = CLASSES) -> str:
    with pytest.raises(HeatliftError) as caught:
        find_images(manifest, num_classes, classes)
    line = str(caught.value)
    assert "\n" not in line
    assert str(manifest) in line
    return line.replace(str(manifest), "M")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_csv(tmp_path: Path, encoding: str, newline: str) -> None:
    absolute = tmp_path / "below" / "e.png"
    lines = [
        "path,label,note",
        "é/a.jpg,0,",
        "sub/../b.jpg,dog,with a first part",
        "sub/./c.jpg,,no label",
        '"d, e.jpg",2.0,as pandas writes it',
        "",
        f"{absolute}, CAT ,absolute",
        "z.jpg,-0,",
    ]
    data = find_images(csv_file(tmp_path, newline.join(lines), encoding), 3, CLASSES)
    assert labels(data) == {
        "é/a.jpg": 0,
        "b.jpg": 1,
        "sub/c.jpg": None,
        "d, e.jpg": 2,
        "below/e.png": 0,
        "z.jpg": 0,
    }
    assert [item.name for item in data.items] == sorted(labels(data))
    assert {item.name: item.path for item in data.items}["below/e.png"] == absolute
    assert (data.kind, data.root, data.labelled) == ("manifest", tmp_path, True)
    assert data.fingerprint()["images"] == 6  # none of them exists


@pytest.mark.parametrize(
    "column",
    [
        pa.array([1, None, 0]),
        pa.array([1.0, float("nan"), 0.0]),
        pa.array(["dog", None, "cat"]),
        pa.array(["DOG", "", "0"]).dictionary_encode(),
    ],
    ids=["integers", "floats", "names", "categories"],
)
def test_parquet(tmp_path: Path, column: pa.Array) -> None:
    folder = tmp_path / "label=2"  # not a column, though Arrow might read it as one
    folder.mkdir()
    paths = pa.array(["a.jpg", "b.jpg", "c.jpg"])
    manifest = parquet_file(folder, label=column, more=pa.array([[], [], []]), path=paths)
    assert labels(find_images(manifest, 3, CLASSES)) == {"a.jpg": 1, "b.jpg": None, "c.jpg": 0}


def test_a_manifest_without_labels(tmp_path: Path) -> None:
    data = find_images(csv_file(tmp_path, "path,label\na.jpg,\nb.jpg,\n"), 3, None)
    assert labels(data) == {"a.jpg": None, "b.jpg": None}
    assert not data.labelled


def test_wnids_are_names_of_imagenet(tmp_path: Path) -> None:
    manifest = csv_file(tmp_path, "path,label\na.jpg,n01440764\nb.jpg,n15075141\n")
    assert labels(find_images(manifest, 1000, None)) == {"a.jpg": 0, "b.jpg": 999}
    assert "line 2: label 'n01440764' is a name" in refusal(manifest, 10, None)
    assert "line 2: the network has no class 'n00000001'" in refusal(
        csv_file(tmp_path, "path,label\na.jpg,n00000001\n"), 1000, CLASSES
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "M has no column named 'path' (its columns: none)"),
        ("path,label\n", "M has no rows"),
        ("path;label\na.jpg;0\n", "M has no column named 'path' (its columns: path;label)"),
        ("file,label\na.jpg,0\n", "M has no column named 'path' (its columns: file, label)"),
        ("path\na.jpg\n", "M has no column named 'label'"),
        ("path,label,Path\na.jpg,0,b.jpg\n", "M has more than one column named 'path'"),
        (
            "path,label\na.jpg,0\nb.jpg,3\n",
            "M, line 3: the network has no output 3: its 3 outputs are 0 to 2",
        ),
        ("path,label\na.jpg,-1\n", "M, line 2: the network has no output -1"),
        ("path,label\na.jpg,1.5\n", "M, line 2: the network has no class '1.5'"),
        ("path,label\na.jpg,bird\n", "M, line 2: the network has no class 'bird'"),
        ("path,label\na.jpg,hen\n", "M, line 2: class 'hen' may be any of the outputs (3, 4)"),
        ("path,label\na.jpg,2\n", "M, line 2: label '2' is one output's number and another's name"),
        ("path,label\n,0\n", "M, line 2: the path is empty"),
        ("path,label\na\0.jpg,0\n", "M, line 2: the path 'a\\x00.jpg' has a null character"),
        ("path,label\na,b.jpg,0\n", "M, line 2: 3 cells where the header has 2"),
        ("path,label\na.jpg,0\n./b.jpg,0\nx/../b.jpg,1\n", "M, line 4: 'x/../b.jpg' is in line 3 already"),
        (f"path,label\n{'a' * 200_000},0\n", "M, line 2: not a CSV table"),
    ],
)
def test_refused_csv(tmp_path: Path, text: str, expected: str) -> None:
    classes = ["cat", "dog", "7"]
    if "hen" in text:
        classes += ["hen", "hen"]
    elif ",2\n" in text:
        classes = ["2", "1", "0"]
    assert refusal(csv_file(tmp_path, text), len(classes), classes).startswith(expected)


def test_refused_encoding(tmp_path: Path) -> None:
    assert refusal(csv_file(tmp_path, "path,label\né.jpg,0\n", "latin-1")).startswith("M is not in UTF-8")


def test_names_need_class_names(tmp_path: Path) -> None:
    line = refusal(csv_file(tmp_path, "path,label\na.jpg,cat\n"), 3, None)
    assert line.startswith("M, line 2: label 'cat' is a name")
    assert "--classes FILE" in line


def test_refused_parquet(tmp_path: Path) -> None:
    paths = pa.array(["a.jpg", "b.jpg"])
    refused = {
        "M, row 2: the network has no output 9": {"path": paths, "label": pa.array([0, 9])},
        "M, row 2: the path is missing": {"path": pa.array(["a.jpg", None]), "label": pa.array([0, 1])},
        "M, row 1: the path 5 is not text": {"path": pa.array([5, 6]), "label": pa.array([0, 1])},
        "M, row 1: label True is neither": {"path": paths, "label": pa.array([True, False])},
        "M, row 2: 'a.jpg' is in row 1 already": {"path": pa.array(["a.jpg"] * 2), "label": pa.array([0, 1])},
        "M has no rows": {"path": pa.array([], pa.string()), "label": pa.array([], pa.int64())},
        "M has no column named 'label' (its columns: path)": {"path": paths},
    }
    for expected, columns in refused.items():
        assert refusal(parquet_file(tmp_path, **columns)).startswith(expected)
    (tmp_path / "manifest.parquet").write_bytes(b"not Parquet at all")
    assert refusal(tmp_path / "manifest.parquet").startswith("cannot read M as Parquet: ")


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_manifest_that_may_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    manifest = tmp_path / f"manifest.{ending}"
    manifest.touch()
    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(pq, "ParquetFile", refuse)
    assert "Permission denied" in refusal(manifest)
