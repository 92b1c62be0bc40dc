"""Long runs: does anything grow, and what do more workers bring?

    python benchmarks/soak.py soak --images 5000
    python benchmarks/soak.py memory --small 200 --large 2000
    python benchmarks/soak.py throughput --images 256

``soak`` audits many small images of which one in fifty is bad, and looks at its process all the time;
``memory`` compares peak memory (VmHWM) at two numbers of images, by command and engine; ``throughput``
compares two workers of one thread each with one. Every run is the command line in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from memory import write_images
from PIL import Image

TESTS = Path(__file__).resolve().parents[1] / "tests"
CALL = "from heatlift.cli import main; main()"

COMMANDS: Mapping[str, Sequence[str]] = {
    "audit": ("--methods", "saliency", "--controls", "zero,shuffled"),
    "lift": ("--include", "all", "--max-steps", "4"),
    "undesirable": ("--steps", "3"),
}

ENGINES: Mapping[str, Sequence[str]] = {"local": (), "dask": ("--engine", "dask", "--workers", "2")}

EVERY = 50
"""Of so many images one is bad."""


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def wrong(path: Path) -> None:
    path.write_text("no picture")


def bomb(path: Path) -> None:
    Image.new("1", (30_000, 30_000)).save(path, "PNG")


def gone(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def looping(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


BAD: Sequence[Callable[[Path], object]] = (
    torn,
    wrong,
    bomb,
    gone,
    looping,
    pipe,
    flipped,
    lambda path: path.write_bytes(b""),
)


def small_images(place: Path, count: int, bad: bool) -> Path:
    """Smooth random pictures in class folders; where ``bad``, one in fifty can't be read."""
    draw = np.random.default_rng(0)
    for i in range(count):
        path = place / ("ant", "bee", "cow")[i % 3] / f"{i:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(draw.integers(0, 256, (5, 5, 3), dtype=np.uint8))
        coarse.resize((40, 40), Image.Resampling.BICUBIC).save(path)
        if bad and i % EVERY == EVERY // 2:
            BAD[i // EVERY % len(BAD)](path)
    return place


def begun(command: str, data: Path, out: Path, *options: str) -> subprocess.Popen[str]:
    """``heatlift COMMAND`` on one thread in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", CALL, command, str(data), "--out", str(out), *options],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> None:
    output, _ = process.communicate()
    if process.returncode != 0:
        sys.exit(f"a run ended with status {process.returncode}:\n{output}")


def status(process: int) -> dict[str, int]:
    """Of a process: memory and its peak in kB, threads, open files; nothing if it is gone."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
        files = len(os.listdir(f"/proc/{process}/fd"))
    except OSError:
        return {}
    found = {name: int(line.split()[1]) for line in lines if (name := line.split(":")[0]) in WATCHED}
    return found | {"files": files}


WATCHED = ("VmRSS", "VmHWM", "Threads")


def children(process: int) -> list[int]:
    """The processes that it has started, and these, and so on."""
    try:
        found = [int(n) for n in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
        for thread in Path(f"/proc/{process}/task").iterdir():
            found += [int(n) for n in (thread / "children").read_text().split()]
    except OSError:
        return []
    return sorted({one for child in found for one in (child, *children(child))})


def soak(images: int) -> bool:
    with tempfile.TemporaryDirectory() as temporary:
        data, out = small_images(Path(temporary) / "data", images, True), Path(temporary) / "run"
        process = begun("audit", data, out, "--model", "networks:small", *COMMANDS["audit"])
        samples: list[tuple[int, dict[str, int]]] = []
        while process.poll() is None:
            done = len(list((out / "scores").glob("part-*")))
            found = status(process.pid)
            # While images are gone through: loading before and the summary after are not the same again.
            if found and 0 < done < images // 32:
                samples.append((done, found))
            time.sleep(0.02)
        ended(process)
        rows = pq.read_table(out / "predictions", columns=["image", "status"]).to_pylist()
        there = {row["image"] for row in rows}
        failed = sum(row["status"] != "ok" for row in rows)
    bad = -(-(images - EVERY // 2) // EVERY)
    print(f"{len(rows)} rows, {len(there)} images; {failed} failed, of {bad} bad ones")
    good = len(rows) == len(there) == images and failed >= bad * 0.8
    middle = images // 64
    for name in ("VmRSS", "Threads", "files"):
        first, last = (
            [found[name] for done, found in samples if (done >= middle) == second] for second in (False, True)
        )
        growth = np.mean(last[len(last) // 2 :]) / np.mean(last[: len(last) // 2]) - 1
        print(
            f"{name}: first half {min(first)} to {max(first)}, second {min(last)} to {max(last)}, "
            f"within the second {growth:+.2%} ({len(samples)} looks)"
        )
        # Threads that decode come and go.
        good &= growth < 0.01 if name == "VmRSS" else max(last) <= max(first)
    return good


def peaks(command: str, engine: str, images: int) -> tuple[float, float]:
    """Peak memory in MB of the process that hands out, and the largest of its workers' (0 without)."""
    with tempfile.TemporaryDirectory() as temporary:
        data = small_images(Path(temporary) / "data", images, False)
        options = ("--model", "networks:small", *COMMANDS[command], *ENGINES[engine])
        process = begun(command, data, Path(temporary) / "run", *options)
        highest: dict[int, int] = {}
        while process.poll() is None:
            for one in (process.pid, *children(process.pid)):
                highest[one] = max(highest.get(one, 0), status(one).get("VmHWM", 0))
            time.sleep(0.05)
        ended(process)
    others = [peak for one, peak in highest.items() if one != process.pid]
    return highest[process.pid] / 1024, max(others, default=0) / 1024


def memory(small: int, large: int, commands: Sequence[str]) -> bool:
    good = True
    for command in commands:
        for engine in ENGINES:
            few, many = (peaks(command, engine, images) for images in (small, large))
            for who, before, after in zip(("hands out", "worker"), few, many, strict=True):
                if before:
                    ratio = after / before
                    good &= ratio <= 1.05
                    print(
                        f"{command:12}{engine:6}{who:10}{before:6.0f} MB {after:6.0f} MB, ratio {ratio:.3f}"
                    )
                    sys.stdout.flush()
    return good


def throughput(images: int, model: str) -> bool:
    pace: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as temporary:
        data = Path(temporary) / "photographs"
        write_images(data, images)
        for workers in (1, 2):
            out = Path(temporary) / f"by {workers}"
            options = (
                "--engine",
                "dask",
                "--workers",
                str(workers),
                "--methods",
                "saliency,input_x_gradient",
            )
            ended(begun("audit", data, out, "--model", model, *options))
            pace[workers] = json.loads((out / "run.json").read_text())["timing"]["images_per_second"]
            print(f"{workers} of one thread each: {pace[workers]:.2f} images per second")
    print(f"ratio {pace[2] / pace[1]:.2f}")
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    what = parser.add_subparsers(dest="what", required=True)
    what.add_parser("soak").add_argument("--images", type=int, default=5000)
    compared = what.add_parser("memory")
    compared.add_argument("--small", type=int, default=200)
    compared.add_argument("--large", type=int, default=2000)
    compared.add_argument("--commands", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    paced = what.add_parser("throughput")
    paced.add_argument("--images", type=int, default=256)
    paced.add_argument("--model", default="demo")
    options = vars(parser.parse_args())
    chosen: dict[str, Callable[..., bool]] = {"soak": soak, "memory": memory, "throughput": throughput}
    sys.exit(0 if chosen[options.pop("what")](**options) else 1)


if __name__ == "__main__":
    main()
