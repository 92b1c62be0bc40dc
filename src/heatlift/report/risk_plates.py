"""Selective risk over coverage: how many errors are left when the least sure images are set aside."""

from __future__ import annotations

from collections.abc import Sequence

from heatlift.report.findings import enough, name_of
from heatlift.report.plate import Plate, RiskLine, Risks, Role
from heatlift.report.records import MethodSummary
from heatlift.report.summary import Audit
from heatlift.report.wording import count, listing
from heatlift.wording import clean

CONFIDENCE, BEST = "confidence", "best possible"


def risk_plate(audit: Audit) -> Plate | None:
    """Confidence, the best heatmap, indicator and control, and the best possible ranking."""
    lines: list[tuple[str, str, Role]] = [(CONFIDENCE, CONFIDENCE, "all")]
    for methods, role, aside in (
        ([m for m in audit.shown if not m.control], "ink", ""),
        ([m for m in audit.shown if m.control], "control", " (control)"),
    ):
        best = _lowest(audit, [name_of(m) for m in methods])
        if best is not None:
            lines.append((best, f"{best}{aside}", "ink" if role == "ink" else "control"))
    indicator = _lowest(audit, [one.name for one in audit.indicators])
    if indicator is not None:
        lines.insert(2, (indicator, indicator, "hollow"))
    lines.append((BEST, BEST, "bound"))
    scored = [name_of(m) for m in audit.shown] + [one.name for one in audit.indicators]
    left = [name for name in scored if name in audit.risk and not _covers(audit, name)]
    aside = f" {count(len(left), 'score')} that failed at some images left out." if left else ""
    return _plate(
        audit,
        "risk",
        lines,
        f"The heatmap, indicator and control shown are those with the lowest curve.{aside}",
    )


def side_risk(audit: Audit, method: MethodSummary, identity: str) -> Plate | None:
    """One heatmap's curve beside that of confidence."""
    role: Role = "control" if method.control else "ink"
    name = name_of(method)
    fewer = (
        f"{clean(name)}: n = {audit.covered[name]:,} images, the others:" if not _covers(audit, name) else ""
    )
    return _plate(
        audit,
        f"{identity}-risk",
        [(CONFIDENCE, CONFIDENCE, "all"), (name, name, role), (BEST, BEST, "bound")],
        fewer,
    )


def _plate(
    audit: Audit, identity: str, lines: Sequence[tuple[str, str, Role]], which: str = ""
) -> Plate | None:
    drawn = [
        RiskLine(clean(name), role, audit.risk[key])
        for key, name, role in lines
        if any(risk is not None for risk in audit.risk.get(key, ()))
    ]
    if len(drawn) < 2 or not audit.count("wrong"):
        return None
    everything = drawn[0].risk[-1]
    return Plate(
        identity,
        _title(audit, drawn),
        "Images are set aside from the least sure one on; the curve is the share of wrong images among "
        f"those kept. The lower, the better the ranking. No score with the label is among them. {which} "
        f"n = {audit.count('correct'):,} correct, {audit.count('wrong'):,} wrong.".replace("  ", " "),
        "; ".join(
            f"{line.name}: {_mean(line.risk):.1%} wrong on average over the coverages" for line in drawn
        ),
        Risks(audit.coverage, tuple(drawn), everything),
    )


def _title(audit: Audit, lines: Sequence[RiskLine]) -> str:
    if not enough(audit):
        return f"Errors left among the images kept ({audit.count('wrong'):,} wrong in all)"
    ranked = [line for line in lines if line.role != "bound"]
    told = listing(f"{_mean(line.risk):.1%} by {line.name}" for line in ranked)
    return f"Wrong among the images kept, averaged over how many are kept: {told}"


def _mean(risks: Sequence[float | None]) -> float:
    """The area under the curve: at a single share, curves may meet that lie far apart elsewhere."""
    known = [risk for risk in risks if risk is not None]
    return sum(known) / len(known) if known else float("inf")


def _lowest(audit: Audit, names: Sequence[str]) -> str | None:
    """The name with the lowest mean risk, of those that rank as many images as confidence does."""
    known = (name for name in names if name in audit.risk and _covers(audit, name))
    return min(known, key=lambda name: _mean(audit.risk[name]), default=None)


def _covers(audit: Audit, name: str) -> bool:
    """Fewer images may be easier ones; where a summary has no numbers, all count as covering all."""
    return audit.covered.get(name, 0) >= audit.covered.get(CONFIDENCE, 0) or name not in audit.covered
