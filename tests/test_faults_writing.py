"""Disks that are full, folders that can't be written to, files that are torn, clocks that jump.

Each is said in one line that names the folder, and the same command ends with an undisturbed run's files.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pytest

import heatlift as hl
from heatlift.json_object import read_json
from heatlift.run.evolutions import Evolutions
from heatlift.run.kept import spoilt
from heatlift.run.tables import TABLES, part_path, read_part, write_part
from killing import Ended, Template, differences
from pictures import class_folders

pytestmark = pytest.mark.slow

KINDS: Mapping[str, Sequence[str]] = {
    "audit": ("--methods", "saliency", "--controls", "zero", "--operations", "add"),
    "lift": ("--max-steps", "3", "--include", "all", "--keep-steps", "2"),
    "undesirable": ("--steps", "2", "--keep-steps", "2"),
}

STAGES: Mapping[str, Sequence[str]] = {
    "audit": ("scores", "examples", "summary.json"),
    "lift": ("run.json", "maps.zarr", "originals", "lift/", "thumbnails", "report.html"),
    "undesirable": ("perturbed", "agreement"),
}
"""What is being written when the disk gets full, in the order of the run."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return class_folders(tmp_path_factory.mktemp("faults") / "data", each=3)


@pytest.fixture(scope="module")
def template() -> Iterator[Template]:
    with Template() as started:
        yield started


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


Command: TypeAlias = Callable[..., Ended]
"""Runs a kind of run in ``run`` in a folder."""


@pytest.fixture(scope="module")
def command(data: Path, template: Template) -> Command:
    def ended(kind: str, folder: Path, out: str = "run", **sabotage: Any) -> Ended:
        arguments = [kind, str(data), "--model", "networks:small", "--out", out, *KINDS[kind]]
        return template.run(folder, arguments, **sabotage)

    return ended


@pytest.fixture(scope="module")
def undisturbed(command: Command, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """A run of each kind that nothing happened to."""
    folder = tmp_path_factory.mktemp("undisturbed")
    for kind in KINDS:
        assert command(kind, folder / kind).status == 0
    return {kind: folder / kind / "run" for kind in KINDS}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Where a test has its run."""
    return tmp_path / "run"


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk(kind: str, command: Command, undisturbed: Mapping[str, Path], small_disk: Path) -> None:
    """At every stage of a run that goes on after each; nothing of it is lost."""
    filler = small_disk / "filler"
    for stage in STAGES[kind]:
        ended = command(kind, small_disk, at=1, within=stage, fill=str(filler))
        assert filler.exists(), f"{stage} was never written"
        assert ended.status == 2, ended.said
        assert "Traceback" not in ended.said
        assert ended.line.startswith("heatlift: "), ended.said
        assert "no space left" in ended.line.lower()
        assert "run/" in ended.line or "run:" in ended.line
        assert not list((small_disk / "run").rglob(".*.partial"))
        filler.unlink()
    assert command(kind, small_disk).status == 0
    assert differences(undisturbed[kind], small_disk / "run") == []


def test_a_file_that_may_not_grow(command: Command, undisturbed: Mapping[str, Path], run: Path) -> None:
    """Without a disk of one's own: by the limit of a process."""
    ended = command("lift", run.parent, at=1, within="maps.zarr", limit=64)
    assert ended.status == 2, ended.said
    assert ended.line.startswith("heatlift: too large: ")
    assert "maps.zarr" in ended.line
    assert command("lift", run.parent).status == 0
    assert differences(undisturbed["lift"], run) == []


def test_a_folder_that_is_read_only(
    command: Command, undisturbed: Mapping[str, Path], small_disk: Path
) -> None:
    assert command("lift", small_disk, at=30).status == -9
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for out in ("run", "another"):
        ended = command("lift", small_disk, out)
        assert ended.status == 2, ended.said
        assert ended.line == f"heatlift: can't write to {out}: Read-only file system"
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert command("lift", small_disk).status == 0
    assert differences(undisturbed["lift"], small_disk / "run") == []


def flip(path: Path, at: float) -> None:
    """Change a bit of a file, at a part of its length."""
    content = bytearray(path.read_bytes())
    content[int(at * (len(content) - 1))] ^= 4
    path.write_bytes(content)


def cut(path: Path, at: float) -> None:
    """Cut a file off, at a part of its length."""
    path.write_bytes(path.read_bytes()[: int(at * path.stat().st_size)])


@pytest.mark.parametrize(("kind", "spoil"), [("audit", flip), ("undesirable", cut)])
def test_spoilt_files_are_done_again(
    kind: str,
    spoil: Callable[[Path, float], None],
    command: Command,
    undisturbed: Mapping[str, Path],
    run: Path,
) -> None:
    shutil.copytree(undisturbed[kind], run)
    for table in TABLES[kind]:
        spoil(part_path(run, table, 0), 0.3)
        with pytest.raises(hl.HeatliftError, match=r"part-000000\.parquet is damaged"):
            read_part(part_path(run, table, 0), table)
    spoil(run / "summary.json", 0 if spoil is flip else 0.5)
    with pytest.raises(hl.HeatliftError, match=r"summary\.json can't be read"):
        read_json(run / "summary.json")
    for path in run.glob("examples/*.npz"):
        spoil(path, 0.5)
    (run / "maps.zarr" / ".0123.89ab.partial" / "final").mkdir(parents=True)  # a stopped writer's
    (run / ".run.json.89ab.partial").write_bytes(b"half")
    assert command(kind, run.parent).status == 0
    shutil.rmtree(run / "maps.zarr") if kind == "audit" else None
    assert differences(undisturbed[kind], run) == []


SPOILT: Mapping[str, Callable[[Path], None]] = {
    "a flipped bit of an evolution": lambda run: flip(next(run.glob("maps.zarr/*/evolution/c.*")), 0.5),
    "a heatmap cut off": lambda run: cut(next(run.glob("maps.zarr/*/final/c.*")), 0.5),
    "a description cut off": lambda run: cut(next(run.glob("maps.zarr/*/zarr.json")), 0.5),
    "a heatmap that is gone": lambda run: shutil.rmtree(next(run.glob("maps.zarr/*/final")).parent),
    "a flipped bit of an original": lambda run: flip(next(run.glob("originals/*.png")), 0.5),
    "a reference cut off": lambda run: cut(next(run.glob("references/*.png")), 0.9),
    "a picture that is gone": lambda run: next(run.glob("perturbed/*.png")).unlink(),
}


def test_spoilt_heatmaps_and_pictures_are_done_again(
    command: Command, undisturbed: Mapping[str, Path], run: Path
) -> None:
    """The tables are whole, so that nothing but a look at the files themselves can tell."""
    assert spoilt(undisturbed["undesirable"], "undesirable", {0}) == set()
    for name, spoil in SPOILT.items():
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(undisturbed["undesirable"], run)
        spoil(run)
        assert spoilt(run, "undesirable", {0}) == {0}, name
        if name.startswith("a flipped bit"):
            assert command("undesirable", run.parent).status == 0
            assert differences(undisturbed["undesirable"], run) == [], name


def test_a_mask_that_failed_is_not_missed(undisturbed: Mapping[str, Path], run: Path) -> None:
    """Where another factor, or a later trial, has one of the same image."""
    shutil.copytree(undisturbed["undesirable"], run)
    rows = read_part(part_path(run, "undesirable", 0), "undesirable").to_pylist()
    kept = next(row for row in rows if Evolutions(run).among([f"{row['factor']}/{row['image']}"]) == [True])
    failed = [row for row in rows if (row["image"], row["factor"]) == (kept["image"], kept["factor"])]
    (first,) = [row for row in failed if row["trial"] == 0]
    rows.append(first | {"trial": 1})
    shutil.rmtree(Evolutions(run).folder(f"{kept['factor']}/{kept['image']}"))
    write_part(run, "undesirable", 0, rows)
    assert spoilt(run, "undesirable", {0}) == {0}
    for change in ({"status": "not finite"}, {"taken": None}):
        write_part(run, "undesirable", 0, [row | change if row == first else row for row in rows])
        assert spoilt(run, "undesirable", {0}) == set()


def test_what_is_said_of_a_heatmap_does_not_stop_a_run(undisturbed: Mapping[str, Path], run: Path) -> None:
    shutil.copytree(undisturbed["lift"], run)
    path = next(run.glob("maps.zarr/*/zarr.json"))
    content = json.loads(path.read_text())
    for change in ({"exponent": 9}, {"exponent": "x"}, {"steps": 5}, {"scale": None}):
        path.write_text(json.dumps(content | {"attributes": content["attributes"] | change}))
        assert spoilt(run, "lift", {0}) == {0}


@pytest.mark.parametrize("gone", [False, True])
def test_a_torn_record_is_restored(
    gone: bool, command: Command, undisturbed: Mapping[str, Path], run: Path
) -> None:
    shutil.copytree(undisturbed["lift"], run)
    (run / "run.json").unlink() if gone else cut(run / "run.json", 0.5)
    with pytest.raises(hl.HeatliftError, match=r"run\.json"):
        hl.read(run)
    parts = {path: path.stat().st_mtime_ns for path in run.glob("*/part-*")}
    assert command("lift", run.parent).status == 0
    assert differences(undisturbed["lift"], run) == []
    assert parts == {path: path.stat().st_mtime_ns for path in run.glob("*/part-*")}, "done again"


def test_a_record_torn_in_both_copies_is_said(
    command: Command, undisturbed: Mapping[str, Path], run: Path
) -> None:
    shutil.copytree(undisturbed["lift"], run)
    for name in ("run.json", ".run.json"):
        cut(run / name, 0.5)
    ended = command("lift", run.parent)
    assert ended.status == 2
    assert ended.line.startswith("heatlift: run/.run.json can't be read: ")
    assert ended.line.endswith("use another --out")


def test_no_flipped_bit_of_a_part_is_read_as_other_figures(
    undisturbed: Mapping[str, Path], tmp_path: Path
) -> None:
    """Anywhere in the file: a bit that says nothing, or an error."""
    draw, seen = random.Random(7), 0
    for table in ("predictions", "scores", "thumbnails"):
        part = part_path(undisturbed["audit"], table, 0)
        content, before = part.read_bytes(), read_part(part, table)
        spoilt = tmp_path / part.name
        for _ in range(300):
            changed = bytearray(content)
            changed[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
            spoilt.write_bytes(changed)
            try:
                found = read_part(spoilt, table)
            except hl.HeatliftError:
                seen += 1
            else:
                assert found.equals(before)
    assert seen > 500


def test_clocks_that_jump(command: Command, undisturbed: Mapping[str, Path], run: Path) -> None:
    """Figures are the same, and what the run took is a number still."""
    assert command("lift", run.parent, jumps=True).status == 0
    assert differences(undisturbed["lift"], run) == []
    timing = json.loads((run / "run.json").read_text())["timing"]
    assert 0 <= timing["seconds"] < 1e7
    assert timing["images"] == 9
    assert timing["images_per_second"] >= 0
