"""A network is lent to us: it is given back as it was found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def untouched(network: nn.Module) -> Iterator[None]:
    """Eval mode and no parameter gradients inside; whatever was set before is restored afterwards."""
    training = [module for module in network.modules() if module.training]
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for module in training:
        module.training = False
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for module in training:
            module.training = True
        for parameter in learning:
            parameter.requires_grad_(True)


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
