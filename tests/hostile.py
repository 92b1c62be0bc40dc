"""Networks that misbehave, each in a way of its own: ``hostile:function`` specs, for inputs of 32 pixels."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from PIL import ImageColor
from torch import Tensor, nn
from torch.nn import functional as F

from networks import small


class Hostile(nn.Module):
    """A small network with 3 classes, and what is done with it instead of just running it.

    Args:
        does: ``(this, inputs) -> whatever the network returns``; ``this.plain(inputs)`` are sound logits.
    """

    def __init__(self, does: Callable[[Hostile, Tensor], Any]) -> None:
        super().__init__()
        self.plain = small().network
        self.drop, self.norm = nn.Dropout(0.5), nn.BatchNorm2d(3)
        self.register_buffer("level", torch.zeros(()))
        self.register_buffer("passes", torch.zeros((), dtype=torch.long))
        self.does, self.calls, self.kept = does, 0, torch.zeros(64, 3)

    def forward(self, inputs: Tensor) -> Any:
        self.calls += 1
        return self.does(self, inputs)


def plain() -> nn.Module:
    return Hostile(lambda this, x: this.plain(x))


# What they return.


def returns_a_tuple() -> nn.Module:
    return Hostile(lambda this, x: (this.plain(x), x))


def returns_a_dict() -> nn.Module:
    return Hostile(lambda this, x: {"scores": this.plain(x)})


def returns_an_array() -> nn.Module:
    return Hostile(lambda this, x: this.plain(x).detach().numpy())


def returns_nothing() -> nn.Module:
    return Hostile(lambda this, x: None)


def returns_integers() -> nn.Module:
    return Hostile(lambda this, x: this.plain(x).round().long())


def returns_complex_numbers() -> nn.Module:
    return Hostile(lambda this, x: torch.complex(this.plain(x), this.plain(x)))


def returns_a_sparse_tensor() -> nn.Module:
    return Hostile(lambda this, x: this.plain(x).to_sparse())


def returns_nowhere() -> nn.Module:
    return Hostile(lambda this, x: this.plain(x).to("meta"))


def is_nowhere() -> nn.Module:
    return plain().to("meta")


def returns_one_image() -> nn.Module:
    return Hostile(lambda this, x: this.plain(x)[:1])


def returns_one_image_of_two_classes() -> nn.Module:
    return Hostile(lambda this, x: this.plain(x)[:1, :2])


def returns_the_mean_image_of_two_classes() -> nn.Module:
    return Hostile(lambda this, x: this.plain(x).mean(dim=0)[:2])


def returns_maps() -> nn.Module:
    return Hostile(lambda this, x: this.plain(x)[:, :, None, None].expand(-1, -1, 4, 4))


def returns_no_classes() -> nn.Module:
    return Hostile(lambda this, x: this.plain(x)[:, :0])


def returns_classes_by_the_batch() -> nn.Module:
    return Hostile(lambda this, x: this.plain(x)[:, : 1 + len(x)])


def returns_nan() -> nn.Module:
    return Hostile(lambda this, x: this.plain(x) * torch.nan)


def returns_infinity() -> nn.Module:
    return Hostile(lambda this, x: this.plain(x) + torch.tensor([torch.inf, 0.0, 0.0]))


# What they do.


def _raises(error: BaseException) -> Callable[[Hostile, Tensor], Any]:
    def does(this: Hostile, x: Tensor) -> Any:
        raise error

    return does


def raises() -> nn.Module:
    return Hostile(_raises(KeyError("no luck\nat all")))


def leaves() -> nn.Module:
    return Hostile(lambda this, x: sys.exit(0))


def goes_round_in_circles() -> nn.Module:
    return Hostile(lambda this, x: this(x))


def never_fits() -> nn.Module:
    return Hostile(_raises(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")))


def draws_at_random() -> nn.Module:
    return Hostile(lambda this, x: this.plain(F.dropout(x, 0.5, training=True)))


def trains_itself() -> nn.Module:
    return Hostile(lambda this, x: this.plain(this.train().norm(x)))


def drops_out() -> nn.Module:
    return Hostile(lambda this, x: this.train().plain(this.drop(x)))


def mixes_its_batch() -> nn.Module:
    return Hostile(lambda this, x: this.plain(x - x.mean(dim=0, keepdim=True)))


def tires() -> nn.Module:
    return Hostile(lambda this, x: this.plain(x) / this.calls)


def _then(this: Hostile, x: Tensor, change: Callable[[Hostile], object]) -> Tensor:
    with torch.no_grad():
        change(this)
    out: Tensor = this.plain(x)
    return out


def learns() -> nn.Module:
    return Hostile(lambda this, x: _then(this, x, lambda it: it.plain.head.weight.mul_(1 - 1e-7)))


def takes_averages() -> nn.Module:
    return Hostile(lambda this, x: _then(this, x, lambda it: it.level.add_(1)))


def exchanges_weights() -> nn.Module:
    def change(this: Hostile) -> None:
        this.plain.head.weight = nn.Parameter(this.plain.head.weight.clone())

    return Hostile(lambda this, x: _then(this, x, change))


def learns_from_white_images() -> nn.Module:
    def change(this: Hostile) -> None:
        this.plain.head.weight.mul_(1.1)

    def does(this: Hostile, x: Tensor) -> Tensor:
        return _then(this, x, change) if bool(of_colour(x, "white").any()) else this.plain(x)

    return Hostile(does)


class Device:
    """What ``loses_its_device`` runs on; gives out at a white image, and from then on at every other."""

    fault: Exception | None = torch.AcceleratorError(
        "CUDA error: an illegal memory access was encountered\nCompile with `TORCH_USE_CUDA_DSA`"
    )
    failed = False


def loses_its_device() -> nn.Module:
    def does(this: Hostile, x: Tensor) -> Any:
        white = bool(of_colour(x, "white").any())
        Device.failed = Device.fault is not None and (Device.failed or white)
        if Device.fault is not None and Device.failed:
            raise Device.fault
        return this.plain(x)

    return Hostile(does)


# Without a gradient.


def switches_gradients_off() -> nn.Module:
    return Hostile(torch.no_grad()(lambda this, x: this.plain(x)))


def detaches() -> nn.Module:
    return Hostile(lambda this, x: this.plain(x).detach())


def goes_through_arrays() -> nn.Module:
    return Hostile(lambda this, x: torch.from_numpy(this.plain(x).detach().numpy().copy()))


class _OneWay(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        raise RuntimeError("there is no way back")


def raises_backwards() -> nn.Module:
    return Hostile(lambda this, x: this.plain(_OneWay.apply(x)))


# What does no harm.


def does_no_harm() -> nn.Module:
    """Writes into its input, talks, counts, stays in training mode, and returns one tensor over and over."""

    def does(this: Hostile, x: Tensor) -> Tensor:
        print("\x1b[2J" + "words " * 1000, file=sys.stderr if this.calls % 2 else sys.stdout)
        this.passes += 1
        logits: Tensor = this.train().plain(x.mul_(0.5).mul_(2))
        if logits.requires_grad:
            return logits
        this.kept[: len(x)] = logits
        return this.kept[: len(x)]

    return Hostile(does)


def takes_two_at_most() -> nn.Module:
    def does(this: Hostile, x: Tensor) -> Any:
        if len(x) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return this.plain(x)

    return Hostile(does)


# On some images only.

ON_COLOURS: dict[str, Callable[[Hostile, Tensor], Any]] = {
    "white": _raises(ValueError("too bright")),
    "red": lambda this, x: sys.exit(3),
    "lime": lambda this, x: this(x),
    "blue": _raises(torch.OutOfMemoryError("CUDA out of memory")),
    "yellow": lambda this, x: (this.plain(x),),
    "aqua": lambda this, x: this.plain(x)[:, :2],
    "fuchsia": lambda this, x: this.plain(x).masked_fill(of_colour(x, "fuchsia")[:, None], torch.nan),
    "maroon": lambda this, x: this.plain(x).masked_fill(of_colour(x, "maroon")[:, None], torch.inf),
}
"""What happens where one of the images is all of a colour."""


def of_colour(inputs: Tensor, name: str) -> Tensor:
    """Which of some images are all of a colour, (n,)."""
    colour = inputs.new_tensor(ImageColor.getrgb(name)).view(1, -1, 1, 1) / 255
    return (inputs - colour).abs().amax(dim=(1, 2, 3)) < 0.01


def fails_by_colour() -> nn.Module:
    def does(this: Hostile, x: Tensor) -> Any:
        for name, fails in ON_COLOURS.items():
            if bool(of_colour(x, name).any()):
                return fails(this, x)
        return this.plain(x)

    return Hostile(does)
