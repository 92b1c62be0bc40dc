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
    """Audit an ImageNet classifier on real photographs, lift a few, and explain two of its answers.

    The photographs are spoilt in everyday ways. Takes a few minutes.

    Nothing is downloaded: the network is EfficientNet-Lite0 from PyPI, the photographs come with
    scikit-image, scikit-learn and matplotlib.

    Example: heatlift demo --out /tmp/tour
    """
    from heatlift.cli.audit import run_and_report
    from heatlift.demo import NETWORK, NOTE, write_photographs
    from heatlift.run.plan import configured

    photographs = out / "photographs"
    count = write_photographs(photographs)
    print(f"{count} photographs, each in the folder of its class: {photographs}")
    print(NOTE)
    print("\nDo heatmaps say when it is wrong?")
    status = run_and_report(configured(data=str(photographs), model=NETWORK), out / "audit")
    if not status:
        print("\nWhat would make it right, and would another network agree?")
        status = lifted(photographs, out / "lift")
    if not status:
        print("\nWhat does it see in one image?")
        explained(photographs, out)
        print(f"\nreports: {out / 'audit' / 'report.html'}, {out / 'lift' / 'report.html'}")
        print(f"image by image: heatlift view {out / 'audit'} {out / 'lift'}")
    return status


def lifted(photographs: Path, out: Path) -> int:
    """Lift a few photographs that are predicted wrongly to their label, asking a second network."""
    from heatlift.cli.optimising import run_and_report
    from heatlift.demo import NETWORK, SECOND
    from heatlift.run.lift import lift_configured, prepare_lift, run_lift

    config = lift_configured(
        data=str(photographs),
        model=NETWORK,
        method="spotlight",
        include="wrong",
        verify_on=SECOND,
        limit=24,
    )
    return run_and_report(config, prepare_lift, run_lift, out, "tried")


def explained(photographs: Path, out: Path) -> None:
    """Explain a photograph that the audit's network gets wrong, and one of the same scene it gets right."""
    from heatlift.demo import NETWORK
    from heatlift.explaining import explain
    from heatlift.reading import read
    from heatlift.zoo import load

    rows = [row for row in read(out / "audit").predictions.to_pylist() if row["correct"] is not None]
    wrong = next((row for row in rows if not row["correct"]), None)
    right = [row for row in rows if row["correct"]]
    same = [row for row in right if wrong is not None and scene(row["image"]) == scene(wrong["image"])]
    chosen = {"wrong": wrong, "right": next(iter([*same, *right]), None)}
    classifier = load(NETWORK)
    for word, row in chosen.items():
        if row is not None:
            found = explain(classifier, photographs / row["image"], row["label"], fast=True)
            picture = found.save(out / f"explained-{word}.png")
            print(f"\n{found.summary()}\n\npicture of one that is {word}: {picture}")


def scene(image: str) -> str:
    """Which photograph a variant was made from."""
    return Path(image).name.partition("-")[0]
