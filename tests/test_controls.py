from __future__ import annotations

import torch

from heatlift.controls import CONTROLS
from heatlift.streams import image_seed
from networks import images

NAMES = ["cat/1.jpg", "dog/2.jpg", "eel/3.jpg"]


def test_zero_image_and_shuffled() -> None:
    x, others = images(3), images(3, seed=9)
    assert CONTROLS["zero"].compute(x, others, NAMES, 0).eq(0).all()
    assert torch.equal(CONTROLS["image"].compute(x, others, NAMES, 0), x)
    assert torch.equal(CONTROLS["shuffled"].compute(x, others, NAMES, 0), others)


def test_noise_belongs_to_seed_and_image_not_to_the_batch() -> None:
    x = images(3, dtype=torch.float32)
    whole = CONTROLS["noise"].compute(x, x, NAMES, 5)
    alone = CONTROLS["noise"].compute(x[1:2], x[1:2], NAMES[1:2], 5)
    assert torch.equal(whole[1:2], alone)
    assert not torch.equal(whole[0], whole[1])
    assert not torch.equal(whole, CONTROLS["noise"].compute(x, x, NAMES, 6))
    assert abs(float(whole.mean())) < 0.02
    assert abs(float(whole.std()) - 1) < 0.02


def test_seeds_differ_by_seed_purpose_and_name() -> None:
    seeds = {image_seed(s, n, p) for s in (0, 1) for n in NAMES for p in ("noise", "trial")}
    assert len(seeds) == 12
