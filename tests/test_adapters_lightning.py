"""The CO audit as a callback of a real Lightning trainer: its figures, and training that does not notice."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger
from scipy.stats import mannwhitneyu
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import MetricCollection

from heatlift import Classifier, HeatliftError, Refused, attribute, augment, co_score, rescale
from heatlift.adapters.lightning import COAudit
from heatlift.adapters.torchmetrics import COScore, RelativeImprovement
from heatlift.controls import CONTROLS

MEAN, STD = (0.5, 0.4, 0.6), (0.25, 0.2, 0.3)


@pytest.fixture(autouse=True)
def _lightning_warns() -> Iterator[None]:
    """Of few workers, and of steps shorter than its logging interval."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        yield


pytestmark = pytest.mark.usefixtures("one_thread")


class Tiny(LightningModule):
    """Dropout and batch norm, so that modes, random numbers and buffers would show what touches them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        features = (nn.Conv2d(3, 6, 3, stride=2), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.3))
        self.network = nn.Sequential(*features, nn.Flatten(), nn.Linear(6 * 7 * 7, 3))

    def forward(self, images: Tensor) -> Tensor:
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
        out: Tensor = self.network((images - mean) / std)
        return out

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        return nn.functional.cross_entropy(self(batch[0]), batch[1])

    def validation_step(self, batch: list[Tensor], index: int) -> None:
        self.log("val/loss", nn.functional.cross_entropy(self(batch[0]), batch[1]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), 0.003)


def dataset(n: int, seed: int) -> TensorDataset:
    """Noise whose class is its reddest, greenest or bluest, not always truly labelled."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(n, 3, 16, 16, generator=generator)
    labels = (images.mean(dim=(2, 3)) + 0.02 * torch.randn(n, 3, generator=generator)).argmax(dim=1)
    return TensorDataset(images, labels)


def trained(
    folder: Path, callbacks: list[Any], epochs: int = 2, module: Tiny | None = None
) -> tuple[Tiny, Trainer]:
    module = module or Tiny()
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        callbacks=callbacks,
        logger=CSVLogger(folder),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    torch.manual_seed(5)  # of the order of the images, and of dropout
    loaders = (
        DataLoader(dataset(64, 0), batch_size=16, shuffle=True),
        DataLoader(dataset(16, 1), batch_size=16),
    )
    trainer.fit(module, *loaders)
    return module, trainer


def test_what_is_logged_is_what_is_computed_directly(tmp_path: Path) -> None:
    images, labels = dataset(150, 3).tensors
    audit = COAudit(
        images,
        labels,
        ("saliency", "deeplift"),
        network=lambda module: module.network,
        mean=MEAN,
        std=STD,
        batch_size=40,
    )
    module, trainer = trained(tmp_path, [audit])
    logged = {key: float(v) for key, v in trainer.callback_metrics.items() if key.startswith("co/")}
    assert [row.epoch for row in audit.rows] == [0, 1]
    assert audit.rows[0].figures != audit.rows[1].figures
    assert logged == pytest.approx(dict(audit.rows[1].figures), rel=1e-6)

    module.eval()
    with torch.no_grad():
        before = module(images)
    predicted, confidence = before.argmax(dim=1), before.softmax(dim=1).amax(dim=1)
    right = (predicted == labels).numpy()
    assert 30 <= right.sum() <= 120
    assert [logged["co/n"], logged["co/n_wrong"]] == [150, 150 - right.sum()]
    assert logged["co/accuracy"] == pytest.approx(right.mean())
    assert logged["co/auroc_confidence"] == pytest.approx(_auroc(confidence, right), abs=1e-4)
    clf = Classifier(module.network, mean=MEAN, std=STD, size=16)
    inputs = clf.normalise(images)
    noise = CONTROLS["noise"].compute(inputs, inputs, [str(i) for i in range(150)], 0)
    heatmaps = {name: attribute(clf, images, name) for name in ("saliency", "deeplift")} | {"noise": noise}
    for name, h in heatmaps.items():
        with torch.no_grad():
            after = module.network(augment(inputs, rescale(h)))
        free, label = (co_score(before, after, classes) for classes in (predicted, labels))
        gap = np.median(label[right]) - np.median(label[~right])
        under = f"co/{name}/add"
        assert logged[f"{under}/n"] == 150
        assert logged[f"{under}/gap"] == pytest.approx(gap, abs=1e-4)
        assert logged[f"{under}/auroc_label_free"] == pytest.approx(_auroc(free, right), abs=1e-3)
        difference = logged[f"{under}/auroc_label_free"] - logged["co/auroc_confidence"]
        assert logged[f"{under}/difference"] == pytest.approx(difference, abs=1e-6)
        for figure in ("gap", "auroc_label_free", "difference"):
            low, high = logged[f"{under}/{figure}_low"], logged[f"{under}/{figure}_high"]
            assert low < logged[f"{under}/{figure}"] < high
    csv = next(tmp_path.rglob("metrics.csv")).read_text()
    assert "co/deeplift/add/gap_low" in csv.splitlines()[0]


def _auroc(scores: Tensor, right: Any) -> float:
    scores = scores.numpy()
    return float(mannwhitneyu(scores[right], scores[~right]).statistic / right.sum() / (~right).sum())


def test_training_goes_as_it_would_without(tmp_path: Path) -> None:
    audit = COAudit.of(dataset(60, 3), 40, methods=("saliency", "layer_gradcam"))
    states = []
    for callbacks in ([], [audit]):
        module, trainer = trained(tmp_path, callbacks)
        states.append(
            (module.state_dict(), trainer.optimizers[0].state_dict()["state"], torch.get_rng_state())
        )
        assert module.training
        assert all(parameter.requires_grad for parameter in module.parameters())
    assert len(audit.rows) == 2
    (plain, optimiser, rng), (audited, optimiser_too, rng_too) = states
    assert all(torch.equal(plain[key], audited[key]) for key in plain)
    assert all(
        torch.equal(optimiser[i][key], optimiser_too[i][key]) for i in optimiser for key in optimiser[i]
    )
    assert torch.equal(rng, rng_too)


def test_too_few_errors_are_said_rather_than_a_number(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images, labels = dataset(40, 3).tensors
    audit = COAudit(images, labels, every=2)
    with caplog.at_level(logging.INFO, "lightning.pytorch"):
        _, trainer = trained(tmp_path, [audit])
    (row,) = audit.rows
    assert row.epoch == 1
    assert set(row.figures) == {
        f"co/{k}" for k in ("n", "n_failed", "n_wrong", "accuracy", "saliency/add/n", "noise/add/n")
    }
    wrong = int(row.figures["co/n_wrong"])
    few = (
        f"too few errors to say ({wrong})" if wrong < 30 else f"too few correct images to say ({40 - wrong})"
    )
    assert row.said == few
    assert not any("auroc" in key or "gap" in key for key in trainer.callback_metrics)


def test_images_without_a_heatmap_are_not_counted() -> None:
    """What has no logits or no heatmap is out of every figure, and of its n."""
    images, module = dataset(124, 3).tensors[0].clone(), Tiny().eval()
    with torch.no_grad():
        labels = (module(images).argmax(dim=1) + torch.arange(124) % 2) % 3
    images[:4] = math.nan
    audit = COAudit(images, labels, ("saliency", f"{__name__}:fails_on_few"), controls=(), batch_size=62)
    row = audit.audit(module)
    assert row.said is None
    assert [row.figures[f"co/{key}"] for key in ("n", "n_failed", "saliency/add/n")] == [120, 4, 120]
    assert row.figures[f"co/{__name__}:fails_on_few/add/n"] == 119
    assert all(math.isfinite(value) for value in row.figures.values())
    assert len(row.figures) == 5 + 2 * 10
    audit.images[:] = math.nan
    nothing = audit.audit(module)
    assert nothing.said == "nothing to say: no image could be used"
    assert nothing.figures.pop("co/n_failed") == 124
    assert set(nothing.figures.values()) == {0.0}


def fails_on_few(classifier: Classifier, images: Tensor, target: Tensor) -> Tensor:
    """Heatmaps of which one, that of the image with the largest pixel, is not a number."""
    return (images - 0.5).masked_fill(images == LARGEST, math.inf)


LARGEST = dataset(124, 3).tensors[0][4:].max()


class _AuditsAnother(Callback):
    """Audits a module that is not trained, in the middle of training, and without gradients."""

    def __init__(self, audit: COAudit, other: LightningModule) -> None:
        self.audit, self.other = audit, other
        self.found: list[Any] = []

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        with torch.inference_mode():
            self.found.append(self.audit.audit(self.other).figures)


def test_the_module_that_is_given_is_the_one_audited(tmp_path: Path) -> None:
    audit = COAudit.of(dataset(60, 3), 40, methods=("saliency", "deeplift"))
    other = Tiny()
    with torch.no_grad():
        other.network[-1].bias += torch.tensor([9.0, 0.0, 0.0])
    expected = audit.audit(other).figures
    assert expected["co/deeplift/add/n"] == 40
    beside = _AuditsAnother(audit, other)
    trained(tmp_path, [audit, beside], epochs=1)
    assert beside.found[-1] == expected
    assert audit.rows[0].figures["co/accuracy"] != expected["co/accuracy"]
    with pytest.raises(HeatliftError, match="unknown method 'salience'"):
        trained(tmp_path, [audit, COAudit(audit.images, audit.labels, ("salience",))])
    assert audit.audit(other).figures == expected


class _Measures(Tiny):
    """Logs metrics whose figures are a dictionary, as the documentation says."""

    def __init__(self) -> None:
        super().__init__()
        self.metrics = MetricCollection({"co": COScore(), "phi": RelativeImprovement()})

    def validation_step(self, batch: list[Tensor], index: int) -> None:
        images, labels = batch
        self.metrics.update(self(images), self(images * 0.5), labels)

    def on_validation_epoch_end(self) -> None:
        self.log_dict(self.metrics.compute())
        self.metrics.reset()


def test_metrics_are_logged_by_a_module(tmp_path: Path) -> None:
    _, trainer = trained(tmp_path, [], module=_Measures())
    assert trainer.callback_metrics["co_n"] == 16
    assert math.isfinite(trainer.callback_metrics["phi_median"])


def test_of_draws_from_the_whole_data_set() -> None:
    everything = dataset(60, 3)
    audit, again, other = (COAudit.of(everything, 20, seed) for seed in (0, 0, 1))
    assert torch.equal(audit.images, again.images)
    assert not torch.equal(audit.images, other.images)
    known = {image.numpy().tobytes(): int(label) for image, label in everything}
    assert [known[image.numpy().tobytes()] for image in audit.images] == audit.labels.tolist()
    assert len(COAudit.of(everything).images) == 60


def test_what_can_t_be_audited_is_said_before_the_first_epoch(tmp_path: Path) -> None:
    images, labels = dataset(8, 3).tensors
    with pytest.raises(HeatliftError, match=r"images \(8, 3, 16, 16\) and labels \(7,\)"):
        COAudit(images, labels[:7])
    with pytest.raises(HeatliftError, match="unknown control 'nose': choose from zero, noise, image"):
        COAudit(images, labels, controls=("nose",))
    with pytest.raises(HeatliftError, match="unknown operation 'divide'"):
        COAudit(images, labels, operation="divide")  # type: ignore[arg-type]
    with pytest.raises(HeatliftError, match="methods 'saliency': give a list of names"):
        COAudit(images, labels, methods="saliency")
    with pytest.raises(HeatliftError, match="0 of 8 images: give at least one"):
        COAudit.of(dataset(8, 3), 0)
    with pytest.raises(HeatliftError, match="unknown method 'salience'"):
        trained(tmp_path, [COAudit(images, labels, ("salience",))])
    linear = COAudit(images, labels, ("guided_backprop",), network=_linear)
    with pytest.raises(Refused, match="calls none"):
        trained(tmp_path, [linear])


def _linear(module: LightningModule) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(768, 3))
