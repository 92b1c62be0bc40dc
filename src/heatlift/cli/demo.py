"""``heatlift demo``: the whole tour on photographs and a network that need no download."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Where photographs and results go.")
    ] = Path("heatlift-demo"),
) -> int:
    """Audit an ImageNet classifier on real photographs, spoilt in everyday ways; takes a few minutes.

    Nothing is downloaded: the network is EfficientNet-Lite0 from PyPI, the photographs come with
    scikit-image, scikit-learn and matplotlib.

    Example: heatlift demo --out /tmp/tour
    """
    from heatlift.cli.audit import run_and_report
    from heatlift.demo import PHOTOGRAPHS, write_photographs
    from heatlift.run.plan import configured

    photographs = out / "photographs"
    count = write_photographs(photographs)
    print(f"{count} photographs, each in the folder of its class: {photographs}")
    print(
        f"made from {len(PHOTOGRAPHS)}, so they are not independent, and the report's intervals are too "
        "narrow: this shows the tool, it is no finding"
    )
    return run_and_report(configured(data=str(photographs), model="demo"), out / "audit")
