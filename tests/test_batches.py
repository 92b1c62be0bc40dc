"""Batches: every item once and in order, decoded beside the consumer, a bounded number ahead."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from PIL import Image
from torchvision import transforms

from heatlift import images
from heatlift.images import Item, UnreadableImage, batches
from heatlift.types import Framing

FRAMING = Framing(8, (6, 4))


def items_of(number: int) -> list[Item]:
    """Items whose files do not exist; `fake_decode` knows what to do with them."""
    return [Item(f"{index:04d}.png", Path(f"{index:04d}.png"), index) for index in range(number)]


def number_of(path: Path) -> int:
    return int(path.stem)


def decoders() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("heatlift-decode")]


@pytest.fixture
def fake_decode(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Replaces decoding: item k becomes an image of the value k % 256. Returns the k begun so far."""
    begun: list[int] = []

    def decode(path: Path, framing: Framing) -> torch.Tensor:
        begun.append(number_of(path))
        return torch.full((3, *framing.crop), number_of(path) % 256, dtype=torch.uint8)

    monkeypatch.setattr(images, "decode", decode)
    return begun


def failing(monkeypatch: pytest.MonkeyPatch, bad: Sequence[int], error: Exception) -> None:
    good = images.decode

    def decode(path: Path, framing: Framing) -> torch.Tensor:
        if number_of(path) in bad:
            raise error
        return good(path, framing)

    monkeypatch.setattr(images, "decode", decode)


@pytest.mark.usefixtures("fake_decode")
@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize(("number", "batch_size"), [(10, 4), (8, 4), (3, 4), (1, 1), (7, 1), (0, 4)])
def test_every_item_once_and_in_order(number: int, batch_size: int, threads: int) -> None:
    items = items_of(number)
    found = list(batches(items, FRAMING, batch_size, threads))
    assert [item for batch in found for item in batch.items] == items
    assert [len(batch.items) for batch in found[:-1]] == [batch_size] * (len(found) - 1)
    for batch in found:
        assert batch.images.shape == (len(batch.items), 3, 6, 4)
        assert batch.images[:, 0, 0, 0].mul(255).round().tolist() == [item.label for item in batch.items]
        assert batch.failed == ()
    assert decoders() == []


@pytest.mark.usefixtures("fake_decode")
def test_failures_do_not_thin_out_the_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    items = items_of(11)
    failing(monkeypatch, [0, 2, 3, 9, 10], UnreadableImage("truncated"))
    first, second, last = batches(items, FRAMING, 3)
    assert [item.label for item in first.items] == [1, 4, 5]
    assert [item.label for item in second.items] == [6, 7, 8]
    assert first.failed == tuple((items[bad], "unreadable: truncated") for bad in (0, 2, 3))
    assert second.failed == ()
    assert last.items == ()
    assert last.images.shape == (0, 3, 6, 4)
    assert [item.label for item, _ in last.failed] == [9, 10]


def test_real_files_become_what_totensor_gives(tmp_path: Path) -> None:
    paths = [tmp_path / f"{index}.png" for index in range(3)]
    for index, path in enumerate(paths):
        Image.linear_gradient("L").resize((40 + index, 30)).save(path)
    paths[1].write_bytes(paths[1].read_bytes()[:60])
    (batch,) = batches([Item(path.name, path, None) for path in paths], FRAMING, 8)
    theirs = transforms.Compose([transforms.Resize(8), transforms.CenterCrop((6, 4)), transforms.ToTensor()])
    expected = [theirs(Image.open(path).convert("RGB")) for path in (paths[0], paths[2])]
    assert batch.images.dtype == torch.float32
    assert torch.equal(batch.images, torch.stack(expected))
    assert [(item.name, reason) for item, reason in batch.failed] == [("1.png", "unreadable: truncated")]


def test_decoding_goes_on_while_the_consumer_works_and_stops_two_batches_ahead(
    monkeypatch: pytest.MonkeyPatch, fake_decode: list[int]
) -> None:
    plain = images.decode
    done = [threading.Event() for _ in range(1000)]

    def decode(path: Path, framing: Framing) -> torch.Tensor:
        image = plain(path, framing)
        done[number_of(path)].set()
        return image

    monkeypatch.setattr(images, "decode", decode)
    stream = batches(items_of(1000), FRAMING, 4)
    next(stream)
    assert all(event.wait(600) for event in done[:12])  # while the first four are in the consumer's hands
    time.sleep(0.05)
    assert sorted(fake_decode) == list(range(12))
    next(stream)
    assert all(event.wait(600) for event in done[:16])
    stream.close()
    assert len(fake_decode) == 16


@pytest.mark.usefixtures("fake_decode")
def test_threads_decode_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = images.decode
    together = threading.Barrier(3, timeout=600)  # broken, and so an error, unless three are inside at once

    def decode(path: Path, framing: Framing) -> torch.Tensor:
        together.wait()
        return plain(path, framing)

    monkeypatch.setattr(images, "decode", decode)
    assert len(list(batches(items_of(6), FRAMING, 3, threads=3))) == 2


@pytest.mark.usefixtures("fake_decode")
def test_no_thread_outlives_a_consumer_that_stops() -> None:
    for batch in batches(items_of(100), FRAMING, 4):
        assert batch.items
        assert decoders()
        break
    assert decoders() == []

    def fail() -> None:
        for _ in batches(items_of(100), FRAMING, 4):
            raise RuntimeError("the consumer's own")

    with contextlib.suppress(RuntimeError):
        fail()
    assert decoders() == []


@pytest.mark.usefixtures("fake_decode")
def test_an_error_that_is_not_the_files_fault_reaches_the_consumer(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, [5], ZeroDivisionError("a defect"))
    stream = batches(items_of(100), FRAMING, 4)
    next(stream)
    with pytest.raises(ZeroDivisionError, match="a defect"):
        next(stream)
    assert decoders() == []


@pytest.mark.parametrize(("batch_size", "threads"), [(0, 1), (-1, 1), (1, 0)])
def test_sizes_below_one_are_refused(batch_size: int, threads: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        next(batches(items_of(1), FRAMING, batch_size, threads))
