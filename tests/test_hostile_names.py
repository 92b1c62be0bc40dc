"""Names of any kind on the disk: each file is one row, and its name leads back to it."""

from __future__ import annotations

import os
import re
import shutil
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heatlift.cli import run
from heatlift.data import find_images
from heatlift.run.tables import read_table
from pictures import picture

legal = st.one_of(
    st.binary(min_size=1, max_size=40),
    st.text(min_size=1, max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from(
        [b"\\", b"\\\\", b"\\udcff", b"\xff", b"\xed\xb3\xbf", b"\n", b"a" * 251, b"e\xcc\x81", b"\xc3\xa9"]
    ),
).map(lambda name: name.replace(b"/", b"").replace(b"\0", b"").lstrip(b".")[:251] + b".png")


def bytes_of(name: str) -> bytes:
    """The bytes of a file's name from what the tables call it, read as the documentation says."""
    parts = re.split(r"(\\\\|\\udc[0-9a-f]{2})", name)
    return b"".join(
        b"\\" if part == "\\\\" else bytes([int(part[4:], 16)]) if part.startswith("\\udc") else part.encode()
        for part in parts
    )


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.sets(legal, min_size=1, max_size=12))
def test_any_file_name_is_told_apart_and_leads_back(tmp_path: Path, names: set[bytes]) -> None:
    visible = {name for name in names if not name.startswith(b".")}
    root = tmp_path / "data"
    shutil.rmtree(root, ignore_errors=True)
    (root / "sub").mkdir(parents=True)
    (root / "sub" / "x.png").touch()
    for name in names:
        with open(os.path.join(os.fsencode(root / "sub"), name), "wb"):
            pass
    items = find_images(root, 1, None).items
    assert {bytes_of(item.name) for item in items} == {b"sub/" + name for name in {*visible, b"x.png"}}
    assert len({item.name for item in items}) == len(items)
    for item in items:
        assert os.fsencode(item.path) == os.path.join(os.fsencode(root), bytes_of(item.name))
        assert item.path.exists()


NAMES = (
    b"plain.png",
    b"\xff\xfe.png",
    b"\\xff.png",
    b"new\nline.png",
    b"tab\t.png",
    b"\x1b[31mred.png",
    b"quo\"te'.png",
    b"<img src=x onerror=alert(1)>.png",
    b"{{7*7}}${7*7}.png",
    b"=1+1.png",
    "‮gnp.exe.png".encode(),
    "e\u0301.png".encode(),
    "\u00e9.png".encode(),
    b"CON.png",
    b" .png",
    b"-.png",
    b"%2e%2e%2f.png",
    b"x" * 251 + b".png",
    b"\xed\xb3\xbf.png",
)


@pytest.mark.parametrize("command", ["audit", "lift", "undesirable"])
def test_names_go_through_a_whole_run(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    picture(1).save(data / "plain.png")
    for name in NAMES[1:]:
        os.link(data / "plain.png", os.path.join(os.fsencode(data), name))
    options = {
        "audit": "--methods saliency --operations add --controls none",
        "lift": "--max-steps 1 --target predicted --keep-steps 19",
        "undesirable": "--steps 1 --resolution 8 --kernel 5 --target predicted --keep-steps 2",
    }[command]
    arguments = [command, str(data), "--model", "networks:small", "--out", str(tmp_path / "run")]
    assert run([*arguments, *options.split()]) == 0
    table = read_table(tmp_path / "run", {"audit": "predictions"}.get(command, command)).to_pylist()
    assert sorted(bytes_of(row["image"]) for row in table) == sorted(NAMES)
    assert {row["status"] for row in table} == {"ok"}
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "<img src=x" not in page
    assert "Traceback" not in capsys.readouterr().err


def test_a_folder_whose_name_is_no_text_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = os.fsdecode(os.path.join(os.fsencode(tmp_path), b"\xff\x1b[2J"))
    os.mkdir(odd)
    picture(1).save(os.path.join(odd, "1.png"))
    for arguments in ([odd, "--out", str(tmp_path / "run")], [str(tmp_path), "--out", odd]):
        assert run(["audit", *arguments, "--model", "networks:small"]) == 2
        line = capsys.readouterr().err
        assert "\\xff" in line or "\\udcff" in line
        assert "is not in UTF-8: rename it" in line
        assert line.count("\n") == 1
        assert "\x1b" not in line
    os.symlink(odd, tmp_path / "plain")
    command = ["audit", str(tmp_path / "plain"), "--model", "networks:small", "--out", str(tmp_path / "run")]
    assert run(command) == 2
    assert "can't be written in UTF-8: rename that file or folder" in capsys.readouterr().err


def test_very_many_files_in_one_folder(tmp_path: Path) -> None:
    """Links to one file, 5,000 of them; a few are audited."""
    data = tmp_path / "data"
    (data / "one").mkdir(parents=True)
    first = data / "one" / "000000.png"
    picture(1).save(first)
    for number in range(1, 5_000):
        os.link(first, data / "one" / f"{number:06d}.png")
    command = [
        "audit",
        str(data),
        "--model",
        "networks:small",
        "--out",
        str(tmp_path / "run"),
        "--limit",
        "3",
    ]
    assert (
        run([*command, "--classes", str(_classes(tmp_path)), *"--methods saliency --controls none".split()])
        == 0
    )
    assert len(read_table(tmp_path / "run", "predictions")) == 3
    found = find_images(data, 3, ["one", "two", "three"])
    assert [item.name for item in islice(found.items, 2)] == ["one/000000.png", "one/000001.png"]
    assert len(found.items) == 5_000


def _classes(folder: Path) -> Path:
    path = folder / "names.txt"
    path.write_text("one\ntwo\nthree\n")
    return path
