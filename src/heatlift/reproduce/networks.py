"""The papers' networks where their weights can be had, and those that stand in for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from heatlift.errors import HeatliftError
from heatlift.reproduce.request import Progress
from heatlift.zoo import load


@dataclass(frozen=True)
class Pair:
    """A network of the paper, and what takes its place where its weights can't be had.

    Attributes:
        printed: as the paper calls it.
        spec: where its published weights come from.
        instead: the network in its place.
    """

    printed: str
    spec: str
    instead: str


@dataclass(frozen=True)
class Used:
    """A network that measurements are made on.

    Attributes:
        printed: the paper's network that it is, or stands for.
        spec: how it is loaded.
        name: what it is called.
        why: what stood in the way of the paper's own; nothing where it is that.
    """

    printed: str
    spec: str
    name: str
    why: str = ""

    @property
    def slug(self) -> str:
        """A part of a run's name."""
        return "".join(c if c.isalnum() else "-" for c in self.spec.rpartition(":")[2]).strip("-").lower()

    @property
    def differs(self) -> tuple[str, ...]:
        """What there is to say of it where it is not the paper's."""
        if not self.why:
            return ()
        return (
            f"Network: {self.name} in place of {self.printed}, whose published weights could not be had "
            f"here ({self.why}). The same command uses them where they can.",
        )

    @property
    def told(self) -> str:
        """Its name, and whose place it has."""
        return f"{self.name} for {self.printed}" if self.why else self.printed


def all_used(pairs: Sequence[Pair], progress: Progress) -> tuple[Used, ...]:
    """A paper's networks, or what stands in for them, in their order; ``progress`` hears of each.

    Raises:
        HeatliftError: one of them can't be had either way.
    """
    found = []
    for place, pair in enumerate(pairs):
        progress(place, len(pairs), f"looking for the weights of {pair.printed}")
        found.append(used(pair))
    return tuple(found)


def used(pair: Pair) -> Used:
    """The paper's network with its published weights, or what stands in for it.

    Raises:
        HeatliftError: neither can be loaded.
    """
    try:
        return Used(pair.printed, pair.spec, load(pair.spec).name)
    except HeatliftError as error:
        return Used(pair.printed, pair.instead, load(pair.instead).name, _reason(error))


def _reason(error: HeatliftError) -> str:
    """What stood in the way, without the advice, which is for another command."""
    return str(error).partition(" (offline?")[0]
