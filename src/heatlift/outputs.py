"""What networks return, read as logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from heatlift.errors import NetworkFailed


def tensor_in(output: Any, name: str) -> Tensor:
    """The tensor in whatever a network returned: itself, or its ``logits``.

    Raises:
        NetworkFailed: there is none, or one that is no floating-point tensor in memory.
    """
    if isinstance(output, dict):
        output = output.get("logits")
    elif not isinstance(output, Tensor):
        output = getattr(output, "logits", output)
    if not isinstance(output, Tensor):
        raise NetworkFailed(f"{name} returned {type(output).__name__}: expected logits of shape (n, classes)")
    if not output.is_floating_point() or output.is_meta or output.layout is not torch.strided:
        kind = f"{output.dtype} on {output.device}, {output.layout}"
        raise NetworkFailed(f"{name} returned a tensor of {kind}: expected floating-point logits")
    return output


def logits_in(output: Any, n: int, name: str, single: bool, num_classes: int) -> Tensor:
    """Logits (n, C) of n images from whatever a network returned.

    Args:
        output: what it returned.
        n: for how many images.
        name: what messages call the network.
        single: whether it has one output, the logit z of a sigmoid, which is read as the logits (0, z).
        num_classes: C; 0 before the first pass, which says it.

    Raises:
        NetworkFailed: it returned something else.
    """
    found = tensor_in(output, name)
    if single and found.numel() == n:
        z = found.reshape(n)
        return torch.stack([torch.zeros_like(z), z], dim=1)
    # A network that squeezes its output gives one image's logits without the first dimension.
    found = found.unsqueeze(0) if n == 1 and found.ndim == 1 else found
    known = num_classes or found.shape[-1:].numel()
    if single or found.ndim != 2 or len(found) != n or found.shape[1] != known or not known:
        classes = 1 if single else num_classes or "classes"
        raise NetworkFailed(
            f"{name} returned shape {tuple(found.shape)} for {n} images: expected (n, {classes})"
        )
    return found


def ends_with_sigmoid(output: Tensor) -> bool:
    """Whether a sigmoid is the last thing that happened to an output, reshaping aside."""
    node = output.grad_fn
    while node is not None and node.name().startswith(("View", "Squeeze", "Reshape", "UnsafeView", "Select")):
        node = node.next_functions[0][0]
    return node is not None and node.name().startswith("Sigmoid")
