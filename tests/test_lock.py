"""A run's folder belongs to one process, and what a stopped one leaves is dealt with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import heatlift as hl
from heatlift.cli import run as command_line
from heatlift.run.lock import held, holder
from heatlift.run.tables import part_path, read_table
from pictures import class_folders

HOLDS = """
import sys
from pathlib import Path
from heatlift.run.lock import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path: Path) -> subprocess.Popen[str]:
    """A process that has the folder."""
    (tmp_path / "run").mkdir()
    arguments = [sys.executable, "-c", HOLDS, str(tmp_path / "run")]
    process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def command(data: Path, out: Path) -> list[str]:
    return ["audit", str(data), "--model", "networks:small", "--methods", "saliency", "--out", str(out)]


def test_a_second_process_says_whose_it_is_and_stops(
    tmp_path: Path, other: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
) -> None:
    data, run = class_folders(tmp_path / "data", each=2), tmp_path / "run"
    try:
        assert command_line(command(data, run)) == 2
        line = capsys.readouterr().err.strip().splitlines()[-1]
        assert f"is being worked on by process {other.pid} on " in line
        assert not (run / "run.json").exists()
        # However it ends, the lock ends with it.
        other.kill()
        other.wait()
        assert command_line(command(data, run)) == 0
    finally:
        other.kill()
        other.communicate()
    assert holder(run).startswith(f"process {os.getpid()} on ")


def test_the_folder_is_free_again_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="anything"), held(tmp_path):
        raise ValueError("anything")
    with held(tmp_path):
        pass


def test_cut_off_parts_are_done_again_and_leftovers_removed(tmp_path: Path) -> None:
    data, run = class_folders(tmp_path / "data", each=2), tmp_path / "run"
    assert command_line(command(data, run)) == 0
    before = {name: read_table(run, name) for name in ("predictions", "scores", "thumbnails")}
    part = part_path(run, "scores", 0)
    for content in (part.read_bytes()[:-100], b""):
        part.write_bytes(content)
        left = part.with_name(f".{part.name}.0123456789ab.partial")
        left.write_bytes(b"half")
        with pytest.raises(hl.HeatliftError, match="damaged"):
            hl.read(run)
        assert command_line(command(data, run)) == 0
        assert not left.exists()
        for name, table in before.items():
            assert read_table(run, name).equals(table)
