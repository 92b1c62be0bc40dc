"""DATA in its folder forms: which images, which names, which outputs; and what is refused, in one line."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from heatlift.data import Dataset, Item, find_images
from heatlift.errors import HeatliftError


def fill(root: Path, *names: str) -> Path:
    """Files with these names; what is in them plays no part here."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def labels(data: Dataset) -> dict[str, int | None]:
    return {item.name: item.label for item in data.items}


def refusal(*arguments: object) -> str:
    with pytest.raises(HeatliftError) as caught:
        find_images(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_class_folders_in_sorted_order(tmp_path: Path) -> None:
    data = find_images(fill(tmp_path, "b/2.jpg", "b/1.PNG", "C/x.tif", "a/z/deep.jpeg"), 3, None)
    # Capital letters sort first, as in torchvision's ImageFolder.
    assert labels(data) == {"C/x.tif": 0, "a/z/deep.jpeg": 1, "b/1.PNG": 2, "b/2.jpg": 2}
    assert [item.name for item in data.items] == sorted(labels(data))
    assert all(item.path == tmp_path / item.name for item in data.items)
    assert (data.kind, data.root, data.labelled) == ("class folders", tmp_path, True)
    assert data.by_order == ("C", "a", "b")


def test_class_folders_by_name(tmp_path: Path) -> None:
    classes = ["tench, Tinca tinca", "great white", "hen", "hen", "Siamese cat", "crane"]
    root = fill(tmp_path, "crane/a.jpg", "tench/b.jpg", "Great_White/c.jpg", "siamese-cat/d.jpg")
    assert find_images(root, 6, classes).by_order == ()
    found = find_images(str(root), 6, classes)
    assert labels(found) == {
        "Great_White/c.jpg": 1,
        "crane/a.jpg": 5,
        "siamese-cat/d.jpg": 4,
        "tench/b.jpg": 0,
    }
    assert found.kind == "class folders"
    # A name of two outputs cannot be told apart, nor can one of none.
    for stranger in ("hen", "goose"):
        fill(root, f"{stranger}/e.jpg")
        assert "5 class folders" in (line := refusal(root, 6, classes))
        assert "6 outputs" in line
        assert repr(stranger) in line
        assert "--classes FILE" in line
        assert "manifest" in line
        shutil.rmtree(root / stranger)


def test_order_that_contradicts_a_name_is_refused(tmp_path: Path) -> None:
    root = fill(tmp_path, "cat/1.jpg", "hund/2.jpg")
    assert set(labels(find_images(root, 2, ["cat", "dog"])).values()) == {0, 1}
    line = refusal(root, 2, ["dog", "cat"])
    assert "'cat' is the network's output 1 by name, 0 by order" in line
    assert "'hund'" in line


def test_folders_without_images_count_only_where_that_fits(tmp_path: Path) -> None:
    root = fill(tmp_path, "a/1.jpg", "b/notes.txt", "c/3.jpg")
    assert labels(find_images(root, 2, None)) == {"a/1.jpg": 0, "c/3.jpg": 1}
    assert labels(find_images(root, 3, None)) == {"a/1.jpg": 0, "c/3.jpg": 2}
    assert "2 class folders, the network has 4 outputs" in refusal(root, 4, None)


def test_imagenet_folders(tmp_path: Path) -> None:
    # The first, the second, and the last of ImageNet's 1000 classes: tench, goldfish, toilet tissue.
    root = fill(tmp_path, "n15075141/c.JPEG", "n01440764/a.JPEG", "n01443537/b.JPEG")
    data = find_images(root, 1000, ["tench"] * 1000)
    assert labels(data) == {"n01440764/a.JPEG": 0, "n01443537/b.JPEG": 1, "n15075141/c.JPEG": 999}
    assert data.kind == "ImageNet folders"
    three = find_images(root, 3, None)
    assert sorted(labels(three).values()) == [0, 1, 2]
    assert three.kind == "class folders"
    assert "3 class folders, the network has 10 outputs" in refusal(root, 10, None)
    fill(root, "n00000001/d.JPEG")
    assert "n00000001" in refusal(root, 1000, None)


def test_parts_of_a_data_set_are_not_classes(tmp_path: Path) -> None:
    root = fill(tmp_path, "train/cat/1.jpg", "train/dog/2.jpg", "Test/cat/3.jpg", "Test/dog/4.jpg")
    assert str(root / "Test") in refusal(root, 2, ["cat", "dog"])
    assert sorted(labels(find_images(root / "train", 2, None)).values()) == [0, 1]
    # A network may well know trains.
    assert labels(find_images(fill(tmp_path / "x", "train/1.jpg"), 2, ["ship", "train"])) == {
        "train/1.jpg": 1
    }


def test_flat_folder(tmp_path: Path) -> None:
    root = fill(tmp_path, "b.png", "a.JPG", "notes/read.me", "labels.csv")
    data = find_images(root, 10, None)
    assert labels(data) == {"a.JPG": None, "b.png": None}
    assert (data.kind, data.labelled) == ("flat folder", False)


def test_images_beside_class_folders_have_no_label(tmp_path: Path) -> None:
    data = find_images(fill(tmp_path, "a/1.jpg", "b/2.jpg", "overview.png"), 2, None)
    assert labels(data) == {"a/1.jpg": 0, "b/2.jpg": 1, "overview.png": None}
    assert data.labelled


def test_what_is_passed_over(tmp_path: Path) -> None:
    clutter = [
        ".hidden.jpg",
        "._1.jpg",
        "Thumbs.db",
        ".DS_Store",
        "a.txt",
        "a.md",
        "a.csv",
        "a.json",
        "a.xml",
        "a.npy",
    ]
    names = [f"cat/{name}" for name in [*clutter, "jpg", "1.jpg"]]
    root = fill(tmp_path, *names, ".git/x.jpg", "__MACOSX/cat/1.jpg", "dog/phone.HEIC")
    assert labels(find_images(root, 2, None)) == {"cat/1.jpg": 0, "dog/phone.HEIC": 1}


def test_nothing_to_find(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "missing", 2, None)
    assert "no images" in refusal(tmp_path, 2, None)
    assert "no images" in refusal(fill(tmp_path, "cat/a.txt"), 2, None)
    image = fill(tmp_path, "one.jpg") / "one.jpg"
    assert "is a single image: give its folder" in refusal(image, 2, None)
    assert "neither a folder nor" in refusal(fill(tmp_path, "x.zip") / "x.zip", 2, None)


def test_a_folder_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = fill(tmp_path, "cat/a.jpg", "dog/b.jpg")
    scandir = os.scandir

    def refuse(folder: Path) -> os._ScandirIterator[str]:
        if folder == root / "dog":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)  # the tests may run as root, who may read everything
    assert refusal(root, 2, None) == f"cannot list {root / 'dog'}: Permission denied"


def test_links_are_followed_but_never_in_circles(tmp_path: Path) -> None:
    elsewhere = fill(tmp_path / "elsewhere", "1.jpg")
    root = fill(tmp_path / "data", "a/2.jpg", "a/deep/3.jpg")
    (root / "b").symlink_to(elsewhere)
    (root / "a" / "up").symlink_to(root)
    (root / "a" / "deep" / "around").symlink_to(root / "a")
    (root / "a" / "itself").symlink_to("itself")
    (root / "a" / "broken.jpg").symlink_to("nowhere.jpg")
    assert labels(find_images(root, 2, None)) == {
        "a/2.jpg": 0,
        "a/broken.jpg": 0,  # a row that says so
        "a/deep/3.jpg": 0,
        "b/1.jpg": 1,
    }


def test_names_that_are_not_utf8_can_be_stored_and_told_apart(tmp_path: Path) -> None:
    names = [b"\xff.jpg", b"\\udcff.jpg", b"\xc3\xa9.jpg"]
    for name in names:
        with open(os.path.join(os.fsencode(tmp_path), name), "wb"):
            pass
    data = find_images(tmp_path, 2, None)
    assert sorted(item.name for item in data.items) == sorted(["\\udcff.jpg", "\\\\udcff.jpg", "é.jpg"])
    assert {os.fsencode(item.path.name) for item in data.items} == set(names)
    for item in data.items:
        item.name.encode()
    assert data.fingerprint()["images"] == 3
    assert len(data.shuffled(0)) == 3


def test_fingerprint_follows_names_sizes_and_labels(tmp_path: Path) -> None:
    root = fill(tmp_path, "a/1.jpg", "b/2.jpg")
    data = find_images(root, 2, None)
    before = data.fingerprint()
    assert json.loads(json.dumps(before)) == before
    assert (before["kind"], before["images"]) == ("class folders", 2)
    assert find_images(root, 2, None).fingerprint() == before
    assert find_images(root, 2, ["b", "a"]).fingerprint() != before
    (root / "a" / "1.jpg").write_bytes(b"longer")
    grown = data.fingerprint()
    assert grown != before
    (root / "a" / "1.jpg").unlink()  # between listing and reading: still a fingerprint
    assert data.fingerprint() not in (before, grown)


def test_shuffled_keeps_its_order_whatever_else_is_there() -> None:
    items = tuple(Item(f"{index:03d}.jpg", Path(f"{index:03d}.jpg"), index % 2) for index in range(200))
    whole = Dataset(Path(), "class folders", items).shuffled(7)
    assert sorted(whole, key=lambda item: item.name) == list(items)
    half = Dataset(Path(), "class folders", items[::2]).shuffled(7)
    assert list(half) == [item for item in whole if item in half]
    assert whole != Dataset(Path(), "class folders", items).shuffled(8)
    # Of a fair order's first 100, about half come from the first half of the names (50, deviation 3.5).
    assert 32 <= sum(item in items[:100] for item in whole[:100]) <= 68


def test_images_of_a_real_folder_are_found_and_read(tmp_path: Path) -> None:
    """The parts together: what is found can be decoded."""
    from heatlift.images import batches
    from heatlift.types import Framing

    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (9, 9), "red").save(tmp_path / name / "1.png")
    (batch,) = batches(find_images(tmp_path, 2, None).items, Framing(8, (8, 8)), 4)
    assert [item.label for item in batch.items] == [0, 1]
    assert batch.images[:, 0].min() == 1


def test_folders_named_by_numbers_are_refused_where_their_order_is_in_doubt(tmp_path: Path) -> None:
    names = [str(number) for number in range(11)]
    fill(tmp_path, *(f"{name}/a.jpg" for name in names))
    assert "sort as text (0, 1, 10, 2, ...)" in refusal(tmp_path, 11, None)
    by_name = find_images(tmp_path, 11, names)
    assert {item.name: item.label for item in by_name.items}["10/a.jpg"] == 10
    shuffled = find_images(tmp_path, 11, names[::-1])
    assert {item.name: item.label for item in shuffled.items}["10/a.jpg"] == 0


def test_the_fingerprint_sees_other_names_labels_and_contents(tmp_path: Path) -> None:
    fill(tmp_path, "cat/a.jpg", "dog/b.jpg")
    (tmp_path / "cat" / "a.jpg").write_bytes(b"x" * 10_000)

    def digest(classes: Sequence[str] = ("cat", "dog")) -> object:
        return find_images(tmp_path, 2, classes).fingerprint()["digest"]

    before = digest()
    assert digest() == before
    assert digest(("dog", "cat")) != before
    for changed in (b"y" + b"x" * 9_999, b"x" * 9_999 + b"y", b"x" * 10_001):
        (tmp_path / "cat" / "a.jpg").write_bytes(changed)
        assert digest() != before
    (tmp_path / "cat" / "a.jpg").write_bytes(b"x" * 10_000)
    assert digest() == before
    (tmp_path / "cat" / "a.jpg").rename(tmp_path / "cat" / "c.jpg")
    assert digest() != before


def test_a_named_pipe_is_neither_waited_for_nor_a_manifest(tmp_path: Path) -> None:
    fill(tmp_path, "photos/a.jpg")
    os.mkfifo(tmp_path / "photos" / "pipe.jpg")
    data = find_images(tmp_path / "photos", 2, None)
    assert len(data.items) == 2
    assert data.fingerprint()["images"] == 2
    os.mkfifo(tmp_path / "labels.csv")
    assert "neither a folder nor" in refusal(tmp_path / "labels.csv", 2, None)
