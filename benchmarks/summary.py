"""Time and memory of summary and report for very many images: the tables are drawn, no network runs.

    python benchmarks/summary.py --images 50000 --methods 7 --classes 1000

Two operations make two pairs of each method. The work is done in a process of its own, whose peak is what the
operating system counted (resident set).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from heatlift.run.tables import SCHEMAS, part_path
from heatlift.temperature import TEMPERATURES

WORK = """
import resource, sys, time
from pathlib import Path
from heatlift.report import write_report
from heatlift.run.summary import write_summary
run, began = Path(sys.argv[1]), time.perf_counter()
write_summary(run)
summarised = time.perf_counter()
report = write_report(run)
done = time.perf_counter()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(summarised - began, done - summarised, peak, report.stat().st_size)
"""


def write_run(run: Path, images: int, methods: int, classes: int) -> None:
    """A finished audit's tables with the last two of the methods as controls; scores are noise."""
    draw = np.random.default_rng(0)
    odds = draw.normal(2, 2, images)
    confidence = 1 / (1 + np.exp(-odds))
    correct = draw.random(images) < confidence
    predicted = draw.integers(0, classes, images)
    label = np.where(correct, predicted, (predicted + 1) % classes)
    names = [f"class{one:04d}/{place:06d}.jpg" for place, one in enumerate(label)]
    cooled = -np.logaddexp(0, -np.abs(odds)[:, None] / np.asarray(TEMPERATURES)).astype(np.float32)
    predictions = {
        "image": names,
        "label": label,
        "predicted": predicted,
        "correct": correct,
        "confidence": confidence,
        "max_logit": odds + draw.normal(size=images),
        "margin": 2 * confidence - 1,
        "entropy": 1 - confidence,
        "energy": -odds,
        "p_label": np.where(correct, confidence, 1 - confidence),
        "log_confidence_at": list(cooled),
        "status": ["ok"] * images,
    }
    _write(run, "predictions", [predictions])
    _write(run, "scores", _scores(names, correct, predicted, methods, draw))
    _write(run, "indicators", [{"image": [], "indicator": [], "value": [], "status": []}])
    record = {"format": 1, "version": "benchmark", "kind": "audit", "status": "finished"}
    (run / "run.json").write_text(json.dumps(record))


def _scores(
    names: list[str], correct: np.ndarray, predicted: np.ndarray, methods: int, draw: np.random.Generator
):
    n = len(names)
    controls = ("zero", "noise")
    for method in (*(f"method{k}" for k in range(methods - len(controls))), *controls):
        for operation in ("add", "multiply"):
            co = np.zeros(n) if (method, operation) == ("zero", "add") else draw.normal(size=n)
            yield {
                "image": names,
                "method": [method] * n,
                "operation": [operation] * n,
                "scale": np.ones(n),
                "control": [method in controls] * n,
                "co_label": np.where(correct | (co == 0), co, co - 1),
                "co_predicted": co,
                "delta_p_label": co / 50,
                "delta_p_predicted": co / 50,
                "predicted_after": predicted,
                "completeness": pa.nulls(n, pa.float64()),
                "status": ["ok"] * n,
            }


def _write(run: Path, table: str, parts) -> None:
    schema = SCHEMAS[table]
    for shard, columns in enumerate(parts):
        arrays = [pa.array(columns[field.name]).cast(field.type) for field in schema]
        path = part_path(run, table, shard)
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_arrays(arrays, schema=schema), path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--methods", type=int, default=7)
    parser.add_argument("--classes", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        run = Path(place)
        write_run(run, options.images, options.methods, options.classes)
        done = subprocess.run(
            [sys.executable, "-c", WORK, str(run)], capture_output=True, text=True, check=True
        )
    summary, report, peak, size = map(float, done.stdout.split())
    print(f"{options.images:,} images x {2 * options.methods} pairs, {options.classes} classes")
    print(f"summary {summary:.0f} s, report {report:.0f} s, together {summary + report:.0f} s")
    print(f"peak {peak / 1024:.0f} MB, report.html {size / 1e6:.2f} MB")


if __name__ == "__main__":
    began = time.perf_counter()
    main()
    print(f"({time.perf_counter() - began:.0f} s with the tables)")
