"""What mutated files do to the readers of images, manifests and weights.

    python benchmarks/fuzz.py images --files 50000 --seed 0
    python benchmarks/fuzz.py manifests --files 5000
    python benchmarks/fuzz.py weights --files 5000

Valid files of every kind are mutated (bits, lengths that lie, splices, cuts) and read in a child process with
a limit of memory and of seconds a file. Counted is what became of them; a crash, a hang, an exception that is
none of ours, or code that ran is a finding: its bytes are kept in ``--findings``, and the exit status is 1.
File number i depends on the seed and i alone.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import re
import resource
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeAlias

import fuzz_seeds
from fuzz_mutations import mutated

SECONDS = 10
"""In which a file must be through."""

MEMORY = 3 * 2**30
"""Bytes of address space beyond what the child has once everything is imported."""

Reader: TypeAlias = Callable[[Path], str]
"""Reads a file and says what became of it."""


def read_image(path: Path) -> str:
    """What became of an image: ``decoded``, or why not."""
    from heatlift.images import UnreadableImage, decode
    from heatlift.types import Framing

    try:
        found = decode(path, Framing(16, (12, 14)))
    except UnreadableImage as error:
        return str(error)
    assert found.shape == (3, 12, 14)
    return "decoded"


def read_manifest(path: Path) -> str:
    """What became of a manifest: ``read``, or why not, without the particulars."""
    from heatlift.data import find_images
    from heatlift.errors import HeatliftError

    try:
        found = find_images(path, 3, ["cat", "dog", "owl"])
    except HeatliftError as error:
        return _brief(str(error), path)
    names = [item.name for item in found.items]
    assert names
    assert len(set(names)) == len(names)
    assert all(item.label in (None, 0, 1, 2) for item in found.items)
    return "read"


def read_weights(path: Path) -> str:
    """What became of a weight file: ``read``, or why not, without the particulars."""
    import torch

    from heatlift.errors import HeatliftError
    from heatlift.weights import load_weights

    try:
        load_weights(torch.nn.Linear(5, 7), path)
    except HeatliftError as error:
        return _brief(str(error), path)
    return "read"


def _brief(text: str, path: Path) -> str:
    assert "\n" not in text
    assert len(text) < 2000, f"a line of {len(text)} characters"
    text = text.replace(str(path), "FILE")
    return re.sub(r"(as Parquet|has no column|of a state_dict).*", r"\1 ...", re.sub(r"'.*'|\d+", "#", text))[
        :70
    ]


READERS: dict[str, Reader] = {
    "images": read_image,
    "manifests": read_manifest,
    "weights": read_weights,
}


def file_at(kind: str, seeds: list[tuple[str, bytes]], seed: int, number: int) -> tuple[str, bytes]:
    """The ending and the content of a file by its number."""
    chance = random.Random(f"{kind} {seed} {number}")
    suffix, content = seeds[number % len(seeds)]
    return suffix, mutated(content, chance.choice(seeds)[1], chance)


def child(pipe: Connection, kind: str, read: Reader, folder: Path, seed: int, numbers: range) -> None:
    """Read files by number; says of each that it begins, and then what became of it."""
    warnings.simplefilter("ignore")
    seeds = fuzz_seeds.made(kind, folder / "ran")
    suffix, content = seeds[0]
    (folder / f"first{suffix}").write_bytes(content)
    read(folder / f"first{suffix}")  # imports what it needs
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, now + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number in numbers:
        suffix, content = file_at(kind, seeds, seed, number)
        path = folder / f"x{suffix}"
        path.write_bytes(content)
        pipe.send(None)
        try:
            outcome, finding = read(path), False
        except BaseException as error:
            outcome, finding = f"{type(error).__name__}: {str(error)[:200]}", True
        if (folder / "ran").exists():
            (folder / "ran").unlink()
            outcome, finding = "code in the file ran", True
        pipe.send((outcome, finding))


def run(
    kind: str,
    files: int,
    seed: int,
    findings: Path | None = None,
    read: Reader | None = None,
    seconds: float = SECONDS,
) -> tuple[Counter[str], Counter[str]]:
    """Outcomes and findings by how often they came; the files of findings are kept in a folder."""
    outcomes: Counter[str] = Counter()
    found: Counter[str] = Counter()
    context = multiprocessing.get_context("spawn")
    number = 0
    with tempfile.TemporaryDirectory() as scratch:
        while number < files:
            here, there = context.Pipe()
            arguments = (there, kind, read or READERS[kind], Path(scratch), seed, range(number, files))
            process = context.Process(target=child, args=arguments, daemon=True)
            process.start()
            there.close()
            number, what = _watched(here, process, number, files, seconds, outcomes)
            if what is None:
                continue
            found[what] += 1
            print(f"{kind} {number}: {what}", file=sys.stderr)
            if findings is not None:
                findings.mkdir(parents=True, exist_ok=True)
                suffix, content = file_at(kind, fuzz_seeds.made(kind, Path(scratch) / "ran"), seed, number)
                (findings / f"{kind}-{seed}-{number}{suffix}").write_bytes(content)
            number += 1
    return outcomes, found


def _watched(
    pipe: Connection,
    process: multiprocessing.process.BaseProcess,
    number: int,
    files: int,
    seconds: float,
    outcomes: Counter[str],
) -> tuple[int, str | None]:
    """How far a child came, and the finding that it came to, if any."""
    begun = False
    while number < files:
        # The first one waits for the imports.
        if not pipe.poll(seconds if begun else 120):
            process.kill()
            process.join()
            return number, f"took more than {seconds} s"
        try:
            said = pipe.recv()
        except EOFError:
            process.join()
            return number, f"ended its process with {process.exitcode}"
        begun = said is None
        if said is not None:
            outcome, finding = said
            if finding:
                process.kill()
                process.join()
                return number, str(outcome)
            outcomes[outcome] += 1
            number += 1
    process.join()
    return number, None


def main() -> int:
    """Fuzz as the command line says; 1 where something was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("kind", choices=list(READERS), default="images", nargs="?")
    parser.add_argument("--files", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--findings", type=Path, default=None, help="folder for the files of findings")
    given = parser.parse_args()
    start = time.perf_counter()
    outcomes, found = run(given.kind, given.files, given.seed, given.findings)
    seconds = time.perf_counter() - start
    for outcome, count in outcomes.most_common():
        print(f"{count:8} {outcome}")
    print(f"{sum(outcomes.values()) + sum(found.values())} {given.kind} in {seconds:.0f} s")
    for what, count in found.most_common():
        print(f"FINDING {count:5} {what}")
    print(f"findings: {sum(found.values())}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
