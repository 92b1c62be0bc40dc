"""Weight files that a stranger may have made: nothing in them runs; what does not fit is said in one line."""

from __future__ import annotations

import builtins
import io
import json
import os
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from heatlift.cli import run
from heatlift.errors import HeatliftError
from heatlift.weights import load_weights
from hostile import plain
from pictures import class_folders


class Call:
    """Calls a function where it is unpickled."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.function, self.arguments


class Rebuilt(nn.Module):
    """A class of one's own, as torch.save(network) writes it."""


def calls(marker: Path) -> dict[str, object]:
    """Calls that would leave a file, in as many ways."""
    return {
        "os.system": Call(os.system, f"touch {marker}"),
        "eval": Call(builtins.eval, f"open({str(marker)!r}, 'w').close()"),
        "exec": Call(builtins.exec, f"open({str(marker)!r}, 'w').close()"),
        "open": Call(builtins.open, str(marker), "w"),
        "path": Call(Path.touch, marker),
        "getattr": Call(getattr, marker, "touch"),
        "load": Call(torch.load, str(marker)),
    }


def old(content: object, path: Path) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


def bare(content: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(content))


def in_a_tar(content: object, path: Path) -> None:
    """As torch wrote before version 0.1.10."""
    with tarfile.open(path, "w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            written = pickle.dumps(content, protocol=2)
            entry = tarfile.TarInfo(name)
            entry.size = len(written)
            archive.addfile(entry, io.BytesIO(written))


CONTAINERS: dict[str, Callable[[Any, Path], None]] = {
    "zip": torch.save,
    "old": old,
    "bare": bare,
    "tar": in_a_tar,
}


def refusal(path: Path) -> str:
    with pytest.raises(HeatliftError) as caught:
        load_weights(nn.Linear(5, 7), path)
    line = str(caught.value)
    assert line.isprintable()
    assert len(line) < 500
    return line.replace(str(path), "FILE")


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("kind", calls(Path()))
@pytest.mark.parametrize("ending", ["pt", "pth", "safetensors"])
def test_a_pickled_call_is_refused_and_nothing_ran(
    kind: str, container: str, ending: str, tmp_path: Path
) -> None:
    marker, state = tmp_path / "ran", dict(nn.Linear(5, 7).state_dict())
    call = calls(marker)[kind]
    for content in (call, {"state_dict": {**state, "more": call}}, {**state, "weight": call}):
        path = tmp_path / f"net.{ending}"
        CONTAINERS[container](content, path)
        line = refusal(path)
        assert "holds more than weights" in line or "is damaged or no weight file" in line
        assert not marker.exists()


def test_the_calls_above_would_run(tmp_path: Path) -> None:
    for kind in ("os.system", "eval", "exec", "open", "path"):
        for container in ("zip", "old", "bare"):
            marker = tmp_path / "ran"
            CONTAINERS[container](calls(marker)[kind], tmp_path / "net.pt")
            if container == "bare":
                found = pickle.loads((tmp_path / "net.pt").read_bytes())
            else:
                found = torch.load(tmp_path / "net.pt", weights_only=False)
            if isinstance(found, io.IOBase):
                found.close()
            marker.unlink()


def test_the_command_line_runs_nothing_either(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, marker = class_folders(tmp_path / "data", each=1), tmp_path / "ran"
    torch.save({"state_dict": {"weight": calls(marker)["os.system"]}}, tmp_path / "net.pt")
    for command in ("audit", "lift", "undesirable"):
        options = f"--model hostile:plain --size 32 --weights {tmp_path}/net.pt --out {tmp_path}/run"
        assert run([command, str(data), *options.split()]) == 2
        line = capsys.readouterr().err
        assert line.startswith("heatlift: ")
        assert "holds more than weights, or is damaged, and was not loaded" in line
        assert line.count("\n") == 1
        assert not (tmp_path / "run").exists()
        assert not marker.exists()


def test_whole_networks_and_scripts_are_no_weights(tmp_path: Path) -> None:
    torch.save(nn.Sequential(nn.Linear(5, 7)), tmp_path / "whole.pt")
    torch.save(Rebuilt(), tmp_path / "own.pt")
    for name in ("whole.pt", "own.pt"):
        assert "save the network's state_dict()" in refusal(tmp_path / name)
    with zipfile.ZipFile(tmp_path / "script.pt", "w") as archive:  # what tells a TorchScript archive
        archive.writestr("script/constants.pkl", pickle.dumps(()))
        archive.writestr("script/data.pkl", pickle.dumps({}, protocol=2))
        archive.writestr("script/version", "3\n")
    assert "save the network's state_dict()" in refusal(tmp_path / "script.pt")


@pytest.mark.parametrize("ending", ["zip.pt", "old.pt", "safetensors"])
def test_torn_anywhere_it_is_said(ending: str, tmp_path: Path) -> None:
    path, state = tmp_path / f"net.{ending}", nn.Linear(5, 7).state_dict()
    if ending == "safetensors":
        save_file(state, path)
    else:
        CONTAINERS[ending.partition(".")[0]](state, path)
    whole = path.read_bytes()
    load_weights(nn.Linear(5, 7), path)
    for part in range(20):
        path.write_bytes(whole[: len(whole) * part // 20])
        line = refusal(path)
        assert "damaged" in line


def header(content: object, length: int | None = None, data: bytes = bytes(168)) -> bytes:
    """A .safetensors file with any header and any length said of it."""
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(shape: list[int], start: int, end: int, kind: str = "F32") -> dict[str, Any]:
    return {"dtype": kind, "shape": shape, "data_offsets": [start, end]}


LYING = {
    "a header of 2**63 bytes": header({}, 2**63),
    "a header of 2**64 - 1 bytes": header({}, 2**64 - 1),
    "a header longer than the file": header({}, 10_000),
    "a header of nothing": header(b"", 0),
    "no JSON": header(b"{" * 100),
    "deep JSON": header(b'{"a":' * 90_000),
    "no object": header([1, 2]),
    "overlapping tensors": header({"weight": entry([7, 5], 0, 140), "bias": entry([7], 100, 128)}),
    "a gap": header({"weight": entry([7, 5], 0, 140), "bias": entry([7], 144, 172)}, data=bytes(172)),
    "an end before its beginning": header({"weight": entry([7, 5], 140, 0), "bias": entry([7], 140, 168)}),
    "an end beyond the file": header(
        {"weight": entry([7, 5], 0, 2**40), "bias": entry([7], 2**40, 2**40 + 28)}
    ),
    "a shape too large": header({"weight": entry([2**32, 2**32], 0, 140), "bias": entry([7], 140, 168)}),
    "a shape below 0": header({"weight": entry([-7, -5], 0, 140), "bias": entry([7], 140, 168)}),
    "an unknown type": header({"weight": entry([7, 5], 0, 140, "F31"), "bias": entry([7], 140, 168)}),
    "the same name twice": header(
        b'{"weight":{"dtype":"F32","shape":[7,5],"data_offsets":[0,140]},'
        b'"weight":{"dtype":"F32","shape":[7,5],"data_offsets":[0,140]}}',
        data=bytes(140),
    ),
}


@pytest.mark.parametrize("what", LYING)
def test_headers_that_lie(what: str, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(LYING[what])
    line = refusal(path)
    assert "is damaged or no weight file" in line or "do not fit" in line


def test_an_archive_that_unpacks_to_more_than_itself_is_not_unpacked(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(7, 5), "bias": torch.zeros(7)}, tmp_path / "net.pt")
    with (
        zipfile.ZipFile(tmp_path / "net.pt") as plain_one,
        zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for name in plain_one.namelist():
            bomb.writestr(name, plain_one.read(name))
        with bomb.open("net/data/2", "w", force_zip64=True) as file:
            for _ in range(64):
                file.write(bytes(2**20))
    assert "unpacks to 67" in refusal(tmp_path / "bomb.pt")


def weight(tensor: Tensor, **more: object) -> dict[str, object]:
    return {"weight": tensor, "bias": torch.zeros(7), **more}


MISFITS: dict[str, tuple[object, str]] = {
    "integers": (
        weight(torch.ones(7, 5, dtype=torch.int8)),
        "weight is torch.int8 in the file and torch.float32",
    ),
    "complex": (weight(torch.ones(7, 5, dtype=torch.cfloat)), "weight is torch.complex64 in the file"),
    "another shape": (weight(torch.ones(5, 7)), "weight is (5, 7) in the file and (7, 5) in the network"),
    "a shape without storage": (weight(torch.ones(1).expand(2**40, 2**20)), "in the file and (7, 5) in the"),
    "sparse": (weight(torch.ones(7, 5).to_sparse()), "do not fit"),
    "too many": (weight(torch.ones(7, 5), **{"\x1b[2J": torch.ones(1)}), "such as \\x1b[2J"),
    "too few": ({"weight": torch.ones(7, 5)}, "1 entries are missing, such as bias"),
    "with and without module.": (
        weight(torch.ones(7, 5), **{"module.weight": torch.zeros(7, 5)}),
        "holds the same weights twice",
    ),
    "nothing": ({}, "holds no state_dict"),
    "a list": ([torch.ones(7, 5)], "holds no state_dict"),
    "itself": ({"state_dict": {"state_dict": 3}}, "holds no state_dict"),
}


@pytest.mark.parametrize("what", MISFITS)
def test_what_does_not_fit(what: str, tmp_path: Path) -> None:
    content, expected = MISFITS[what]
    torch.save(content, tmp_path / "net.pt")
    assert expected in refusal(tmp_path / "net.pt")


def test_weights_that_are_no_numbers_end_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = {name: tensor.clone() for name, tensor in plain().state_dict().items()}
    state["plain.head.weight"][0, 0] = float("nan")
    save_file(state, tmp_path / "net.safetensors")
    assert run(["check", "hostile:plain", "--size", "32", "--weights", f"{tmp_path}/net.safetensors"]) == 2
    assert "returns NaN or infinite logits for noise: are its weights damaged?" in capsys.readouterr().err


def test_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "folder.pt").mkdir()
    (tmp_path / "loop.pt").symlink_to("loop.pt")
    (tmp_path / "broken.safetensors").symlink_to("nowhere.safetensors")
    os.mkfifo(tmp_path / "pipe.pt")
    for name in ("folder.pt", "loop.pt", "broken.safetensors", "pipe.pt", "gone.pt"):
        assert refusal(tmp_path / name).startswith("no weight file FILE: give default, random, or a")
    torch.save(nn.Linear(5, 7).state_dict(), tmp_path / "net.bin")
    assert refusal(tmp_path / "net.bin").startswith("FILE is no weight file: give a .safetensors")
    (tmp_path / "wrong.safetensors").write_bytes((tmp_path / "net.bin").read_bytes())
    assert "damaged" in refusal(tmp_path / "wrong.safetensors")
    (tmp_path / "link.pt").symlink_to("net.bin")  # a link's own name counts
    load_weights(nn.Linear(5, 7), tmp_path / "link.pt")
