"""The command line as a person meets it: one clear line and the right exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import save_file

from heatlift.cli import run
from heatlift.cli.progress import shown
from networks import small
from pictures import class_folders


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return class_folders(tmp_path_factory.mktemp("data") / "photos", each=3)


def test_audit_then_report(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "ant" / "torn.png").write_bytes(b"")
    out = tmp_path / "run"
    command = [
        "audit",
        str(data),
        "--model",
        "networks:small",
        "--out",
        str(out),
        "--methods",
        "saliency,deeplift",
    ]
    assert run(command) == 0
    said = capsys.readouterr()
    assert "9 audited, 1 failed (1 unreadable: empty file)" in said.out
    assert "auditing: 10/10 images" in said.err
    assert "outputs by the order of the folders' names: ant is 0, bee is 1, cow is 2" in said.out
    assert f"report: {out / 'report.html'}" in said.out
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "networks:small" in page
    assert json.loads((out / "summary.json").read_text())["counts"]["ok"] == 9
    assert run(command) == 0  # nothing left to do
    assert run(["report", str(out), "--out", str(tmp_path / "copy.html")]) == 0
    assert (tmp_path / "copy.html").read_text(encoding="utf-8") == page
    assert run([*command, "--seed", "4"]) == 2
    assert "config.seed: was 0, is 4" in capsys.readouterr().err


def test_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "networks:small"]) == 0
    said = capsys.readouterr().out
    assert "3 x 32 x 32" in said
    assert "mean (0.5, 0.5, 0.5)" in said
    assert "its rule reaches all 2 ReLU calls" in said
    assert "its rule reaches 3 calls: 2 relu, 1 max_pool2d" in said
    assert "layer conv1" in said
    assert "  15 x 15: conv1\n" in said
    assert "  5 x 5: conv2\n" in said
    assert run(["check", "networks:small_with_a_norm"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (deeplift,) = (line for line in lines if line.startswith("deeplift"))
    assert "refused" in deeplift
    assert "LinalgVectorNorm (1)" in deeplift
    assert run(["check", "networks:masked"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (deeplift,) = (line for line in lines if line.startswith("deeplift"))
    assert "refused" in deeplift
    assert "misses the logit's rise" in deeplift


def prepared(tmp_path: Path, data: Path) -> dict[str, str]:
    """Paths that the bad command lines below name."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "notes.txt").write_text("no images here")
    (tmp_path / "labels.csv").write_text("path,label\n0.png,7\n")
    (tmp_path / "columns.csv").write_text("file,class\na.png,1\n")
    (tmp_path / "names.txt").write_text("ant\nbee\n")
    save_file(small().network.state_dict(), tmp_path / "other.safetensors")
    (tmp_path / "torn.safetensors").write_bytes(b"torn")
    return {"data": str(data), "here": str(tmp_path)}


BAD = {
    "no such command": ("nope", "No such command 'nope'"),
    "no model": ("audit {data} --out {here}/run", "Missing option '--model'"),
    "unknown option": (
        "audit {data} --model networks:small --out {here}/run --fast",
        "No such option: --fast",
    ),
    "no number": (
        "audit {data} --model networks:small --out {here}/run --limit many",
        "should be a valid integer",
    ),
    "missing folder": ("audit {here}/gone --model networks:small --out {here}/run", "gone"),
    "empty folder": ("audit {here}/empty --model networks:small --out {here}/run", "empty"),
    "no images": ("audit {here}/notes --model networks:small --out {here}/run", "notes"),
    "unknown model": ("audit {data} --model resnet --out {here}/run", "unknown model 'resnet'"),
    "unknown torchvision model": (
        "audit {data} --model torchvision:rasnet18 --out {here}/run",
        "did you mean resnet18",
    ),
    "unknown method": (
        "audit {data} --model networks:small --out {here}/run --methods lime",
        "unknown method 'lime'",
    ),
    "unknown precision": (
        "audit {data} --model networks:small --out {here}/run --precision fp8",
        "--precision 'fp8': choose from auto, fp32, bf16",
    ),
    "no batch size": (
        "audit {data} --model networks:small --out {here}/run --batch-size many",
        "give a number from 1, or auto",
    ),
    "no function of one's own": (
        "audit {data} --model networks:small --out {here}/run --methods nowhere:method",
        "unknown method 'nowhere:method'",
    ),
    "a model that is no function": (
        "check networks:torch",
        "model networks:torch is a module: it must be a function",
    ),
    "no method to try": ("check networks:small --methods ,", "no method to try: choose from saliency,"),
    "the same logits for every image": (
        "check networks:constant",
        "gives every image the same logits: does it have the weights of a trained network?",
    ),
    "the same logits in an audit": (
        "audit {data} --model networks:constant --out {here}/run",
        "gives every image the same logits",
    ),
    "unknown layer": (
        "audit {data} --model networks:small --out {here}/run --methods layer_gradcam@conv9",
        "unknown layer 'conv9'",
    ),
    "unknown control": (
        "audit {data} --model networks:small --out {here}/run --controls x",
        "unknown control 'x'",
    ),
    "label without output": ("audit {here}/labels.csv --model networks:small --out {here}/run", "7"),
    "no such columns": ("audit {here}/columns.csv --model networks:small --out {here}/run", "path"),
    "too many folders": (
        "audit {data} --model torchvision:squeezenet1_1 --weights random --num-classes 2 --out {here}/run",
        "3 class folders",
    ),
    "names that do not fit": (
        "audit {data} --model networks:small --classes {here}/names.txt --out {here}/run",
        "2 class names for 3 outputs",
    ),
    "weights that do not fit": (
        "audit {data} --model torchvision:squeezenet1_1 --weights {here}/other.safetensors --out {here}/run",
        "do not fit",
    ),
    "torn weights": (
        "audit {data} --model networks:small --weights {here}/torn.safetensors --out {here}/run",
        "damaged",
    ),
    "no weights": ("check torchvision:resnet18 --weights {here}/gone.pt", "no weight file"),
    "mean of two": ("check networks:small --mean 0.5,0.5", "--mean '0.5,0.5': give three numbers"),
    "out is taken": (
        "audit {data} --model networks:small --out {here}/notes",
        "not empty and not the folder of a run",
    ),
    "out is a file": (
        "audit {data} --model networks:small --out {here}/names.txt",
        "names.txt is a file: give a folder",
    ),
    "no run": ("report {here}/notes", "not the folder of a run"),
    "class of no output": (
        "audit {data} --model networks:small --out {here}/run --target 3",
        "classes 0 to 2",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_line_and_status_2(
    case: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command, message = BAD[case]
    places = prepared(tmp_path, data)
    assert run([part.format(**places) for part in command.split()]) == 2
    said = capsys.readouterr().err.strip()
    assert message in said
    assert said.startswith("heatlift: ")
    assert "\n" not in said
    assert "Traceback" not in said
    assert not (tmp_path / "run").exists()
    assert (tmp_path / "notes" / "notes.txt").read_text() == "no images here"


def test_no_usable_image_ends_with_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    (flat / "a.png").write_bytes(b"")
    command = ["audit", str(flat), "--model", "networks:small", "--out", str(tmp_path / "run")]
    assert run([*command, "--methods", "saliency"]) == 1
    assert "no image could be used" in capsys.readouterr().err


def test_a_defect_of_ours_is_one_line_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError("no good\nreally")

    monkeypatch.setattr("heatlift.zoo.load", broken)
    assert run(["check", "demo"]) == 1
    assert capsys.readouterr().err == (
        "heatlift: unexpected ZeroDivisionError: no good (HEATLIFT_DEBUG=1 shows where; please report it)\n"
    )


def test_interrupting_says_that_it_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("heatlift.zoo.load", interrupted)
    assert run(["check", "demo"]) == 130
    assert "the same command goes on from there" in capsys.readouterr().err


def test_version_and_help_from_the_installed_command() -> None:
    command = [str(Path(sys.executable).parent / "heatlift")]
    module = [sys.executable, "-m", "heatlift"]
    for call, expected in (
        ([*command, "--version"], "heatlift 0."),
        ([*command, "--help"], "audit"),
        (command, "audit"),
        ([*module, "--version"], "heatlift 0."),
    ):
        done = subprocess.run(call, capture_output=True, text=True, check=True, env=dict(os.environ))
        assert expected in done.stdout
        assert done.stderr == ""


def test_the_list_of_commands_is_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    assert "..." not in capsys.readouterr().out.partition("Commands:")[2]


def test_progress_says_no_line_twice_and_counts_images_only(capsys: pytest.CaptureFixture[str]) -> None:
    with shown() as progress:
        progress(0, 1, "finding a batch size")
        for done in (0, 4, 4, 4):
            progress(done, 4, "lifting")
    assert capsys.readouterr().err.splitlines() == [
        "finding a batch size: 0/1",
        "lifting: 0/4 images",
        "lifting: 4/4 images",
    ]


@pytest.mark.parametrize("command", ["audit", "check", "demo", "report"])
def test_every_command_s_help_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "--help"]) == 0
    assert f"Example: heatlift {command}" in " ".join(capsys.readouterr().out.split())


def test_check_tries_the_images_that_can_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class_folders(tmp_path / "data", each=1)
    (tmp_path / "data" / "ant" / "!first.png").write_bytes(b"")
    assert run(["check", "networks:small", "--methods", "saliency", "--images", str(tmp_path / "data")]) == 0
    assert "passed over: ant/!first.png is unreadable: empty file" in capsys.readouterr().out
