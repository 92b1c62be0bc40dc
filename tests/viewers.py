"""A viewer that is really served, and what it answers, byte by byte."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPMessage
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import urlencode, urlsplit

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from heatlift.run.originals import reference_path
from heatlift.run.tables import TABLES, part_path, write_part
from heatlift.viewer import catalogue as catalogues
from heatlift.viewer.catalogue import Catalogue
from heatlift.viewer.server import Server

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        """The content as JSON that browsers can read."""
        return json.loads(self.body, parse_constant=_refuse)


@dataclass(frozen=True)
class Served:
    """A running viewer."""

    server: Server

    @property
    def port(self) -> int:
        """Where it listens."""
        found = urlsplit(self.server.address).port
        assert found is not None
        return found

    def ask(
        self, path: str, method: str = "GET", headers: Sequence[tuple[str, str]] = (), **query: Any
    ) -> Answer:
        """Ask for a path as it is written here, with these headers; with its own Host unless one is given."""
        connection = HTTPConnection(str(urlsplit(self.server.address).hostname), self.port, timeout=600)
        try:
            asked = f"{path}?{urlencode(query, doseq=True)}" if query else path
            connection.putrequest(method, asked, skip_host=True, skip_accept_encoding=True)
            if not any(name == "Host" for name, _ in headers):
                connection.putheader("Host", f"127.0.0.1:{self.port}")
            for name, value in headers:
                if value is not None:
                    connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **query: Any) -> Any:
        """The JSON of something that is there."""
        answer = self.ask(path, **query)
        assert answer.status == 200, (path, answer.status, answer.body[:300])
        return answer.json

    def run(self, number: int = 0) -> dict[str, Any]:
        """What is told of a run."""
        found: dict[str, Any] = self.get("/api/runs")["runs"][number]
        return found

    def until(self, holds: Callable[[dict[str, Any]], bool], number: int = 0) -> dict[str, Any]:
        """What is told of a run once something holds."""
        end = time.monotonic() + 600
        while time.monotonic() < end:
            found = self.run(number)
            if holds(found):
                return found
            time.sleep(0.02)
        raise AssertionError(f"never: {found}")

    def rows(self, number: int = 0, **query: Any) -> Rows:
        """All images of a run that a query leaves, in its order."""
        found: Rows = self.get(f"/api/runs/{number}/images", **{"limit": 500, **query})["rows"]
        return found

    def id(self, name: str, number: int = 0) -> str:
        """The address of an image."""
        (found,) = (row["id"] for row in self.rows(number) if row["name"] == name)
        return str(found)


@contextmanager
def served(*runs: Path, host: str = "127.0.0.1", loaded: bool = True) -> Iterator[Served]:
    """A viewer of some runs that looks at growing ones often, ended with the block."""
    with patch.object(catalogues, "PAUSE", 0.05):
        server = Server.open(runs, host, 0)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            found = Served(server)
            for catalogue in server.catalogues if loaded else ():
                while catalogue.progress is not None:
                    time.sleep(0.005)
            yield found
        finally:
            server.stop()
            thread.join()


def opened(folder: Path) -> Catalogue:
    """A run, read to its end."""
    found = Catalogue(folder)
    found.read()
    return found


def rows_of(folder: Path, table: str) -> Rows:
    """The rows of a table's parts, in the parts' order."""
    files = sorted((folder / table).glob("part-*.parquet"))
    return [row for file in files for row in pq.ParquetFile(file).read().to_pylist()]


def split(folder: Path, kind: str, each: int) -> list[Mapping[str, Rows]]:
    """A run's tables in parts of so many images, which are taken out of its folder."""
    tables = {table: rows_of(folder, table) for table in TABLES[kind]}
    names = list(dict.fromkeys(row["image"] for row in tables[TABLES[kind][0]]))
    for table in tables:
        shutil.rmtree(folder / table, ignore_errors=True)
    groups = [set(names[start : start + each]) for start in range(0, len(names), each)]
    return [
        {table: [row for row in rows if row["image"] in group] for table, rows in tables.items()}
        for group in groups
    ]


def put(folder: Path, number: int, part: Mapping[str, Rows]) -> None:
    """Write a part's tables as a run does: the one with all images last."""
    for table in reversed(list(part)):
        write_part(folder, table, number, part[table])


def webp(seed: int, side: int = 96) -> bytes:
    """A small picture."""
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", quality=50)
    return file.getvalue()


def write_thumbnails(folder: Path, names: Sequence[str], part: int = 0) -> list[bytes]:
    """A small picture for each image."""
    pictures = [webp(seed) for seed in range(len(names))]
    rows = [{"image": n, "thumbnail": picture} for n, picture in zip(names, pictures, strict=True)]
    write_part(folder, "thumbnails", part, rows)
    return pictures


def write_reference(folder: Path, name: str, side: int = 24) -> np.ndarray[Any, Any]:
    """What takes the place of an image's pixels."""
    pixels = np.random.default_rng(3).integers(0, 256, (side, side, 3), dtype=np.uint8)
    path = reference_path(folder, name)
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


def edit_record(folder: Path, **changes: Any) -> None:
    """Write run.json anew, in one go."""
    path = folder / "run.json"
    changed = json.loads(path.read_text()) | changes
    (folder / ".run.json").write_text(json.dumps(changed))
    (folder / ".run.json").replace(path)


def part_file(folder: Path, table: str, part: int = 0) -> Path:
    """The file of a part."""
    return part_path(folder, table, part)


@contextmanager
def another(folder: Path, port: int) -> Iterator[None]:
    """Another viewer where one was."""
    server = Server.open([folder], "127.0.0.1", port)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield
    finally:
        server.stop()
        thread.join()


def _refuse(constant: str) -> float:
    raise AssertionError(f"{constant} is no JSON")
