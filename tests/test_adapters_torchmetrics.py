"""Our scores as torchmetrics: in one process, in batches, and across two real ones."""

from __future__ import annotations

import math
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.multiprocessing import start_processes
from torchmetrics import MetricCollection

from heatlift import HeatliftError
from heatlift.adapters.torchmetrics import COScore, RelativeImprovement

Batch = tuple[Tensor, Tensor, Tensor]


def logits(n: int = 41, classes: int = 5) -> Batch:
    """Logits before and after, and labels; some images are certain, some lose, three are broken."""
    generator = torch.Generator().manual_seed(4)
    before = 2 * torch.randn(n, classes, generator=generator)
    after = before + torch.randn(n, classes, generator=generator)
    labels = torch.randint(0, classes, (n,), generator=generator)
    before[torch.arange(5), labels[:5]] += 30
    before[6, 0], after[7, 1], after[8, 2] = math.nan, math.inf, math.nan
    return before, after, labels


def by_hand(before: Tensor, after: Tensor, labels: Tensor) -> dict[str, float]:
    """Every figure once more, image by image in numpy, from the papers' own formulas."""
    co, phi, room, failed = [], [], [], 0
    for b, a, label in zip(before.double().numpy(), after.double().numpy(), labels.tolist(), strict=True):
        if not np.isfinite([b, a]).all():
            failed += 1
            continue
        delta = np.delete(a - b, label)
        co.append(a[label] - b[label] - delta.mean())
        missing = [np.delete(np.exp(z - z.max()), label).sum() / np.exp(z - z.max()).sum() for z in (b, a)]
        phi.append(100 * (1 - missing[1] / missing[0]))
        room.append(missing[0] >= 1e-3)
    return {
        "co_mean": float(np.mean(co)),
        "co_n": len(co),
        "co_failed": failed,
        "phi_mean": float(np.mean(np.array(phi)[room])),
        "phi_n": sum(room),
        "phi_excluded": len(room) - sum(room),
        "phi_median": float(np.median(phi)),
        "phi_worse": float(np.mean(np.array(phi) < 0)),
        "phi_failed": failed,
    }


def computed(co: COScore, phi: RelativeImprovement) -> dict[str, float]:
    named = {"co": co.compute(), "phi": phi.compute()}
    return {f"{metric}_{key}": float(v) for metric, found in named.items() for key, v in found.items()}


def test_figures_are_those_of_the_papers_formulas_in_any_batches() -> None:
    whole = logits()
    expected = by_hand(*whole)
    assert expected["phi_excluded"] == 5
    assert expected["co_failed"] == 3
    for cuts in ([41], [1, 30, 10], [20, 0, 21]):
        co, phi = COScore(), RelativeImprovement()
        for batch in zip(*(part.split(cuts) for part in whole), strict=True):
            co.update(*batch)
            phi.update(*batch)
        assert computed(co, phi) == pytest.approx(expected, rel=1e-9)


def test_forward_gives_the_batch_s_figures_and_keeps_all() -> None:
    first, second = zip(*(part.split([20, 21]) for part in logits()), strict=True)
    co, phi = COScore(), RelativeImprovement()
    for batch in (first, second):
        expected = by_hand(*batch)
        assert float(co(*batch)["mean"]) == pytest.approx(expected["co_mean"])
        assert float(phi(*batch)["median"]) == pytest.approx(expected["phi_median"])
    assert computed(co, phi) == pytest.approx(by_hand(*logits()), rel=1e-9)
    co.reset()
    phi.reset()
    co.update(*second)
    phi.update(*second)
    assert computed(co, phi) == pytest.approx(by_hand(*second), rel=1e-9)


def test_in_a_collection_whose_figures_share_names() -> None:
    collection = MetricCollection({"co": COScore(), "phi": RelativeImprovement()}, prefix="val/")
    collection.update(*logits())
    found = {key: float(value) for key, value in collection.compute().items()}
    expected = by_hand(*logits())
    assert found["val/co_mean"] == pytest.approx(expected["co_mean"])
    assert found["val/phi_n"] == expected["phi_n"]
    assert found["val/phi_worse"] == expected["phi_worse"]


def test_no_image_gives_nan_beside_a_count_of_none() -> None:
    before, after, labels = logits()
    co, phi = COScore(), RelativeImprovement()
    for metric in (co, phi):
        metric.update(before[6:9], after[6:9], labels[6:9])
    assert {key: float(v) for key, v in co.compute().items()} == pytest.approx(
        {"mean": math.nan, "n": 0, "failed": 3}, nan_ok=True
    )
    found = {key: float(v) for key, v in phi.compute().items()}
    assert [found["n"], found["excluded"], found["failed"]] == [0, 0, 3]
    assert all(math.isnan(found[key]) for key in ("mean", "median", "worse"))


def test_a_probability_lost_altogether_leaves_the_median_a_number() -> None:
    before, after = torch.zeros(3, 2), torch.zeros(3, 2)
    before[0, 0], after[0, 1] = 800.0, 800.0  # phi is -100 e^1600
    phi = RelativeImprovement()
    phi.update(before, after, torch.zeros(3, dtype=torch.long))
    found = phi.compute()
    assert [float(found[key]) for key in ("mean", "median", "n", "excluded")] == [0.0, 0.0, 2, 1]
    assert float(found["worse"]) == pytest.approx(1 / 3)


def test_probabilities_and_unknown_classes_are_refused() -> None:
    p = torch.tensor([[0.2, 0.8]])
    for metric in (COScore(), RelativeImprovement()):
        with pytest.raises(HeatliftError, match="look like probabilities"):
            metric.update(p, p.flip(1), torch.tensor([0]))
        with pytest.raises(HeatliftError, match="labels 2 to 2: the logits have classes 0 to 1"):
            metric.update(8 * p, 4 * p, torch.tensor([2]))


def _worker(rank: int, folder: str) -> None:
    """One of two processes: its own part of the images, and what both compute together."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    try:
        found = []
        for cuts in CUTS:
            co, phi = COScore(), RelativeImprovement()
            parts = [part.split(cuts)[rank] for part in logits()]
            for batch in zip(*(part.split(7) for part in parts), strict=True) if cuts[rank] else ():
                co.update(*batch)
                phi.update(*batch)
            # One that has seen no batch at all is warned of.
            co._update_count = phi._update_count = 1
            found.append(computed(co, phi))
        torch.save(found, f"{folder}/found-{rank}")
    finally:
        dist.destroy_process_group()


CUTS = ([30, 11], [41, 0])


def test_two_processes_give_what_one_gives_of_all_images(tmp_path: Path) -> None:
    # What takes long is the import of torchmetrics: so it is once for both.
    multiprocessing.get_context("forkserver").set_forkserver_preload(["heatlift.adapters.torchmetrics"])
    start_processes(_worker, (str(tmp_path),), nprocs=2, start_method="forkserver")
    for rank in (0, 1):
        for found in torch.load(tmp_path / f"found-{rank}", weights_only=True):
            assert found == pytest.approx(by_hand(*logits()), rel=1e-9)
