"""In which arithmetic a network runs: float32, or bfloat16 where that is wanted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from heatlift.errors import HeatliftError

Precision: TypeAlias = Literal["auto", "fp32", "bf16"]


def resolved(precision: Precision, network: nn.Module, device: torch.device) -> Literal["fp32", "bf16"]:
    """What a choice means on a device: ``auto`` is bf16 where the hardware multiplies matrices in it.

    Raises:
        HeatliftError: an unknown choice, or bf16 for a network that is not in float32.
    """
    if precision not in ("auto", "fp32", "bf16"):
        raise HeatliftError(f"unknown precision '{precision}': choose auto, fp32 or bf16")
    others = {p.dtype for p in network.parameters() if p.is_floating_point()} - {torch.float32}
    if precision == "bf16" and others:
        raise HeatliftError(f"precision bf16 is for networks in float32, not {others.pop()}: choose fp32")
    if precision == "auto":
        return "bf16" if not others and _has_matrix_units(device) else "fp32"
    return precision


@contextmanager
def reduced(device: torch.device, head: nn.Module | None) -> Iterator[None]:
    """The network's convolutions and matrix products run in bfloat16 inside, its last layer in float32.

    A last layer in bfloat16 would round the logits to 8 bits, and score differences with them.
    """

    def leave(module: nn.Module, args: Any) -> Any:
        torch.set_autocast_enabled(device.type, False)
        return tuple(a.float() if isinstance(a, Tensor) and a.is_floating_point() else a for a in args)

    def enter(module: nn.Module, args: Any, output: Any) -> None:
        torch.set_autocast_enabled(device.type, True)

    with ExitStack() as stack:
        # Without the cache of cast weights: it would outlive a change of the weights within the block.
        stack.enter_context(torch.autocast(device.type, torch.bfloat16, cache_enabled=False))
        if head is not None:
            stack.enter_context(head.register_forward_pre_hook(leave))
            stack.enter_context(head.register_forward_hook(enter, always_call=True))
        yield


def last_layer(network: nn.Module, inputs: Tensor) -> nn.Module | None:
    """The linear layer or convolution whose output is the network's own, if there is one."""
    made: dict[int, tuple[nn.Module, Tensor]] = {}

    def keep(module: nn.Module, args: Any, output: Any) -> None:
        made[id(output)] = (module, output)

    layers = [m for m in network.modules() if isinstance(m, (nn.Linear, nn.Conv2d))]
    with ExitStack() as stack, torch.no_grad():
        for layer in layers:
            stack.enter_context(layer.register_forward_hook(keep))
        output = network(inputs)
    if isinstance(output, dict):
        output = output.get("logits")
    output = getattr(output, "logits", output)
    return made[id(output)][0] if id(output) in made else None


def _has_matrix_units(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu" or not hasattr(torch.cpu, "get_capabilities"):
        return False
    return bool(torch.cpu.get_capabilities().get("amx_bf16", False))
