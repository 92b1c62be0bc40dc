"""A network is lent to us: it is given back as it was found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from heatlift.errors import NetworkChanged


@contextmanager
def untouched(network: nn.Module) -> Iterator[None]:
    """Eval mode and no parameter gradients inside; whatever was set before is restored afterwards."""
    modes = [(module, module.training) for module in network.modules()]
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for module, _ in modes:
        module.training = False
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for module, training in modes:  # all of them, as a network may set its own mode when it runs
            module.training = training
        for parameter in learning:
            parameter.requires_grad_(True)


@contextmanager
def unchanged(network: nn.Module) -> Iterator[None]:
    """Watches that a network does not write into its own weights inside.

    Counted as weights are parameters and those buffers that are saved with them, whole numbers aside,
    such as a count of passes.

    Raises:
        NetworkChanged: it did.
    """
    before = _versions(network)
    try:
        yield
    finally:
        after = _versions(network)
        if after != before:
            name = next(name for name in {**before, **after} if before.get(name) != after.get(name))
            raise NetworkChanged(
                f"the network changes its own weights when it runs ({name}): leave that out in eval mode, or "
                "keep what changes in a buffer with persistent=False"
            )


def _versions(network: nn.Module) -> dict[str, tuple[int, int]]:
    """Which tensors the weights are, and how often torch has seen each written to."""
    return {
        f"{prefix}.{name}".lstrip("."): (id(tensor), 0 if tensor.is_inference() else tensor._version)
        for prefix, module in network.named_modules()
        for name, tensor in (*module._parameters.items(), *module._buffers.items())
        if tensor is not None
        and tensor.is_floating_point()
        and name not in module._non_persistent_buffers_set
    }


HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


@contextmanager
def hooks_restored(network: nn.Module) -> Iterator[None]:
    """Hooks and attributes that foreign code hangs on the network's modules inside are gone afterwards."""
    before = [
        (module, {name: dict(getattr(module, name)) for name in HOOKS}, set(vars(module)))
        for module in network.modules()
    ]
    try:
        yield
    finally:
        for module, hooks, attributes in before:
            for name, own in hooks.items():
                registered = getattr(module, name)
                registered.clear()
                registered.update(own)
            for name in set(vars(module)) - attributes:
                delattr(module, name)
