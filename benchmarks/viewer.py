"""The viewer's pace: filters over very many images, steps of an evolution, and the page in a browser.

    python benchmarks/viewer.py --images 50000 --steps 40 --side 256

The runs are drawn, in parts of 32 images as real ones have them. Filters are compared with reading the needed
columns from the tables, steps with reading them from the run's folder without a server, in the same minutes.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset
import pyarrow.parquet as pq
from PIL import Image
from summary import write_run

from heatlift.run.evolutions import Evolutions, Recorder
from heatlift.run.originals import original_path
from heatlift.run.tables import SCHEMAS, part_path, read_table, write_part

SHARD = 32

FILTERS = (
    [{"column": "correct", "in": ["wrong"]}],
    [{"column": "confidence", "low": 0.3, "high": 0.7}],
    [{"column": "method1/add:co_label", "low": 1}],
    [{"column": "helped", "in": ["method2/multiply"]}],
    [{"column": "name", "contains": "0042"}],
    [{"column": "correct", "in": ["wrong"]}, {"column": "method0/multiply:co_predicted", "high": 0}],
)


def write_audit(run: Path, images: int) -> None:
    """A finished audit of two times seven pairs in many parts, with small pictures."""
    run.mkdir()
    write_run(run, images, methods=7, classes=1000)
    predictions = read_table(run, "predictions")
    scores = read_table(run, "scores")
    pairs = scores.num_rows // images
    for table in ("predictions", "scores", "indicators"):
        shutil.rmtree(run / table)
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (12, 12, 3), np.uint8)
    Image.fromarray(noise).resize((96, 96)).save(file, "WEBP", quality=75)
    order = np.arange(pairs * images).reshape(pairs, images)
    for shard, start in enumerate(range(0, images, SHARD)):
        mine = slice(start, min(images, start + SHARD))
        names = predictions["image"][mine.start : mine.stop].to_pylist()
        parts = {
            "predictions": predictions.slice(mine.start, len(names)),
            "scores": scores.take(pa.array(order[:, mine].ravel())),
        }
        for table, rows in parts.items():
            path = part_path(run, table, shard)
            path.parent.mkdir(exist_ok=True)
            pq.write_table(rows, path, compression="zstd")
        write_part(
            run, "thumbnails", shard, [{"image": name, "thumbnail": file.getvalue()} for name in names]
        )


def write_lift(run: Path, steps: int, side: int) -> None:
    """A finished lift run of one image with an evolution that looks like a real one."""
    draw = np.random.default_rng(1)
    coarse = [Image.fromarray(draw.normal(size=(28, 28)).astype(np.float32)) for _ in range(3)]
    final = np.stack([np.asarray(each.resize((side, side), Image.Resampling.BICUBIC)) for each in coarse])
    final = 0.5 * final / np.abs(final).max() + draw.normal(size=final.shape).astype(np.float32) / 50
    row = {
        "image": "one/image.png", "method": "gax", "label": 0, "target": 0, "operation": "add",
        "steps": steps - 1, "reached": True, "co": 48.0, "p_before": 0.5, "p_after": 1.0,
        "predicted_before": 0, "predicted_after": 0, "status": "ok",
    }  # fmt: skip
    write_part(run, "lift", 0, [row])
    evolution = [
        {"image": row["image"], "step": step, "co": float(step), "p_target": 0.5 + step / steps / 2,
         "top": [0, 1, 2, 3, 4], "p_top": [0.5, 0.2, 0.1, 0.1, 0.1]}
        for step in range(steps)
    ]  # fmt: skip
    write_part(run, "evolutions", 0, evolution)
    recorder = Recorder(1.0)
    for step in range(steps):
        recorder.add(np.tanh(final * (step + 1) / steps), step)
    Evolutions(run).write(row["image"], np.tanh(final), recorder, "gax")
    path = original_path(run, row["image"])
    path.parent.mkdir()
    Image.fromarray(draw.integers(0, 256, (side, side, 3), np.uint8)).save(path)
    record = {"format": 1, "version": "benchmark", "kind": "lift", "status": "finished"}
    (run / "run.json").write_text(json.dumps(record))


@contextmanager
def viewer(*runs: Path) -> Iterator[tuple[str, subprocess.Popen[str], float]]:
    """The command as a user starts it: its address, its process, and when it was started."""
    program = "from heatlift.cli import main; main()"
    command = [sys.executable, "-c", program, "view", *map(str, runs), "--port", "0", "--no-open"]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"http://[^ ]+", process.stdout.readline())
        assert found, "the viewer did not start"
        yield found[0], process, began
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(10)


class Client:
    """Asks over one connection, as a browser does."""

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(address).netloc)

    def get(self, path: str) -> bytes:
        self._connection.request("GET", path)
        answer = self._connection.getresponse()
        content = answer.read()
        assert answer.status == 200, content
        return content


def timed(work, times: int = 1) -> list[float]:
    """Milliseconds of each call."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        found.append((time.perf_counter() - began) * 1e3)
    return found


def loading(client: Client, began: float) -> tuple[float, float]:
    """Seconds until some images are there, and until all are."""
    first = None
    while True:
        (run,) = json.loads(client.get("/api/runs"))["runs"]
        now = time.perf_counter() - began
        first = now if first is None and run["done"] else first
        if run["loading"] is None:
            assert first is not None
            return first, now
        time.sleep(0.02)


def filtering(client: Client, run: Path) -> None:
    """How long filters take, beside reading what they need from the tables."""
    answers = []
    for filters in FILTERS:
        where = "&".join(f"where={quote(json.dumps(one))}" for one in filters)
        path = f"/api/runs/0/images?{where}&sort=confidence&descending=1&limit=120"
        answers += timed(lambda path=path: client.get(path), 5)

    def scanned() -> None:
        tables = pyarrow.dataset.dataset(run / "predictions", schema=SCHEMAS["predictions"])
        tables.to_table(["image"], filter=pc.field("confidence") > 0.5)

    scan = statistics.median(timed(scanned, 3))
    print(
        f"filter, order and first 120 images: median {statistics.median(answers):.0f} ms, "
        f"slowest {max(answers):.0f} ms; reading one column for it {scan:.0f} ms, "
        f"{scan / statistics.median(answers):.0f} times as long"
    )
    bins = timed(lambda: client.get("/api/runs/0/distribution?column=method1/add:co_label"), 5)
    print(f"distribution of a score: median {statistics.median(bins):.0f} ms")


def stepping(client: Client, run: Path, steps: int) -> None:
    """How long a step takes to be served, beside reading it."""
    address = "/api/runs/0/images/0.0/layers/0/frames/{}"
    order = np.random.default_rng(2).permutation(steps).tolist()
    served, read = [], []
    kept = Evolutions(run)
    for step in order:
        served += timed(lambda step=step: client.get(address.format(step)))
        read += timed(lambda step=step: kept.frame("one/image.png", step))
    print(
        f"a step of {steps}: median {statistics.median(served):.1f} ms, slowest {max(served):.1f} ms; "
        f"reading it without a server {statistics.median(read):.1f} ms, "
        f"ratio {statistics.median(served) / statistics.median(read):.2f}"
    )


def browsing(address: str, image: str | None) -> None:
    """How long the page takes in a real browser, where there is one."""
    chromium = shutil.which("chromium")
    if chromium is None:
        print("no chromium: the page was not timed")
        return
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox", "--disable-background-networking", "--disable-gpu"]
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=arguments)
        times: list[float] = []
        for _ in range(5):
            page = browser.new_page()
            times += timed(lambda page=page: _opened(page, address, image))
            page.close()
        browser.close()
    what = "an image with its slider" if image else "the grid with its pictures"
    print(f"{what} in the browser: median {statistics.median(times):.0f} ms, first {times[0]:.0f} ms")


def _opened(page, address: str, image: str | None) -> None:
    page.goto(address + (image or ""))
    if image is None:
        page.wait_for_function(
            "() => { const all = [...document.querySelectorAll('a.tile img')];"
            " return all.length > 5 && all.slice(0, 6).every(one => one.complete && one.naturalWidth) }"
        )
    else:
        page.wait_for_selector("canvas")
        page.wait_for_function("() => document.querySelector('input[type=range]')")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--side", type=int, default=256)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        audit, lift = Path(place) / "audit", Path(place) / "lift"
        write_audit(audit, options.images)
        write_lift(lift, options.steps, options.side)
        print(f"an audit of {options.images:,} images x 14 pairs in {-(-options.images // SHARD):,} parts")
        with viewer(audit) as (address, process, began):
            print(f"address after {time.perf_counter() - began:.2f} s")
            client = Client(address)
            first, last = loading(client, began)
            print(f"first images after {first:.2f} s, all after {last:.2f} s")
            filtering(client, audit)
            browsing(address, None)
            print(f"memory {_resident(process.pid):.0f} MB")
        print(f"an evolution of {options.steps} steps at {options.side} x {options.side}")
        with viewer(lift) as (address, _, began):
            client = Client(address)
            loading(client, began)
            stepping(client, lift, options.steps)
            browsing(address, _link(0, "0.0"))


def _link(run: int, image: str) -> str:
    return f"#run={run}&tab=images&image={image}"


def _resident(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else float("nan")


if __name__ == "__main__":
    main()
