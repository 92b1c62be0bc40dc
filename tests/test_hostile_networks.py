"""Networks that misbehave, from the command line to one line and status 2, failed rows or right figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

import heatlift as hl
from heatlift.cli import run
from heatlift.errors import DeviceFailed
from heatlift.indicators import Indicator
from heatlift.run.tables import read_table
from hostile import Device
from networks import small
from pictures import class_folders

COMMANDS = {
    "audit": "--methods saliency --operations add --controls zero,noise",
    "lift": "--max-steps 2 --keep-steps 1 --include all",
    "undesirable": "--steps 2 --resolution 8 --kernel 5 --keep-steps 1 --include all",
}
"""Short runs."""

TABLES = {"audit": ("predictions", "scores"), "lift": ("lift",), "undesirable": ("undesirable",)}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return class_folders(tmp_path_factory.mktemp("hostile") / "data", each=2)


@pytest.fixture(scope="module")
def coloured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same images among others of one colour each."""
    folder = class_folders(tmp_path_factory.mktemp("coloured") / "data", each=2)
    for colour in REASONS:
        Image.new("RGB", (40, 40), colour).save(folder / "bee" / f"{colour}.png")
    return folder


@pytest.fixture(scope="module")
def sound(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What the commands find with the network as it should be."""
    found = {command: tmp_path_factory.mktemp("sound") / command for command in COMMANDS}
    for command, out in found.items():
        assert started(command, data, "plain", out) == 0
    return found


def started(command: str, data: Path, network: str, out: Path, *more: str) -> int:
    arguments = [command, str(data), "--model", f"hostile:{network}", "--size", "32", "--out", str(out)]
    return run([*arguments, *COMMANDS[command].split(), *more])


def rows(out: Path, command: str) -> list[dict[str, Any]]:
    """All rows of a run's tables, in an order that is not that of the batches."""
    found = [row for table in TABLES[command] for row in read_table(out, table).to_pylist()]
    return sorted(found, key=lambda row: str([row.get(k) for k in ("image", "method", "factor", "scale")]))


def check_close(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Equal up to the rounding of other batches."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys()
        for name, value in other.items():
            if isinstance(value, float | list):
                assert one[name] == pytest.approx(value, rel=2e-3, abs=1e-4), (name, other["image"])
            else:
                assert one[name] == value, (name, other["image"])


REFUSED = {
    "returns_a_tuple": "returned tuple: expected logits",
    "returns_a_dict": "returned NoneType: expected logits",
    "returns_an_array": "returned ndarray: expected logits",
    "returns_nothing": "returned NoneType: expected logits",
    "returns_integers": "returned a tensor of torch.int64",
    "returns_complex_numbers": "returned a tensor of torch.complex64",
    "returns_a_sparse_tensor": "torch.sparse_coo: expected floating-point logits",
    "returns_nowhere": "on meta",
    "is_nowhere": "can't be moved to cpu",
    "returns_one_image": "returned shape (1, 3) for 2 images",
    "returns_one_image_of_two_classes": "returned shape (1, 2) for 2 images",
    "returns_the_mean_image_of_two_classes": "returned shape (1, 2) for 1 images: expected (n, 1)",
    "returns_maps": "returned shape (2, 3, 4, 4) for 2 images",
    "returns_no_classes": "returned shape (2, 0) for 2 images",
    "returns_classes_by_the_batch": "returned shape (1, 2) for 1 images: expected (n, 3)",
    "returns_nan": "returns NaN or infinite logits for noise",
    "returns_infinity": "returns NaN or infinite logits for noise",
    "raises": "does not run on images (n, 3, 32, 32): 'no luck\\nat all'",
    "leaves": "does not run on images (n, 3, 32, 32): 0",
    "goes_round_in_circles": "maximum recursion depth exceeded",
    "never_fits": "can't allocate memory",
    "draws_at_random": "gives the same images other logits each time",
    "trains_itself": "gives an image other logits in other company",
    "drops_out": "gives the same images other logits each time",
    "mixes_its_batch": "gives an image other logits in other company",
    "tires": "gives the same images other logits each time",
    "learns": "changes its own weights when it runs (plain.head.weight)",
    "takes_averages": "changes its own weights when it runs (level)",
    "exchanges_weights": "changes its own weights when it runs (plain.head.weight)",
}


def refusal(command: str, data: Path, network: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a command ends with before it begins anything."""
    assert started(command, data, network, folder / "run") == 2
    line = capsys.readouterr().err
    assert line.startswith("heatlift: ")
    assert line.count("\n") == 1
    assert not (folder / "run").exists()
    return line


@pytest.mark.parametrize("network", REFUSED)
def test_what_is_no_classifier_is_said_before_anything_begins(
    network: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in COMMANDS:
        assert REFUSED[network] in refusal(command, data, network, tmp_path, capsys)


NO_GRADIENT = {
    "switches_gradients_off": "carries no gradient back to the image",
    "detaches": "carries no gradient back to the image",
    "goes_through_arrays": "carries no gradient back to the image",
    "raises_backwards": "gradient can't be computed: there is no way back",
}


@pytest.mark.parametrize("network", NO_GRADIENT)
def test_where_there_is_no_gradient_nothing_is_optimised(
    network: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in COMMANDS:
        line = refusal(command, data, network, tmp_path, capsys)
        assert NO_GRADIENT[network] in line
        assert ("none of the methods applies" if command == "audit" else "nothing can be optimised") in line


@pytest.mark.parametrize("command", COMMANDS)
def test_what_does_no_harm_changes_no_figure(
    command: str, data: Path, tmp_path: Path, sound: dict[str, Path]
) -> None:
    expected = rows(sound[command], command)
    assert started(command, data, "does_no_harm", tmp_path / "same") == 0
    assert rows(tmp_path / "same", command) == expected
    if command != "audit":  # of which test_audit_resources shows it
        assert started(command, data, "takes_two_at_most", tmp_path / "smaller") == 0
        check_close(rows(tmp_path / "smaller", command), expected)


REASONS = {
    "white": "the network raised ValueError: too bright",
    "red": "the network raised SystemExit: 3",
    "lime": "the network raised RecursionError",
    "blue": "out of memory with a single image",
    "yellow": "returned tuple: expected logits",
    "aqua": "returned shape (1, 2) for 1 images: expected (n, 3)",
    "fuchsia": "the network returned NaN or infinite logits",
    "maroon": "the network returned NaN or infinite logits",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_an_image_that_the_network_fails_on_costs_no_other_its_figures(
    command: str, coloured: Path, tmp_path: Path, sound: dict[str, Path]
) -> None:
    assert started(command, coloured, "fails_by_colour", tmp_path / "run") == 0
    found = rows(tmp_path / "run", command)
    for colour, reason in REASONS.items():
        failed = [row for row in found if row["image"] == f"bee/{colour}.png"]
        assert failed
        for row in failed:
            assert reason in row["status"]
            assert all(row.get(name) is None for name in ("p_after", "co", "co_predicted", "confidence"))
    others = [row for row in found if Path(row["image"]).stem not in REASONS]
    check_close(others, rows(sound[command], command))


@pytest.mark.parametrize("command", COMMANDS)
def test_weights_that_change_on_the_way_end_the_run(
    command: str, coloured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert started(command, coloured, "learns_from_white_images", tmp_path / "run") == 2
    said = capsys.readouterr().err
    assert said.splitlines()[-1].startswith("heatlift: the network changes its own weights when it runs")
    assert "Traceback" not in said


ACCESS = "CUDA error: an illegal memory access was encountered"

FAULTS = {
    "audit": torch.AcceleratorError(f"{ACCESS}\nCompile with `TORCH_USE_CUDA_DSA`"),
    "lift": RuntimeError(ACCESS),
    "undesirable": torch.AcceleratorError(ACCESS),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_device_that_gives_out_ends_the_run_and_costs_no_image_its_figures(
    command: str,
    coloured: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    again = command, coloured, "loses_its_device", tmp_path / "run", "--shard-size", "2", "--seed", "2"
    monkeypatch.setattr(Device, "failed", False)
    monkeypatch.setattr(Device, "fault", FAULTS[command])
    assert started(*again) == 2
    said = capsys.readouterr().err
    assert said.splitlines()[-1] == (
        f"heatlift: the device failed ({ACCESS}): what is finished is kept, "
        "the same command goes on from there"
    )
    assert "Traceback" not in said
    finished = rows(tmp_path / "run", command)
    assert finished
    assert all(row["status"] == "ok" for row in finished)
    monkeypatch.setattr(Device, "fault", None)
    assert started(*again) == 0
    found = rows(tmp_path / "run", command)
    assert len(found) > len(finished)
    assert all(row["status"] == "ok" for row in found)


@pytest.mark.parametrize(
    "fault",
    [
        torch.AcceleratorError("HIP error: device lost"),
        RuntimeError(ACCESS),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
        RuntimeError("CUDA driver error: unknown error"),
    ],
)
def test_nobody_takes_a_failed_device_for_a_failure_of_their_own(fault: Exception) -> None:
    """Neither an indicator nor a method, and not the network's gradient."""

    def raises(*arguments: Any) -> Any:
        raise fault

    clf, images = small(), torch.rand(2, 3, 32, 32)
    with pytest.raises(DeviceFailed, match="the device failed") as caught:
        Indicator("mine", raises, "").values(clf, images)
    assert caught.value.__cause__ is fault
    with pytest.raises(DeviceFailed):
        hl.attribute(clf, images, raises)
    with pytest.raises(DeviceFailed):
        hl.augment(images, images, raises)

    class Backwards(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, x: Tensor) -> Tensor:
            return x.clone()

        backward = staticmethod(raises)

    plain = clf.network.forward
    clf.network.forward = lambda x: plain(Backwards.apply(x))  # type: ignore[method-assign]
    for method in ("saliency", "input_x_gradient"):
        with pytest.raises(DeviceFailed):
            hl.attribute(clf, images, method)
    with pytest.raises(DeviceFailed):
        hl.GAX(max_steps=2)(clf, images, 0)
