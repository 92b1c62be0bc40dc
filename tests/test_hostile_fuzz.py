"""A short run of benchmarks/fuzz.py, and whether it would notice anything."""

from __future__ import annotations

import random
import sys
from functools import partial
from itertools import count
from pathlib import Path
from types import ModuleType

import pytest

from hostile_reader import DEFECTS, defect, read

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

PATIENCE = 600
"""Seconds for a file that is read in a moment unless the machine is busy."""


@pytest.fixture
def fuzz(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import fuzz

    return fuzz


@pytest.mark.parametrize(("kind", "files"), [("images", 400), ("manifests", 300), ("weights", 100)])
def test_mutated_files_crash_nothing(
    fuzz: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    files: int,
) -> None:
    monkeypatch.setattr(sys, "argv", ["fuzz.py", kind, "--files", str(files), "--seed", "1"])
    monkeypatch.setattr(fuzz, "run", partial(fuzz.run, seconds=PATIENCE))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    status = fuzz.main()
    out, err = capsys.readouterr()
    assert status == 0, out[-2000:] + err[-2000:]
    lines = out.splitlines()
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


SAID = {
    "crash": "ended its process with -11",
    "error": "KeyError: 'odd'",
    "code": "code in the file ran",
    "memory": "MemoryError: ",
    "hang": "took more than 1 s",
}


def test_every_kind_of_defect_is_found_and_kept(fuzz: ModuleType, tmp_path: Path) -> None:
    """Of files that are the same in every process: some of the images have the time in them."""
    from fuzz_seeds import made

    assert set(SAID) == set(DEFECTS.values())
    seeds = made("manifests", tmp_path / "ran")
    # What hangs has nothing beside it that a busy machine could make as slow.
    for kinds, number, seconds in ((SAID.keys() - {"hang"}, 40, PATIENCE), ({"hang"}, 1, 1)):
        for seed in count():  # until there is one of each
            files = [fuzz.file_at("manifests", seeds, seed, n)[1] for n in range(number)]
            defects = {content: kind for content in files if (kind := defect(content)) is not None}
            if sorted(defects.values()) == sorted(kinds):
                break
        kept = tmp_path / f"kept {number}"
        outcomes, found = fuzz.run("manifests", number, seed, kept, read, seconds=seconds)
        assert outcomes == ({"decoded": number - len(kinds)} if number > len(kinds) else {})
        assert found == {SAID[kind]: 1 for kind in kinds}
        assert {path.read_bytes() for path in kept.iterdir()} == set(defects)
