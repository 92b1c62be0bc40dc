"""Work in portions after running out of memory."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from heatlift.portions import Portions, TooLarge, good_size, out_of_memory

NO_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    MemoryError(),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:113] . DefaultCPUAllocator: can't allocate memory: you tried"
    ),
]


@pytest.mark.parametrize("error", NO_MEMORY)
@pytest.mark.parametrize("fits", [1, 2, 3, 5, 100])
def test_halves_until_it_fits_and_stays_there(error: Exception, fits: int) -> None:
    tries: list[int] = []

    def work(items: Sequence[int]) -> list[int]:
        tries.append(len(items))
        if len(items) > fits:
            raise error
        return [2 * item for item in items]

    portions = Portions(16)
    done = [value for _, values in portions(range(40), work) for value in values]
    assert done == [2 * item for item in range(40)]
    assert portions.size <= max(fits, 1) or fits == 100
    # After the first success nothing that large is tried again.
    worked = next(i for i, n in enumerate(tries) if n <= fits)
    assert all(n <= fits for n in tries[worked:])


def test_a_single_item_that_does_not_fit_is_named_and_the_others_go_on() -> None:
    def work(items: Sequence[int]) -> int:
        if 3 in items:
            raise MemoryError
        return sum(items)

    done = list(Portions(2)(range(6), work))
    assert [(list(items), isinstance(found, TooLarge)) for items, found in done] == [
        ([0, 1], False),
        ([2], False),
        ([3], True),
        ([4], False),
        ([5], False),
    ]


def test_other_errors_are_not_swallowed() -> None:
    def work(items: Sequence[int]) -> int:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        list(Portions(2)(range(6), work))
    assert not out_of_memory(ValueError("out of memory"))


def test_a_good_size_is_where_more_is_no_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("heatlift.portions.time.perf_counter", lambda: clock[0])

    def trial(size: int) -> None:
        clock[0] += 1.0 if size <= 8 else size / 8

    assert good_size(trial) == 8


def test_a_good_size_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("heatlift.portions.time.perf_counter", lambda: clock[0])

    def trial(size: int) -> None:
        clock[0] += 1.0
        if size > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")

    assert good_size(trial) == 4
    assert good_size(trial, largest=2) == 2
