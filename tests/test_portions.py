"""Work in portions after running out of memory."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from heatlift.errors import NetworkFailed, out_of_memory
from heatlift.portions import Portions, TooLarge, good_size

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


def test_items_that_the_network_fails_on_cost_no_other_and_no_room() -> None:
    tries: list[int] = []

    def work(items: Sequence[int]) -> int:
        tries.append(len(items))
        if {3, 9} & set(items):
            raise NetworkFailed("no odd things")
        return sum(items)

    portions = Portions(4)
    done = [(list(items), found) for items, found in portions(range(12), work)]
    assert [items for items, found in done if isinstance(found, NetworkFailed)] == [[3], [9]]
    assert sum(found for _, found in done if isinstance(found, int)) == sum(range(12)) - 12
    assert [item for items, _ in done for item in items] == list(range(12))
    assert (portions.size, tries) == (4, [4, 1, 1, 1, 1, 4, 4, 1, 1, 1, 1])
    with pytest.raises(NetworkFailed, match="no odd things"):
        Portions(4).all(range(12), work)


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
