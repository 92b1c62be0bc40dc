"""Which layers stand for the stages of a network, so that a method can be tried at each of them."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from heatlift.feature_maps import FeatureMap, first_map

Size = tuple[int, int]

FEW = 3
"""Maps of fewer sizes than this do not tell the parts of a network apart, as in most transformers."""

MOST = 12
"""The most blocks of a sequence that stand for its stages."""

PASSING = (nn.Identity, nn.Dropout, nn.AdaptiveAvgPool2d)
"""Modules that give on what came before them."""


def stages(maps: Mapping[str, FeatureMap], network: nn.Module) -> list[str]:
    """Layers from the first convolution to the end, one for each stage, in the order they run.

    For every size of map the last module that has it and can be explained. A module within a block that
    leads from this size to another (a bottleneck's convolutions before its stride) belongs to the stage
    that follows. Where there are fewer than three sizes, the outputs of the longest sequence of blocks
    instead, at most 12 of them, evenly chosen.

    Args:
        maps: the network's feature maps, in the order they run.
        network: whose modules they are of.
    """
    modules = dict(network.named_modules())
    usable = {n: m for n, m in maps.items() if m.reason is None and not _passes_on(modules[n])}
    ends = _last_of_each_size(usable, maps)
    if len(ends) < FEW:
        ends = _spread(_blocks(usable, modules)) or ends
    chosen = {first_map(dict(maps), network), *ends}
    return [name for name in maps if name in chosen]


def _last_of_each_size(usable: Mapping[str, FeatureMap], maps: Mapping[str, FeatureMap]) -> list[str]:
    within: dict[str, set[Size]] = {}
    for name, fmap in maps.items():
        for outer in (name, *_outer(name)):
            within.setdefault(outer, set()).add(_size(fmap))
    last: dict[Size, str] = {}
    settled: set[Size] = set()
    for name, fmap in usable.items():
        size = _size(fmap)
        leads_on = any(
            outer in maps and _size(maps[outer]) != size and len(within[outer]) == 2 for outer in _outer(name)
        )
        if leads_on and size in settled:
            continue
        last[size] = name
        if not leads_on:
            settled.add(size)
    return list(last.values())


def _blocks(usable: Mapping[str, FeatureMap], modules: Mapping[str, nn.Module]) -> list[str]:
    """The longest sequence of modules that have parts of their own."""
    sequences: dict[str, list[str]] = {}
    for name in usable:
        parent = name.rpartition(".")[0]
        if isinstance(modules[parent], (nn.Sequential, nn.ModuleList)) and any(modules[name].children()):
            sequences.setdefault(parent, []).append(name)
    return max(sequences.values(), key=len, default=[])


def _spread(names: list[str]) -> list[str]:
    """At most `MOST` of them, the first and the last among these."""
    if len(names) <= MOST:
        return names
    return [names[round(i * (len(names) - 1) / (MOST - 1))] for i in range(MOST)]


def _passes_on(module: nn.Module) -> bool:
    # By name as well: several libraries have a module that permutes.
    return isinstance(module, PASSING) or type(module).__name__ == "Permute"


def _outer(name: str) -> list[str]:
    """The names of the modules around one."""
    parts = name.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts))]


def _size(fmap: FeatureMap) -> Size:
    return fmap.height, fmap.width
