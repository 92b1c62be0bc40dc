"""Peak memory and pace of an audit at two numbers of images: memory must not grow with them.

    python benchmarks/memory.py --small 50 --large 500

Each audit is a process of its own; its peak is what the operating system counted (resident set).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from heatlift.demo import DEGRADATIONS, PHOTOGRAPHS, variants

AUDIT = """
import resource, sys
from heatlift.cli import run
status = run(sys.argv[1:])
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
sys.exit(status)
"""


def write_images(folder: Path, count: int) -> None:
    """Real photographs, as many as asked for, in class folders."""
    made = 0
    while made < count:
        for photograph in PHOTOGRAPHS:
            place = folder / photograph.label
            place.mkdir(parents=True, exist_ok=True)
            for name, picture in variants(photograph):
                if made == count:
                    return
                picture.save(place / f"{made:05d}-{name}.jpg", quality=85)
                made += 1


def measure(images: int, model: str) -> tuple[float, float]:
    """Peak memory in MB and images per second of one audit."""
    with tempfile.TemporaryDirectory() as place:
        data, out = Path(place) / "photographs", Path(place) / "run"
        write_images(data, images)
        command = [sys.executable, "-c", AUDIT, "audit", str(data), "--model", model, "--out", str(out)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peak = next(int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("peak "))
        timing = json.loads((out / "run.json").read_text())["timing"]
        return peak / 1024, timing["images_per_second"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", type=int, default=50)
    parser.add_argument("--large", type=int, default=500)
    parser.add_argument("--model", default="demo")
    options = parser.parse_args()
    print(f"{len(PHOTOGRAPHS)} photographs under {len(DEGRADATIONS)} degradations, repeated; {options.model}")
    peaks = []
    for images in (options.small, options.large):
        peak, pace = measure(images, options.model)
        peaks.append(peak)
        print(f"{images:>6} images: peak {peak:7.0f} MB, {pace:.2f} images per second")
    print(f"ratio of the peaks: {peaks[1] / peaks[0]:.3f}")


if __name__ == "__main__":
    main()
