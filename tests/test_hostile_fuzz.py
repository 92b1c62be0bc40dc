"""A short run of benchmarks/fuzz.py, and whether it would notice anything."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

from hostile_reader import DEFECTS, defect, read

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def fuzz(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import fuzz

    return fuzz


@pytest.mark.parametrize(("kind", "files"), [("images", 400), ("manifests", 300), ("weights", 100)])
def test_mutated_files_crash_nothing(kind: str, files: int) -> None:
    command = [sys.executable, str(BENCHMARKS / "fuzz.py"), kind, "--files", str(files), "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    lines = done.stdout.splitlines()
    assert lines[-1] == "findings: 0"
    counts = {line[9:]: int(line[:8]) for line in lines[:-2]}
    assert sum(counts.values()) == files
    assert counts["decoded" if kind == "images" else "read"] > 0.02 * files  # the mutations spare some
    assert len(counts) > 3  # and others fail in many ways


def test_seeds_are_sound_and_mutations_repeat(fuzz: ModuleType, tmp_path: Path) -> None:
    from fuzz_seeds import made

    ways: dict[str, set[str]] = {kind: set() for kind in fuzz.READERS}
    for kind, reader in fuzz.READERS.items():
        seeds = made(kind, tmp_path / "ran")
        for suffix, content in seeds:
            (tmp_path / f"x{suffix}").write_bytes(content)
            ways[kind].add(reader(tmp_path / f"x{suffix}"))
        assert [fuzz.file_at(kind, seeds, 3, n) for n in range(9)] == [
            fuzz.file_at(kind, seeds, 3, n) for n in range(9)
        ]
        assert fuzz.file_at(kind, seeds, 3, 0) != fuzz.file_at(kind, seeds, 4, 0)
    assert ways["images"] == {"decoded", "not an image that Pillow can read"}  # the latter is HEIC
    assert "read" in ways["manifests"]
    assert "read" in ways["weights"]
    assert not (tmp_path / "ran").exists()
    assert isinstance(fuzz.mutated(b"", b"", random.Random(1)), bytes)


def test_every_kind_of_defect_is_found_and_kept(fuzz: ModuleType, tmp_path: Path) -> None:
    from fuzz_seeds import images

    seeds = images()
    for seed in range(1000):  # until every one is there
        files = [fuzz.file_at("images", seeds, seed, number) for number in range(40)]
        defects = Counter(kind for _, content in files if (kind := defect(content)) is not None)
        if set(defects) == set(DEFECTS.values()):
            break
    outcomes, found = fuzz.run("images", len(files), seed, tmp_path / "kept", read, seconds=8)
    assert outcomes == {"decoded": len(files) - defects.total()}
    said = {
        "crash": "ended its process with -11",
        "hang": "took more than 8 s",
        "error": "KeyError: 'odd'",
        "code": "code in the file ran",
        "memory": "MemoryError: ",
    }
    assert found == {said[kind]: count for kind, count in defects.items()}
    kept = {path.read_bytes() for path in (tmp_path / "kept").iterdir()}
    assert kept == {content for _, content in files if defect(content) is not None}
