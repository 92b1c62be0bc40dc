"""heatlift's scores in torchmetrics' terms: metrics over batches that synchronise across processes.

Each computes a dictionary of figures with the counts behind them: an image whose logits are not finite is
counted as failed and is in no figure, and a figure of no image is NaN beside an ``n`` of 0.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from heatlift.errors import HeatliftError
from heatlift.run.undesirable_summary import REMAINDER
from heatlift.score import co_score, log_remainder, relative_improvement

try:
    from torchmetrics import Metric
    from torchmetrics.utilities import dim_zero_cat
except ModuleNotFoundError as error:
    raise HeatliftError(
        "heatlift.adapters.torchmetrics needs torchmetrics: pip install 'heatlift[adapters]'"
    ) from error


class COScore(Metric):
    """The mean CO score of images before and after an augmentation (Tjoa 2022, eq. 5).

    ``compute()`` gives ``mean``, in logits; ``n``, the images in it; ``failed``, those whose logits are not
    finite.

    Example:
        >>> metric = COScore()
        >>> metric.update(torch.tensor([[0.0, 1.0]]), torch.tensor([[2.0, 1.5]]), torch.tensor([0]))
        >>> {name: value.item() for name, value in metric.compute().items()}
        {'mean': 1.5, 'n': 1, 'failed': 0}
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    total: Tensor
    n: Tensor
    failed: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("n", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("failed", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, before: Tensor, after: Tensor, labels: Tensor) -> None:
        """Add images: raw logits (n, C) before and after, and the class scored (n,).

        Raises:
            HeatliftError: as of `heatlift.co_score`.
        """
        scores = co_score(before.detach().double(), after.detach().double(), labels)
        usable = _usable(before, after)
        self.total += scores[usable].sum()
        self.n += usable.sum()
        self.failed += (~usable).sum()

    def compute(self) -> dict[str, Tensor]:
        """``mean``, ``n`` and ``failed``, over all batches and processes."""
        return {"mean": self.total / self.n, "n": self.n.clone(), "failed": self.failed.clone()}


class RelativeImprovement(Metric):
    """The relative improvement phi in per cent (Kang 2019, eq. 8), up to 100 and without lower bound.

    ``compute()`` gives ``mean``, over the ``n`` images whose class had at least 0.001 of probability to gain;
    ``excluded``, the others, for which phi is nearly arbitrary; ``median`` and ``worse``, the share that lost
    probability, over both; ``failed``, images whose logits are not finite.

    Example:
        >>> metric = RelativeImprovement()
        >>> even, sure = torch.zeros(1, 2), torch.tensor([[0.0, 40.0]])
        >>> metric.update(even, sure, torch.tensor([1]))
        >>> metric.compute()["mean"]
        tensor(100., dtype=torch.float64)
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    phi: list[Tensor]
    remainder: list[Tensor]
    failed: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # A process without images sends an empty tensor of the metric's own type, which must be the others'.
        self.set_dtype(torch.float64)
        self.add_state("phi", [], dist_reduce_fx="cat")
        self.add_state("remainder", [], dist_reduce_fx="cat")
        self.add_state("failed", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, before: Tensor, after: Tensor, labels: Tensor) -> None:
        """Add images: raw logits (n, C) before and after, and the class that is to gain (n,).

        Raises:
            HeatliftError: as of `heatlift.co_score`.
        """
        before, after = before.detach().double(), after.detach().double()
        # For its refusals: of what is no logits, phi would be as wrong as the CO score.
        co_score(before, after, labels)
        usable = _usable(before, after)
        before, after = before[usable], after[usable]
        classes = torch.as_tensor(labels, device=before.device)[usable]
        self.phi.append(relative_improvement(before, after, classes))
        self.remainder.append(log_remainder(before, classes).exp())
        self.failed += (~usable).sum()

    def compute(self) -> dict[str, Tensor]:
        """All six, over all batches and processes."""
        nothing = torch.zeros(0, dtype=torch.float64, device=self.failed.device)
        # Synchronised, a list of tensors is one tensor.
        phi, remainder = (dim_zero_cat(s) if len(s) else nothing for s in (self.phi, self.remainder))
        room = remainder >= REMAINDER
        return {
            "mean": phi[room].mean(),
            "n": room.sum(),
            "excluded": (~room).sum(),
            "median": _median(phi),
            "worse": (phi < 0).double().mean(),
            "failed": self.failed.clone(),
        }


def _usable(before: Tensor, after: Tensor) -> Tensor:
    """Images whose logits are all finite, (n,)."""
    return before.isfinite().all(dim=1) & after.isfinite().all(dim=1)


def _median(values: Tensor) -> Tensor:
    """Of an even number the mean of the two in the middle, where torch takes the lower one; NaN of none."""
    if not len(values):
        return values.mean()
    # Not by torch.quantile, which makes NaN of a probability lost altogether (phi of minus infinity).
    ordered = values.sort().values
    return (ordered[(len(values) - 1) // 2] + ordered[len(values) // 2]) / 2
