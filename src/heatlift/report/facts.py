"""The line of facts below a page's verdict, and the names that the page gives to a run's parts."""

from __future__ import annotations

from heatlift.report.settings import Entry
from heatlift.report.summary import Finished, Known
from heatlift.report.wording import bounds_text, value_text
from heatlift.wording import shorten


def fact(term: str, figure: Known | None, decimals: int | None = None) -> Entry | None:
    """A figure with its interval; None where it is not known."""
    if figure is None:
        return None
    return Entry(term, value_text(figure, decimals), bounds_text(figure, decimals))


def change(term: str, first: Known | None, last: Known | None) -> Entry | None:
    """A probability before and after, with the interval of the second; None where either is not known."""
    if first is None or last is None:
        return None
    return Entry(term, f"{value_text(first, 2)} → {value_text(last, 2)}", bounds_text(last, 2))


def second_network(run: Finished) -> str:
    """The name of the network that took no part."""
    verify = run.section("verify")
    return shorten(verify.get("name") or verify.get("spec") or "the second network", 40)
