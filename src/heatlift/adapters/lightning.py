"""The CO audit in Lightning's terms: a callback that logs it while a network is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from heatlift.attribution import attribute
from heatlift.attributor import Attributor
from heatlift.augmentation import OPERATIONS
from heatlift.classifier import Classifier
from heatlift.controls import CONTROLS
from heatlift.errors import HeatliftError
from heatlift.ranking import FloatArray, Ranking
from heatlift.registry import requested
from heatlift.run.evidence import too_few
from heatlift.run.heatmaps import Applied, Maps
from heatlift.score import co_score, confidence_measures
from heatlift.statistics import Figure, bootstrap, median_gap, percentiles
from heatlift.types import OK, Framing, OperationName

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
    from lightning.pytorch.utilities import rank_zero_info
except ModuleNotFoundError as error:
    raise HeatliftError(
        "heatlift.adapters.lightning needs lightning: pip install 'heatlift[adapters]'"
    ) from error


@dataclass(frozen=True)
class Row:
    """One audit: an epoch's figures by the names under which they are logged, and why others are missing."""

    epoch: int
    figures: Mapping[str, float]
    said: str | None


class COAudit(Callback):
    """Logs the CO audit of a fixed sample of images, at the end of every so many training epochs.

    Under ``co/``: ``n`` images whose logits are finite and ``n_failed`` others; of the ``n`` ``n_wrong`` that
    are predicted wrongly, ``accuracy``, and ``auroc_confidence``, how well confidence tells these apart.
    Under ``co/METHOD/OPERATION/``, for every method and control: ``n`` images with a score; ``gap``, the
    median ``co_label`` of correct less that of wrong images (Tjoa 2022); ``auroc_label_free``, how well
    ``co_predicted`` tells them apart; ``difference``, that less confidence's; each of the three with its 95%
    interval, ``_low`` and ``_high``. Figures that compare correct with wrong images are left out where there
    are fewer than 30 of either, and the training's output says so. Every audit is kept in ``rows`` as well.

    The network runs in eval mode without parameter gradients and is left as it was; no random number of the
    training's own is drawn.

    Args:
        images: (n, 3, h, w), as the network takes them; or in [0, 1] with the network's mean and std.
        labels: (n,) integers.
        methods: what `heatlift.attribute` takes, by name.
        controls: control heatmaps beside them.
        operation: ``add`` or ``multiply``.
        every: epochs from one audit to the next.
        network: what is audited of the module; None is the module itself, called with images.
        mean, std: of the normalisation, where the images are in [0, 1].
        batch_size: images at a time.
        seed: of controls and intervals.

    Raises:
        HeatliftError: images and labels that do not fit; an unknown control or operation. When training
            starts: what `heatlift.Classifier` or `heatlift.attribute` raises.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        methods: Sequence[str] = ("saliency",),
        *,
        controls: Sequence[str] = ("noise",),
        operation: OperationName = "add",
        every: int = 1,
        network: Callable[[LightningModule], nn.Module] | None = None,
        mean: Sequence[float] = (0.0, 0.0, 0.0),
        std: Sequence[float] = (1.0, 1.0, 1.0),
        batch_size: int = 32,
        seed: int = 0,
    ) -> None:
        labels = torch.as_tensor(labels)
        if images.ndim != 4 or not len(images) or labels.shape != images.shape[:1]:
            raise HeatliftError(
                f"images {tuple(images.shape)} and labels {tuple(labels.shape)}: give images (n, 3, h, w) "
                "and one label each"
            )
        for what, names in (("methods", methods), ("controls", controls)):
            if isinstance(names, str):
                raise HeatliftError(f"{what} '{names}': give a list of names, ['{names}']")
        unknown = [name for name in controls if name not in CONTROLS or name == "shuffled"]
        if unknown:
            known = ", ".join(name for name in CONTROLS if name != "shuffled")
            raise HeatliftError(f"unknown control '{unknown[0]}': choose from {known}")
        if operation not in OPERATIONS:
            raise HeatliftError(f"unknown operation '{operation}': choose from {', '.join(OPERATIONS)}")
        if every < 1 or batch_size < 1:
            raise HeatliftError(f"every {every} epochs, {batch_size} images at a time: at least 1 of each")
        self.images, self.labels = images, labels
        self.methods, self.controls, self.operation = tuple(methods), tuple(controls), operation
        self.every, self.network, self.mean, self.std = every, network, mean, std
        self.batch_size, self.seed = batch_size, seed
        self.rows: list[Row] = []
        self._audited: tuple[LightningModule, Classifier] | None = None

    @classmethod
    def of(cls, dataset: Any, n: int = 256, seed: int = 0, **settings: Any) -> Self:
        """Audit ``n`` random images of a data set of pairs (image, label), such as the validation set."""
        if n < 1 or not len(dataset):
            raise HeatliftError(f"{n} of {len(dataset)} images: give at least one")
        chosen = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(seed))[:n].tolist()
        pairs = [dataset[place][:2] for place in chosen]
        images = torch.stack([torch.as_tensor(image) for image, _ in pairs])
        return cls(images, torch.tensor([int(label) for _, label in pairs]), seed=seed, **settings)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Try every method on two images, so that what can't be audited is said before the first epoch."""
        # Kept until the end: a new one would run the network a few times more, and refuse one whose weights
        # have become NaN, of which the audit is to say that no image could be used.
        classifier = self._classifier(pl_module)
        self._audited = pl_module, classifier
        for name in self.methods:
            attribute(classifier, self.images[:2], name, certificate=True)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let go of the network."""
        self._audited = None

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """The same, where training ends early."""
        self._audited = None

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Audit and log."""
        if (trainer.current_epoch + 1) % self.every:
            return
        row = self.audit(pl_module, trainer.current_epoch)
        self.rows.append(row)
        # Every process has audited the same images: one of them logs.
        pl_module.log_dict(dict(row.figures), rank_zero_only=True)
        if row.said:
            rank_zero_info(f"CO audit, epoch {row.epoch}: {row.said}")

    def audit(self, pl_module: LightningModule, epoch: int = 0) -> Row:
        """The figures of a module as it is."""
        module, classifier = self._audited or (None, None)
        if classifier is None or module is not pl_module:
            classifier = self._classifier(pl_module)
        requests = [requested(classifier, name, seed=self.seed) for name in self.methods]
        attributor = Attributor(classifier, requests)
        parts = [self._scores(attributor, start) for start in range(0, len(self.images), self.batch_size)]
        found = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
        ok = np.isfinite(found["confidence"])
        found = {key: values[ok] for key, values in found.items()}
        correct, confidence = found.pop("correct").astype(bool), found.pop("confidence")
        n, n_correct = len(correct), int(correct.sum())
        figures: dict[str, float] = {"n": n, "n_failed": int((~ok).sum()), "n_wrong": n - n_correct}
        few = [too_few(n, n_correct, n - n_correct)]
        if n:
            figures["accuracy"] = n_correct / n
        if few[0] is None:
            figures["auroc_confidence"] = Ranking.of(confidence, correct).value("auroc")
        for name in (*(request.name for request in requests), *self.controls):
            free, label = found[f"{name} predicted"], found[f"{name} label"]
            usable = np.isfinite(free) & np.isfinite(label)
            right = int(correct[usable].sum())
            under = f"{name}/{self.operation}"
            figures[f"{under}/n"] = int(usable.sum())
            few.append(too_few(int(usable.sum()), right, int(usable.sum()) - right))
            if few[-1] is None:
                compared = self._compared(free[usable], label[usable], confidence[usable], correct[usable])
                figures |= {f"{under}/{key}": value for key, value in compared.items()}
        said = next((reason for reason in few if reason), None)
        return Row(epoch, {f"co/{key}": float(value) for key, value in figures.items()}, said)

    def _scores(self, attributor: Attributor, start: int) -> dict[str, FloatArray]:
        """The scores of one batch by name and class scored, NaN where a heatmap is of no use."""
        part = slice(start, start + self.batch_size)
        classifier = attributor.classifier
        inputs = classifier.inputs(self.images[part], "model")
        labels = self.labels[part].to(inputs.device)
        explained = attributor.explain(self.images[part].to(inputs.device))
        before = explained.logits.double()
        predicted = before.argmax(dim=1)
        names = [str(start + k) for k in range(len(inputs))]
        nothing = torch.zeros_like(inputs)
        maps = [Maps.explained(name, found, inputs) for name, found in explained.found.items()]
        for name in self.controls:
            drawn = CONTROLS[name].compute(inputs, nothing, names, self.seed)
            maps.append(Maps.of(name, True, drawn, [OK] * len(inputs)))
        confidence = confidence_measures(before)["confidence"]
        scores = {"correct": predicted == labels, "confidence": confidence}
        for one in maps:
            with torch.no_grad():
                after = classifier(Applied(one, self.operation, 1.0).to(inputs), "model").double()
            failed = torch.tensor([status != OK for status in one.status], device=after.device)
            for key, classes in (("predicted", predicted), ("label", labels)):
                scores[f"{one.method} {key}"] = co_score(before, after, classes).masked_fill(
                    failed, torch.nan
                )
        return {key: np.asarray(value.double().cpu().numpy()) for key, value in scores.items()}

    def _compared(
        self, free: FloatArray, label: FloatArray, confidence: FloatArray, correct: Any
    ) -> dict[str, float]:
        """What compares correct with wrong images."""
        rankings = [Ranking.of(free, correct), Ranking.of(confidence, correct)]
        right = int(correct.sum())
        draws = bootstrap(
            [one.statistic("auroc") for one in rankings], right, len(correct) - right, seed=self.seed
        )
        ours, plain = (one.value("auroc") for one in rankings)
        gap = median_gap(label[correct], label[~correct], seed=self.seed)[2]
        auroc = percentiles(ours, draws[0], len(correct))
        difference = percentiles(ours - plain, draws[0] - draws[1], len(correct))
        return {
            **_logged("gap", gap),
            **_logged("auroc_label_free", auroc),
            **_logged("difference", difference),
        }

    def _classifier(self, pl_module: LightningModule) -> Classifier:
        network = pl_module if self.network is None else self.network(pl_module)
        height, width = self.images.shape[2:]
        framing = Framing(min(height, width), (height, width))
        return Classifier(network, mean=self.mean, std=self.std, framing=framing, device=pl_module.device)


def _logged(name: str, figure: Figure) -> dict[str, float]:
    assert figure.value is not None
    assert figure.low is not None
    assert figure.high is not None
    return {name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}
